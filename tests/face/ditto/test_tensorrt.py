"""Everything of the TensorRT backend up to the library itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import onnx
import pytest
import torch

from ditto_avatar.errors import Unavailable
from ditto_avatar.face.ditto.networks.warp import sample_volume
from ditto_avatar.face.ditto.runtime.tensorrt import export
from ditto_avatar.face.ditto.runtime.tensorrt.build import build_engine
from ditto_avatar.face.ditto.runtime.tensorrt.export import (
    ExportDiffers,
    export_graphs,
    gather_volume,
)
from ditto_avatar.face.ditto.runtime.tensorrt.graphs import GraphSpec, specs
from ditto_avatar.face.ditto.runtime.tensorrt.plan import (
    EngineKey,
    engine_key,
    profile_for,
    profiles,
    released_graphs,
)
from tests.face.ditto.reference import distance, given, network
from tests.face.ditto.standins import SMALL, small_networks

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
    assert "GridSample" not in {node.op_type for node in graph.graph.node}


def test_a_full_sized_graph_gives_what_its_network_gives(tmp_path: Path) -> None:
    spec = next(spec for spec in specs() if spec.name == "stitch_network")
    export_graphs({"stitch_network": network("stitch_network")}, tmp_path, graphs=[spec])


def test_a_graph_that_differs_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def shifted(volume: torch.Tensor, flow: torch.Tensor) -> torch.Tensor:
        return gather_volume(volume, flow) + 0.01 * torch.rand(1)

    monkeypatch.setattr(export, "gather_volume", shifted)
    with pytest.raises(ExportDiffers, match=r"warp_network\.onnx: features differs"):
        export_graphs(small_networks(), tmp_path, graphs=[GRAPHS["warp_network"]])


def test_half_precision_keeps_keypoints_exact(tmp_path: Path) -> None:
    (path,) = export_graphs(
        small_networks(), tmp_path, half=True, graphs=[GRAPHS["warp_network"]], check=False
    )
    kinds = {entry.name: entry.type.tensor_type.elem_type for entry in onnx.load(path).graph.input}
    assert kinds["volume"] == onnx.TensorProto.FLOAT16
    assert kinds["source"] == kinds["driving"] == onnx.TensorProto.FLOAT


def test_every_batch_has_one_profile() -> None:
    found = profiles(GRAPHS["decoder"], (1, 4, 8))
    ranges = [(entry.shapes[0][1][0], entry.shapes[0][3][0]) for entry in found]
    assert ranges == [(1, 1), (2, 4), (5, 8)]
    assert [profile_for(batch, (1, 4, 8)) for batch in (1, 2, 4, 5, 8)] == [0, 1, 1, 2, 2]
    with pytest.raises(ValueError, match="at most 8, not 9"):
        profile_for(9, (1, 4, 8))


def test_profiles_follow_inputs_that_hold_both_guidance_halves() -> None:
    (entry,) = profiles(GRAPHS["lmdm_step"], (4,))
    shapes = {name: (low, high) for name, low, _, high in entry.shapes}
    assert shapes["x"] == ((1, 80, 265), (4, 80, 265))
    assert shapes["keys"] == ((2, 2, 80, 32), (2, 8, 80, 32))


def test_an_engine_is_built_again_when_anything_changes(tmp_path: Path) -> None:
    (tmp_path / "decoder.onnx").write_bytes(b"one")
    key = engine_key(tmp_path / "decoder.onnx", "half", (1, 8), "10.4", "sm_90")
    assert key == engine_key(tmp_path / "decoder.onnx", "half", (1, 8), "10.4", "sm_90")
    (tmp_path / "decoder.onnx").write_bytes(b"two")
    weights = engine_key(tmp_path / "decoder.onnx", "half", (1, 8), "10.4", "sm_90")
    changed: list[EngineKey] = [
        weights,
        replace(key, precision="single"),
        replace(key, batches=(1, 4)),
        replace(key, version="11.0"),
        replace(key, architecture="sm_89"),
    ]
    assert len({entry.digest for entry in [key, *changed]}) == 6
    assert key.path(tmp_path).name.startswith("decoder.")


def test_the_checkpoints_own_graphs_are_taken_where_no_plugin_is_needed(tmp_path: Path) -> None:
    for name in ("decoder", "hubert", "warp_network", "warp_network_ori", "blaze_face"):
        (tmp_path / f"{name}.onnx").touch()
    found, skipped = released_graphs(tmp_path)
    assert [path.stem for path in found] == ["decoder", "hubert"]
    assert len(skipped) == 2
    assert "only as a plugin" in skipped[0]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
def test_building_without_the_library_says_what_is_missing(tmp_path: Path) -> None:
    spec: GraphSpec = GRAPHS["decoder"]
    with pytest.raises(Unavailable, match="TensorRT is not installed"):
        build_engine(tmp_path / "decoder.onnx", spec, tmp_path)
