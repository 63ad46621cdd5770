"""Engines built, found and run, over a double of the library that really computes."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import onnx
import pytest
import torch
from onnx import TensorProto, helper

from ditto_avatar.errors import InvalidCheckpoint, Unavailable
from ditto_avatar.face.ditto.checkpoint_files import place, weights_key
from ditto_avatar.face.ditto.runtime.eager import eager_runners
from ditto_avatar.face.ditto.runtime.parity import differences
from ditto_avatar.face.ditto.runtime.tensorrt.build import build_engine, build_engines
from ditto_avatar.face.ditto.runtime.tensorrt.export import export_graphs
from ditto_avatar.face.ditto.runtime.tensorrt.graphs import specs
from ditto_avatar.face.ditto.runtime.tensorrt.library import load_tensorrt
from ditto_avatar.face.ditto.runtime.tensorrt.plan import (
    BuildJob,
    EngineKey,
    Exported,
    engines_folder,
    exported_jobs,
    find_engines,
    released_jobs,
)
from ditto_avatar.face.ditto.runtime.tensorrt.runner import EngineRunner
from ditto_avatar.face.ditto.runtime.tensorrt.runners import fitting_engines, tensorrt_runners
from tests.face.ditto.reference import given
from tests.face.ditto.small import SMALL, small_networks
from tests.face.ditto.standins import ENGINE_BATCHES, write_network_files
from tests.fakes import tensorrt

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
STITCH = next(spec for spec in specs(SMALL) if spec.name == "stitch_network")


@pytest.fixture
def job(engine_checkpoints: Path, tmp_path: Path) -> BuildJob:
    """A graph of which no engine is built yet."""
    for job in exported_jobs(engines_folder(engine_checkpoints), SMALL, ENGINE_BATCHES):
        if job.onnx.stem == "stitch_network":
            copy = shutil.copy(job.onnx, tmp_path)
            return replace(job, onnx=Path(copy))
    raise AssertionError("no such graph")


def engines_in(folder: Path) -> set[str]:
    return {path.name for path in folder.glob("*.engine")}


def runner_of(engine: Path) -> EngineRunner:
    key = EngineKey.read(engine.with_suffix(".json"))
    found = find_engines(engine.parent, [STITCH], key.weights, key.version, key.architecture)
    return EngineRunner(found["stitch_network"], STITCH, CPU, torch.cuda.Stream())  # type: ignore[no-untyped-call]


@pytest.mark.usefixtures("fake_tensorrt")
def test_an_engine_is_built_once(job: BuildJob, tmp_path: Path) -> None:
    told: list[str] = []
    path = build_engine(job, tmp_path, CUDA, told.append)
    written = path.stat().st_mtime_ns
    assert build_engine(job, tmp_path, CUDA, told.append) == path
    assert path.stat().st_mtime_ns == written
    assert told == [
        f"building {path.name}, which takes minutes",
        f"{path.name} is there already",
    ]


@pytest.mark.usefixtures("fake_tensorrt")
def test_a_changed_graph_is_built_again(job: BuildJob, tmp_path: Path) -> None:
    before = build_engine(job, tmp_path, CUDA)
    model = onnx.load(job.onnx)
    model.producer_name = "someone else"
    onnx.save(model, job.onnx)
    assert build_engine(job, tmp_path, CUDA) != before
    assert len(engines_in(tmp_path)) == 2


def test_another_gpu_gets_engines_of_its_own(
    job: BuildJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for capability in ((9, 0), (8, 9)):
        tensorrt.install(monkeypatch, capability)
        build_engine(job, tmp_path, CUDA)
    assert len(engines_in(tmp_path)) == 2


@pytest.mark.usefixtures("fake_tensorrt")
def test_what_a_killed_build_leaves_is_no_engine(
    job: BuildJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    # Killed before the engine has its place, then before its key is beside it.
    for owner, step in ((Path, "replace"), (EngineKey, "write")):
        with monkeypatch.context() as patch:
            patch.setattr(owner, step, killed)
            with pytest.raises(KeyboardInterrupt):
                build_engine(job, tmp_path, CUDA)
        with pytest.raises(Unavailable, match="there is no engine of stitch_network"):
            find_engines(tmp_path, [STITCH], job.weights, tensorrt.__version__, "sm_90")
    path = build_engine(job, tmp_path, CUDA)
    found = find_engines(tmp_path, [STITCH], job.weights, tensorrt.__version__, "sm_90")
    assert found["stitch_network"].path == path


@pytest.mark.usefixtures("fake_tensorrt")
def test_builds_share_what_was_timed(
    job: BuildJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    build_engine(job, tmp_path, CUDA)
    build_engine(replace(job, precision="again"), tmp_path, CUDA)
    cache = tmp_path / "timing.cache"
    assert cache.read_bytes().endswith(b"11.4.0 2")
    monkeypatch.setattr(tensorrt, "__version__", "10.9.0")
    with caplog.at_level("INFO"):
        build_engine(job, tmp_path, CUDA)
    assert "timing.cache is of another GPU or TensorRT" in caplog.text
    assert cache.read_bytes().endswith(b"10.9.0 1")


@pytest.mark.usefixtures("fake_tensorrt")
def test_a_graph_that_cannot_be_read_does_not_keep_the_others_from_being_built(
    job: BuildJob, tmp_path: Path
) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"no graph")
    jobs = [replace(job, onnx=tmp_path / "broken.onnx"), job]
    with pytest.raises(InvalidCheckpoint, match=r"TensorRT cannot read broken\.onnx: .*\.$"):
        build_engines(jobs, tmp_path, CUDA)
    assert len(engines_in(tmp_path)) == 1


def graph(path: Path, name: str, length: int | str, node: str = "Relu") -> None:
    """An ONNX file with one node."""
    value = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, length]) for n in (name, "y")]
    nodes = [helper.make_node(node, [name], ["y"])]
    opset = [helper.make_opsetid("", 17)]
    made = helper.make_graph(nodes, "graph", value[:1], value[1:])
    onnx.save(helper.make_model(made, opset_imports=opset, ir_version=8), path)


@pytest.mark.usefixtures("fake_tensorrt")
def test_the_checkpoints_own_graphs_become_engines(tmp_path: Path) -> None:
    graph(tmp_path / "decoder.onnx", "feature", 8)
    graph(tmp_path / "hubert.onnx", "input_values", "samples")
    graph(tmp_path / "warp_network.onnx", "feature", 8)
    jobs, _ = released_jobs(tmp_path)
    built = build_engines(jobs, tmp_path, CUDA)
    assert [path.name.split(".")[0] for path in built] == ["decoder", "hubert"]
    engine = tensorrt.Runtime(load_tensorrt().logger).deserialize_cuda_engine(built[1].read_bytes())
    assert engine is not None
    context = engine.create_execution_context()
    assert context.set_optimization_profile_async(0, 0)
    accepted = [context.set_input_shape("input_values", (1, n)) for n in (3_239, 3_240, 12_960)]
    assert accepted == [False, True, True]


@pytest.mark.usefixtures("fake_tensorrt")
def test_an_open_input_that_nobody_knows_is_named(tmp_path: Path) -> None:
    graph(tmp_path / "decoder.onnx", "feature", 8)
    graph(tmp_path / "wavlm.onnx", "audio", "samples")
    jobs, _ = released_jobs(tmp_path)
    with pytest.raises(InvalidCheckpoint, match=r"wavlm\.onnx leaves the shape of audio open"):
        build_engines(jobs, tmp_path, CUDA)
    assert len(engines_in(tmp_path)) == 1


@pytest.mark.usefixtures("fake_tensorrt")
def test_engines_are_built_on_a_gpu(job: BuildJob, tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="Engines are built on the CUDA device they run on"):
        build_engine(job, tmp_path, CPU)


def test_building_without_the_library_says_what_is_missing(
    job: BuildJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("tensorrt", "tensorrt_rtx_bindings"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(Unavailable, match="TensorRT is not installed"):
        build_engine(job, tmp_path, CUDA)


@pytest.mark.usefixtures("fake_tensorrt")
def test_an_engine_cut_short_is_refused(job: BuildJob, tmp_path: Path) -> None:
    path = build_engine(job, tmp_path, CUDA)
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(InvalidCheckpoint, match="was built for another GPU or TensorRT"):
        runner_of(path)


@pytest.mark.usefixtures("fake_tensorrt")
def test_an_engine_of_another_graph_is_refused(
    job: BuildJob, engine_checkpoints: Path, tmp_path: Path
) -> None:
    path = build_engine(job, tmp_path, CUDA)
    (decoder,) = engines_folder(engine_checkpoints).glob("decoder.*.engine")
    shutil.copy(decoder, path)
    with pytest.raises(InvalidCheckpoint, match="has the tensors face, features, and driving"):
        runner_of(path)


@pytest.mark.usefixtures("fake_tensorrt")
def test_a_batch_beyond_the_largest_bucket_is_refused(job: BuildJob, tmp_path: Path) -> None:
    run = runner_of(build_engine(job, tmp_path, CUDA))
    points = given("keypoints", 5, 21, 3)
    assert run(points[:4], points[:4]).shape == (4, 21, 3)
    with pytest.raises(ValueError, match="at most 4, not 5; split it"):
        run(points, points)


@pytest.mark.usefixtures("fake_tensorrt")
def test_what_the_library_refuses_is_an_error(job: BuildJob, tmp_path: Path) -> None:
    run = runner_of(build_engine(job, tmp_path, CUDA))
    points = given("keypoints", 1, 21, 3)
    with pytest.raises(RuntimeError, match=r"refuses driving of shape \(1, 20, 3\); the engine is"):
        run(points, points[:, :20])


@pytest.mark.usefixtures("fake_tensorrt")
def test_tensors_of_other_kinds_and_layouts_are_read_rightly(job: BuildJob, tmp_path: Path) -> None:
    run = runner_of(build_engine(job, tmp_path, CUDA))
    points = given("keypoints", 4, 21, 3).half()
    turned = points.transpose(1, 2).contiguous().transpose(1, 2)
    expected = small_networks()["stitch_network"](points[1:2].float(), points[2:3].float())
    assert torch.allclose(run(turned[1:2], turned[2:3]), expected, atol=1e-5)


def test_engines_of_half_precision_keep_volumes_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tensorrt.install(monkeypatch)
    root = write_network_files(tmp_path)
    folder = engines_folder(root)
    export_graphs(small_networks(), folder, half=True, graphs=specs(SMALL), check=False)
    Exported(weights_key(root), "half").write(folder)
    build_engines(exported_jobs(folder, SMALL, (1,)), folder, CUDA)
    runners = tensorrt_runners(fitting_engines(root, CUDA, SMALL), CPU, SMALL)
    assert runners.dtype == torch.float16
    assert (runners.batches, runners.clip_batches) == ((1,), (1,))
    found = differences(runners, eager_runners(small_networks(), CPU), SMALL)
    assert found.keys() == {"volume", "motion", "frames of 1", "clip"}
    assert max(found.values()) < 0.02
    assert found["frames of 1"] > 1e-6  # half precision is another computation


@pytest.mark.usefixtures("fake_tensorrt")
def test_engines_fit_the_weights_they_were_built_from_alone(
    engine_checkpoints: Path, tmp_path: Path
) -> None:
    root = tmp_path / "copy"
    shutil.copytree(engine_checkpoints, root)
    assert len(fitting_engines(root, CUDA, SMALL)) == 7
    place(root, "lmdm").write_bytes(b"trained further")
    with pytest.raises(Unavailable, match="was built from other weights"):
        fitting_engines(root, CUDA, SMALL)
    place(root, "lmdm").unlink()
    with pytest.raises(Unavailable, match="cannot be read"):
        fitting_engines(root, CUDA, SMALL)
    shutil.rmtree(engines_folder(root))
    with pytest.raises(Unavailable, match="holds no engines; `ditto-avatar engines build`"):
        fitting_engines(root, CUDA, SMALL)
