"""TensorRT for RTX cards: engines built ahead of time, kernels that are kept, graphs.

What the library itself makes of our graphs is judged where it is installed (`pip install
onnxruntime-ep-nv-tensorrt-rtx-cu12 tensorrt-rtx-cu12-bindings`, 170 MB); it needs no GPU for that.
What runs on a card is judged over the double.
"""

from __future__ import annotations

import logging
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from ditto_avatar.errors import InvalidCheckpoint, InvalidInput, Unavailable
from ditto_avatar.face.ditto.checkpoint_files import weights_key
from ditto_avatar.face.ditto.runtime.eager import eager_runners
from ditto_avatar.face.ditto.runtime.parity import differences
from ditto_avatar.face.ditto.runtime.tensorrt.build import build_engine, build_engines
from ditto_avatar.face.ditto.runtime.tensorrt.export import export_graphs
from ditto_avatar.face.ditto.runtime.tensorrt.graphs import specs
from ditto_avatar.face.ditto.runtime.tensorrt.library import libraries, load_rtx
from ditto_avatar.face.ditto.runtime.tensorrt.plan import (
    BuildJob,
    EngineKey,
    Exported,
    engines_folder,
    exported_jobs,
    find_engines,
)
from ditto_avatar.face.ditto.runtime.tensorrt.runner import EngineRunner
from ditto_avatar.face.ditto.runtime.tensorrt.runners import fitting_engines, tensorrt_runners
from tests.face.ditto.reference import given
from tests.face.ditto.small import SMALL, small_networks
from tests.face.ditto.standins import ENGINE_BATCHES, write_network_files
from tests.fakes import tensorrt

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
CARDS = ("sm_80", "sm_86", "sm_89", "sm_120")
STITCH = next(spec for spec in specs(SMALL) if spec.name == "stitch_network")
REAL = pytest.mark.skipif(
    find_spec("tensorrt_rtx_bindings") is None, reason="needs TensorRT for RTX, from PyPI"
)


@pytest.fixture(scope="module")
def graphs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint folder with graphs of the small networks, in half precision."""
    root = write_network_files(tmp_path_factory.mktemp("rtx"))
    folder = engines_folder(root)
    export_graphs(small_networks(), folder, half=True, graphs=specs(SMALL), check=False)
    Exported(weights_key(root), "half").write(folder)
    return root


@pytest.fixture
def job(graphs: Path) -> BuildJob:
    jobs = exported_jobs(engines_folder(graphs), SMALL, ENGINE_BATCHES)
    return next(job for job in jobs if job.onnx.stem == "stitch_network")


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> None:
    """A double of the library, on an RTX 4090."""
    tensorrt.install(monkeypatch, (8, 9), rtx=True)


def runner_of(engine: Path, recorded: bool = True) -> EngineRunner:
    key = EngineKey.read(engine.with_suffix(".json"))
    found = find_engines(engine.parent, [STITCH], key.weights, key.version, "sm_89")
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    return EngineRunner(found["stitch_network"], STITCH, CPU, stream, recorded)


@pytest.mark.usefixtures("card")
def test_one_engine_is_built_for_all_cards_that_are_named(job: BuildJob, tmp_path: Path) -> None:
    path = build_engine(job, tmp_path, CPU, targets=CARDS)
    assert EngineKey.read(path.with_suffix(".json")).architecture == "sm_80,sm_86,sm_89,sm_120"
    for card in CARDS:
        found = find_engines(tmp_path, [STITCH], job.weights, f"rtx {tensorrt.__version__}", card)
        assert found["stitch_network"].path == path
    with pytest.raises(Unavailable, match=r"was built for sm_80,.*, and this GPU is sm_90"):
        find_engines(tmp_path, [STITCH], job.weights, f"rtx {tensorrt.__version__}", "sm_90")


@pytest.mark.usefixtures("card")
def test_a_card_that_the_library_does_not_know_is_refused(job: BuildJob, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"does not build for sm_90; it builds for sm_80, "):
        build_engine(job, tmp_path, CPU, targets=("sm_89", "sm_90"))
    assert not list(tmp_path.iterdir())


def test_a_gpu_that_the_library_does_not_run_on_is_refused(
    job: BuildJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tensorrt.install(monkeypatch, (9, 0), rtx=True)
    with pytest.raises(Unavailable, match="TensorRT for RTX has no engines for this GPU, sm_90"):
        build_engine(job, tmp_path, CUDA)


@pytest.mark.usefixtures("fake_tensorrt")
def test_building_ahead_of_time_needs_the_library_for_rtx(job: BuildJob, tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="TensorRT for RTX is not installed, which builds ahead"):
        build_engine(job, tmp_path, CUDA, targets=("sm_89",))


def test_engines_of_one_library_are_not_given_to_the_other(
    job: BuildJob, graphs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tensorrt.install(monkeypatch, (8, 9), rtx=True)
    path = build_engine(job, tmp_path, CPU, targets=CARDS)
    tensorrt.install(monkeypatch, (8, 9))
    with pytest.raises(Unavailable, match=r"TensorRT rtx 11\.4\.0, which an engine was built with"):
        runner_of(path)


@pytest.mark.usefixtures("card")
def test_the_backend_draws_what_the_networks_draw(graphs: Path) -> None:
    folder = engines_folder(graphs)
    jobs = exported_jobs(folder, SMALL, ENGINE_BATCHES)
    build_engines(jobs, folder, CPU, targets=CARDS)
    runners = tensorrt_runners(fitting_engines(graphs, CUDA, SMALL), CPU, SMALL)
    found = differences(runners, eager_runners(small_networks(), CPU), SMALL, steps=3)
    assert found.keys() == {"volume", "motion", "frames of 1", "frames of 4", "clip"}
    assert max(found.values()) < 0.02


@pytest.mark.usefixtures("card")
def test_a_recorded_engine_runs_at_the_same_addresses(job: BuildJob, tmp_path: Path) -> None:
    run = runner_of(build_engine(job, tmp_path, CPU, targets=CARDS))
    results = []
    for number in range(5):
        points = given(f"keypoints {number}", 8, 21, 3)
        expected = small_networks()["stitch_network"](points[:4], points[4:])
        found = run(points[:4], points[4:])
        assert torch.allclose(found, expected, atol=1e-5)
        results.append(found.data_ptr())
        run(points[:1], points[4:5])
    assert len(set(results)) == 1
    assert [context.captures for context in run._engine.contexts] == [1, 1]


@pytest.mark.usefixtures("card")
def test_an_engine_whose_results_are_kept_is_not_recorded(job: BuildJob, tmp_path: Path) -> None:
    run = runner_of(build_engine(job, tmp_path, CPU, targets=CARDS), recorded=False)
    points = given("keypoints", 2, 21, 3)
    first = run(points[:1], points[1:])
    before = first.clone()
    run(points[1:], points[:1])
    assert torch.equal(first, before)
    assert [context.captures for context in run._engine.contexts] == [0, 0]


@pytest.mark.usefixtures("card")
def test_kernels_are_compiled_on_the_first_start_alone(
    job: BuildJob, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = build_engine(job, tmp_path, CPU, targets=CARDS)
    points = given("keypoints", 4, 21, 3)

    def start() -> list[int]:
        run = runner_of(path)
        for _ in range(2):
            run(points[:1], points[:1])
            run(points, points)
        return [context.compilations for context in run._engine.contexts]

    assert start() == [1, 1]
    assert start() == [0, 0]
    path.with_suffix(".kernels").write_bytes(b"of another card")
    with caplog.at_level("INFO"):
        assert start() == [1, 1]
    assert ".kernels is of another card or driver" in caplog.text
    assert start() == [0, 0]


@pytest.mark.usefixtures("card")
def test_a_folder_that_cannot_be_written_costs_the_next_start_alone(
    job: BuildJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = build_engine(job, tmp_path, CPU, targets=CARDS)

    def refused(*_: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Path, "write_bytes", refused)
    points = given("keypoints", 1, 21, 3)
    assert runner_of(path)(points, points).shape == (1, 21, 3)
    assert "are not kept in" in caplog.text


@pytest.mark.usefixtures("card")
def test_the_library_gets_one_logger(
    job: BuildJob, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = build_engine(job, tmp_path, CPU, targets=CARDS)
    runner_of(path)
    runner_of(path)
    assert "logger" not in caplog.text


@REAL
def test_the_real_library_builds_every_graph_without_a_gpu(
    graphs: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    jobs = exported_jobs(engines_folder(graphs), SMALL, ENGINE_BATCHES)
    with caplog.at_level(logging.WARNING):
        built = build_engines(jobs, tmp_path, CPU, targets=CARDS)
    assert [path.name.split(".")[0] for path in built] == [spec.name for spec in specs(SMALL)]
    assert all(path.stat().st_size > 10_000 for path in built)
    assert "ERROR" not in caplog.text
    assert "logger" not in caplog.text
    (version,) = {library.version for library in libraries() if library.rtx}
    assert len(find_engines(tmp_path, specs(SMALL), jobs[0].weights, version, "sm_86")) == 7


@REAL
def test_the_real_library_names_what_it_cannot_read(graphs: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no graph")
    job = BuildJob(broken, "weights", "half", (), ())
    with pytest.raises(InvalidCheckpoint, match=r"TensorRT cannot read broken\.onnx: .+"):
        build_engine(job, tmp_path, CPU, targets=("sm_89",))
    with pytest.raises(InvalidInput, match="does not build for sm_90"):
        load_rtx(["sm_90"])
    assert not list(tmp_path.glob("*.engine"))
