"""The exported graphs compute what the networks compute."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
import torch

from ditto_avatar.face.ditto.checkpoint_files import weights_key
from ditto_avatar.face.ditto.networks.warp import sample_volume
from ditto_avatar.face.ditto.runtime.tensorrt import export
from ditto_avatar.face.ditto.runtime.tensorrt.export import (
    ExportDiffers,
    export_checkpoint,
    export_graphs,
    gather_volume,
)
from ditto_avatar.face.ditto.runtime.tensorrt.graphs import specs
from ditto_avatar.face.ditto.runtime.tensorrt.half import Convolution
from ditto_avatar.face.ditto.runtime.tensorrt.plan import Exported, is_exported
from tests.face.ditto.reference import distance, given, network
from tests.face.ditto.small import SMALL, small_networks
from tests.face.ditto.standins import write_network_files

GRAPHS = {spec.name: spec for spec in specs(SMALL)}


def test_gathered_samples_are_grid_samples() -> None:
    volume = given("gathered", 2, 3, 4, 6, 8)
    flow = 1.3 * given("flow", 2, 4, 6, 8, 3)  # beyond the borders, too
    assert distance(gather_volume(volume, flow), sample_volume(volume, flow).numpy()) < 1e-6


@pytest.mark.parametrize("name", GRAPHS)
def test_every_graph_gives_what_its_network_gives(name: str, tmp_path: Path) -> None:
    (path,) = export_graphs(small_networks(), tmp_path, graphs=[GRAPHS[name]])
    graph = onnx.load(path)
    onnx.checker.check_model(graph)
    assert {entry.domain for entry in graph.opset_import} <= {"", "ai.onnx"}
    # A plugin, branches, and shapes that depend on numbers: none of it becomes an engine surely.
    unwanted = {"GridSample", "If", "Loop", "Scan", "NonZero", "EyeLike"}
    assert not unwanted & {node.op_type for node in graph.graph.node}


def test_a_full_sized_graph_gives_what_its_network_gives(tmp_path: Path) -> None:
    spec = next(spec for spec in specs() if spec.name == "stitch_network")
    export_graphs({"stitch_network": network("stitch_network")}, tmp_path, graphs=[spec])


def test_a_graph_that_differs_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def shifted(volume: torch.Tensor, flow: torch.Tensor) -> torch.Tensor:
        return gather_volume(volume, flow) + 0.01 * torch.rand(1)

    monkeypatch.setattr(export, "gather_volume", shifted)
    with pytest.raises(ExportDiffers, match=r"warp_network\.onnx: features differs"):
        export_graphs(small_networks(), tmp_path, graphs=[GRAPHS["warp_network"]])


def test_a_checkpoints_graphs_say_what_they_are_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_network_files(tmp_path)
    monkeypatch.setattr(export, "load_network", lambda name, path: small_networks()[name])
    monkeypatch.setattr(export, "specs", lambda: specs(SMALL))
    paths = export_checkpoint(root, tmp_path / "out", half=True)
    assert {path.stem for path in paths} == set(GRAPHS)
    assert Exported.read(tmp_path / "out") == Exported(weights_key(root), "half")
    # Broken off, the graphs are no longer of one kind, and nothing says so.
    (tmp_path / "out" / "decoder.onnx").unlink()
    (tmp_path / "out" / "decoder.onnx").mkdir()
    with pytest.raises((OSError, RuntimeError)):
        export_checkpoint(root, tmp_path / "out", half=False)
    assert not is_exported(tmp_path / "out")


def test_half_precision_keeps_keypoints_exact(tmp_path: Path) -> None:
    (path,) = export_graphs(small_networks(), tmp_path, half=True, graphs=[GRAPHS["warp_network"]])
    kinds = {entry.name: entry.type.tensor_type.elem_type for entry in onnx.load(path).graph.input}
    assert kinds["volume"] == onnx.TensorProto.FLOAT16
    assert kinds["source"] == kinds["driving"] == onnx.TensorProto.FLOAT


@pytest.mark.parametrize("name", [name for name, spec in GRAPHS.items() if spec.half])
def test_all_convolutions_of_a_half_graph_are_in_half_precision(name: str, tmp_path: Path) -> None:
    (path,) = export_graphs(small_networks(), tmp_path, half=True, graphs=[GRAPHS[name]])
    graph = onnx.shape_inference.infer_shapes(onnx.load(path)).graph
    kinds = {
        entry.name: entry.type.tensor_type.elem_type for entry in (*graph.value_info, *graph.output)
    }
    results = [node.output[0] for node in graph.node if node.op_type.startswith("Conv")]
    assert {kinds[result] for result in results} == {onnx.TensorProto.FLOAT16}
    network = small_networks()[GRAPHS[name].network]
    assert len(results) == sum(isinstance(part, Convolution) for part in network.modules())
