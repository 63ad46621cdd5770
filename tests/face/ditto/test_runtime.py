"""Every backend gives what the networks give."""

from __future__ import annotations

import copy
import os
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from ditto_avatar.errors import Unavailable
from ditto_avatar.face.ditto.options import Backend
from ditto_avatar.face.ditto.runtime import choice
from ditto_avatar.face.ditto.runtime.base import Runners
from ditto_avatar.face.ditto.runtime.choice import (
    Candidate,
    candidates,
    choose_runners,
    measure,
    warm_up,
)
from ditto_avatar.face.ditto.runtime.compiled import (
    Bucketed,
    CompileOptions,
    compiled_runners,
)
from ditto_avatar.face.ditto.runtime.eager import eager_runners
from ditto_avatar.face.ditto.runtime.parity import RunnersDiffer, check_runners
from tests.face.ditto.reference import distance, given
from tests.face.ditto.small import SMALL, small_networks

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
COMPILED = CompileOptions(
    compiler="aot_eager", motion_dtype=torch.float32, batches=(1, 4), clip_batches=(1, 4)
)


def eager() -> Runners:
    return eager_runners(small_networks(), CPU)


def compiled() -> Runners:
    return compiled_runners(small_networks(), CPU, torch.float32, COMPILED)


def bucketed() -> Runners:
    options = replace(COMPILED, compiler=None, channels_last=False)
    return compiled_runners(small_networks(), CPU, torch.float32, options)


BACKENDS: dict[str, Callable[[], Runners]] = {
    "eager": eager,
    "compiled": compiled,
    "bucketed": bucketed,
}


@pytest.fixture(params=[*BACKENDS, "tensorrt"])
def runners(request: pytest.FixtureRequest) -> Runners:
    if request.param == "tensorrt":
        made: Runners = request.getfixturevalue("engine_runners")
        return made
    return BACKENDS[request.param]()


def frames_of(runners: Runners, count: int, first: int = 0) -> Tensor:
    """`count` of a batch of four frames, from `first` on."""
    volume = given("volume", 4, SMALL.volume_channels, SMALL.volume_depth, 16, 16)
    source = 0.3 * given("kp_source", 4, 21, 3)
    driving = source + 0.05 * given("kp_delta", 4, 21, 3)
    volume, source, driving = (part[first : first + count] for part in (volume, source, driving))
    return runners.frame(volume, runners.compress(volume), source, driving)


def clip_inputs(count: int, steps: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return (
        given("condition", count, 80, 1103),
        given("first", count, 265),
        given("start", count, 80, 265),
        given("noises", steps - 1, count, 80, 265),
    )


@pytest.mark.parametrize("count", [1, 3, 4])
@torch.no_grad()
def test_frames_are_those_of_the_networks(runners: Runners, count: int) -> None:
    expected = torch.cat([frames_of(eager(), 1, index) for index in range(count)])
    found = frames_of(runners, count)
    assert found.shape == expected.shape
    assert distance(found, expected.numpy()) < 1e-4


@pytest.mark.parametrize(("count", "steps"), [(1, 3), (3, 3), (2, 1)])
@torch.no_grad()
def test_clips_are_those_of_the_networks(runners: Runners, count: int, steps: int) -> None:
    inputs = clip_inputs(count, steps)
    parts = [(c[i : i + 1], f[i : i + 1], s[i : i + 1], n[:, i : i + 1])
             for c, f, s, n in [inputs] for i in range(count)]  # fmt: skip
    expected = torch.cat([eager().clip(*part) for part in parts])
    found = runners.clip(*inputs)
    assert found.shape == expected.shape
    assert distance(found, expected.numpy()) < 1e-4


@torch.no_grad()
def test_registration_networks_are_those_of_the_networks(runners: Runners) -> None:
    image = torch.sigmoid(given("image", 2, 3, 64, 64))
    volume = runners.appearance(image)
    assert distance(volume, eager().appearance(image).numpy()) < 1e-5
    expected = eager().motion(image)
    for name, found in runners.motion(image)._asdict().items():
        assert distance(found, getattr(expected, name).numpy()) < 1e-5


def test_batches_are_filled_up_to_few_sizes() -> None:
    seen: list[int] = []

    def double(x: Tensor) -> Tensor:
        seen.append(len(x))
        return 2 * x

    run = Bucketed(double, (0,), (1, 2, 8), graphs=False)
    for count in (1, 2, 3, 5, 8):
        x = torch.arange(count, dtype=torch.float32)
        assert torch.equal(run(x), 2 * x)
    assert seen == [1, 2, 8, 8, 8]


def test_a_batch_beyond_the_largest_bucket_is_refused() -> None:
    run = Bucketed(lambda x: x, (0,), (1, 2), graphs=False)
    with pytest.raises(ValueError, match="at most 2, not 3; split it"):
        run(torch.zeros(3))


def test_a_cpu_runs_eagerly_and_says_why(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        chosen = choose_runners(small_networks(), CPU)
    assert chosen.name == "eager"
    assert "compiled passed over: compiling pays off on a CUDA device only" in caplog.text


def test_a_backend_that_cannot_be_used_is_refused_when_asked_for() -> None:
    with pytest.raises(Unavailable, match="compiled cannot be used: compiling pays off"):
        choose_runners(small_networks(), CPU, "compiled")


def test_a_backend_that_fails_is_passed_over(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> Runners:
        raise RuntimeError("no compiler found")

    monkeypatch.setattr(choice, "compiled_runners", broken)
    monkeypatch.setattr(choice, "candidates", lambda *_: [Candidate("graphs"), Candidate("eager")])
    chosen = choose_runners(small_networks(), CPU)
    assert chosen.name == "eager"
    assert "graphs failed and is passed over: no compiler found" in caplog.text


def test_a_backend_that_fails_leaves_the_weights_as_they_were(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def late(*_: object) -> None:
        raise RuntimeError("out of memory")

    networks = copy.deepcopy(small_networks())
    monkeypatch.setattr(choice, "warm_up", late)
    monkeypatch.setattr(choice, "candidates", lambda *_: [Candidate("graphs"), Candidate("eager")])
    with pytest.raises(RuntimeError, match="out of memory"):
        choose_runners(networks, CPU)
    for name, tensor in small_networks()["lmdm"].state_dict().items():
        assert torch.equal(networks["lmdm"].state_dict()[name], tensor), name


@pytest.mark.parametrize(("device", "timed"), [(CUDA, True), (CPU, False)])
def test_convolutions_are_timed_while_a_gpu_warms_up_and_no_longer(
    monkeypatch: pytest.MonkeyPatch, device: torch.device, timed: bool
) -> None:
    seen: list[bool] = []

    def look(*_: object) -> Runners:
        seen.append(torch.backends.cudnn.benchmark)
        return eager()

    monkeypatch.setattr(choice, "compiled_runners", look)
    monkeypatch.setattr(choice, "warm_up", look)
    monkeypatch.setattr(choice, "candidates", lambda *_: [Candidate("graphs")])
    choose_runners({}, device)
    assert seen == [timed, timed]
    assert not torch.backends.cudnn.benchmark


def test_warming_up_walks_every_bucket() -> None:
    told: list[str] = []
    warm_up(bucketed(), told.append, SMALL, (2, 3))
    assert told == [
        "preparing frames in batches of 1",
        "preparing frames in batches of 4",
        "preparing clips of 2 steps in batches of 1",
        "preparing clips of 3 steps in batches of 1",
        "preparing clips of 2 steps in batches of 4",
        "preparing clips of 3 steps in batches of 4",
    ]


def test_capacity_is_measured_in_full_batches() -> None:
    found = measure(bucketed(), 2, SMALL)
    assert found.frame_s > 0
    assert found.clip_s > 0


def small_weights_and_engines(
    monkeypatch: pytest.MonkeyPatch, checkpoints: Path
) -> Callable[[Backend], Runners]:
    """Chooses on the processor, as if it were the GPU that the engines are for."""
    table = [*candidates(CUDA, checkpoints, SMALL)[:1], Candidate("eager")]
    monkeypatch.setattr(choice, "candidates", lambda *_: table)
    return lambda backend: choose_runners(
        small_networks(), CPU, backend, sizes=SMALL, steps=(2,), checkpoints=checkpoints
    )


@pytest.mark.usefixtures("fake_tensorrt")
def test_engines_that_somebody_built_are_preferred(
    engine_checkpoints: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    choose = small_weights_and_engines(monkeypatch, engine_checkpoints)
    backends: tuple[Backend, ...] = ("auto", "tensorrt")
    for backend in backends:
        chosen = choose(backend)
        assert (chosen.name, chosen.batches, chosen.clip_batches) == ("tensorrt", (1, 4), (1, 4))


@pytest.mark.usefixtures("fake_tensorrt")
def test_engines_that_draw_something_else_are_passed_over(
    engine_checkpoints: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    weights = copy.deepcopy(small_networks())
    for parameter in weights["decoder"].parameters():
        parameter.mul_(1.5)
    monkeypatch.setattr(choice, "eager_runners", lambda *_: eager_runners(weights, CPU))
    choose = small_weights_and_engines(monkeypatch, engine_checkpoints)
    assert choose("auto").name == "eager"
    assert re.search(
        r"tensorrt failed and is passed over: tensorrt differs from the networks: "
        r"frame by \d+\.\d %; at most 5 % is allowed\.",
        caplog.text,
    )
    with pytest.raises(RunnersDiffer, match="frame by"):
        choose("tensorrt")


@pytest.mark.usefixtures("fake_tensorrt")
def test_engines_that_cannot_be_loaded_are_passed_over(
    engine_checkpoints: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    root = Path(shutil.copytree(engine_checkpoints, tmp_path / "copy"))
    (engine,) = (root / "engines").glob("lmdm_step.*.engine")
    os.truncate(engine, engine.stat().st_size // 2)
    assert small_weights_and_engines(monkeypatch, root)("auto").name == "eager"
    assert f"passed over: {engine.name} was built for another GPU or TensorRT" in caplog.text


@pytest.mark.usefixtures("fake_tensorrt")
def test_the_table_says_why_there_are_no_engines(
    engine_checkpoints: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def reason(device: torch.device, folder: Path | None) -> str | None:
        (found,) = (
            entry for entry in candidates(device, folder, SMALL) if entry.name == "tensorrt"
        )
        return found.refused

    assert reason(CUDA, engine_checkpoints) is None
    assert reason(CPU, engine_checkpoints) == "engines run on a CUDA device only"
    assert reason(CUDA, None) == "there is no checkpoint folder that could hold engines"
    assert "holds no engines; `ditto-avatar engines build`" in str(reason(CUDA, tmp_path))
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    assert "TensorRT is not installed" in str(reason(CUDA, engine_checkpoints))


@torch.no_grad()
def test_numbers_that_are_none_differ() -> None:
    broken = replace(eager(), name="broken", appearance=lambda image: torch.full((1,), torch.nan))
    check_runners(compiled(), eager(), SMALL)
    with pytest.raises(RunnersDiffer, match="broken differs from the networks: volume by nan %"):
        check_runners(broken, eager(), SMALL)
