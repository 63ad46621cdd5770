"""Every backend gives what the networks give."""

from __future__ import annotations

import copy
import os
import re
import shutil
import sys
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from ditto_avatar.errors import Unavailable
from ditto_avatar.face.ditto.load_controller import Capacity
from ditto_avatar.face.ditto.networks import Sizes
from ditto_avatar.face.ditto.options import Backend
from ditto_avatar.face.ditto.runtime import candidates as table_of
from ditto_avatar.face.ditto.runtime import choice
from ditto_avatar.face.ditto.runtime.base import Runners
from ditto_avatar.face.ditto.runtime.beside import Beside
from ditto_avatar.face.ditto.runtime.buckets import Bucketed
from ditto_avatar.face.ditto.runtime.candidates import Candidate, candidates
from ditto_avatar.face.ditto.runtime.choice import choose_runners
from ditto_avatar.face.ditto.runtime.compiled import CompileOptions, compiled_runners
from ditto_avatar.face.ditto.runtime.eager import eager_runners
from ditto_avatar.face.ditto.runtime.parity import RunnersDiffer, check_runners
from ditto_avatar.face.ditto.runtime.warming import measure, warm_up
from tests.face.ditto.reference import distance, given
from tests.face.ditto.small import FITTING, SMALL, small_networks

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
COMPILED = CompileOptions(
    compiler="aot_eager", motion_dtype=torch.float32, batches=(1, 4), clip_batches=(1, 4)
)
FUSED = replace(COMPILED, compiler=None, fused=True)


@dataclass(frozen=True, slots=True)
class Case:
    """A backend's runners beside those of the networks, `picture` the sizes of what draws."""

    runners: Runners
    plain: Runners
    picture: Sizes = SMALL

    def frames(self, runners: Runners, count: int, first: int = 0) -> Tensor:
        """`count` of a batch of four frames, from `first` on."""
        sizes = self.picture
        side = sizes.feature
        volume = given("volume", 4, sizes.volume_channels, sizes.volume_depth, side, side)
        source = 0.3 * given("kp_source", 4, 21, 3)
        driving = source + 0.05 * given("kp_delta", 4, 21, 3)
        part = slice(first, first + count)
        compressed = runners.compress(volume[part])
        return runners.frame(volume[part], compressed, source[part], driving[part])


def eager(picture: Sizes = SMALL) -> Runners:
    return eager_runners(small_networks(picture), CPU)


def compiled(options: CompileOptions = COMPILED, picture: Sizes = SMALL) -> Runners:
    return compiled_runners(small_networks(picture), CPU, torch.float32, options)


def bucketed() -> Runners:
    return compiled(replace(COMPILED, compiler=None, channels_last=False))


CASES: dict[str, Callable[[], Case]] = {
    "eager": lambda: Case(eager(), eager()),
    "compiled": lambda: Case(compiled(), eager()),
    "bucketed": lambda: Case(bucketed(), eager()),
    "fused": lambda: Case(compiled(FUSED, FITTING), eager(FITTING), FITTING),
}


SLOW = pytest.mark.slow_kernels
SEVERAL = [
    *(name for name in CASES if name != "fused"),
    "tensorrt",
    pytest.param("fused", marks=SLOW),
]


@pytest.fixture(params=[*CASES, "tensorrt"])
def case(request: pytest.FixtureRequest) -> Case:
    if request.param == "tensorrt":
        return Case(request.getfixturevalue("engine_runners"), eager())
    if request.param == "fused":
        pytest.importorskip("triton.tools.tensor_descriptor", reason="needs Triton 3.4")
    return CASES[request.param]()


def clip_inputs(count: int, steps: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return (
        given("condition", count, 80, 1103),
        given("first", count, 265),
        given("start", count, 80, 265),
        given("noises", steps - 1, count, 80, 265),
    )


@pytest.mark.parametrize("case", SEVERAL, indirect=True)
@torch.no_grad()
def test_a_frame_is_that_of_the_networks(case: Case) -> None:
    found, expected = case.frames(case.runners, 1), case.frames(case.plain, 1)
    assert found.shape == expected.shape
    assert distance(found, expected.numpy()) < 1e-4


@pytest.mark.parametrize("count", [3, 4])
@pytest.mark.parametrize("case", SEVERAL, indirect=True)
@torch.no_grad()
def test_frames_of_a_batch_are_those_of_the_networks(case: Case, count: int) -> None:
    expected = torch.cat([case.frames(case.plain, 1, index) for index in range(count)])
    found = case.frames(case.runners, count)
    assert found.shape == expected.shape
    assert distance(found, expected.numpy()) < 1e-4


@pytest.mark.parametrize(("count", "steps"), [(1, 3), (3, 3), (2, 1)])
@torch.no_grad()
def test_clips_are_those_of_the_networks(case: Case, count: int, steps: int) -> None:
    inputs = clip_inputs(count, steps)
    parts = [(c[i : i + 1], f[i : i + 1], s[i : i + 1], n[:, i : i + 1])
             for c, f, s, n in [inputs] for i in range(count)]  # fmt: skip
    expected = torch.cat([case.plain.clip(*part) for part in parts])
    found = case.runners.clip(*inputs)
    assert found.shape == expected.shape
    assert distance(found, expected.numpy()) < 1e-4


@torch.no_grad()
def test_registration_networks_are_those_of_the_networks(case: Case) -> None:
    image = torch.sigmoid(given("image", 2, 3, 64, 64))
    volume = case.runners.appearance(image)
    assert distance(volume, case.plain.appearance(image).numpy()) < 1e-5
    expected = case.plain.motion(image)
    for name, found in case.runners.motion(image)._asdict().items():
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


def test_the_fused_backend_comes_before_the_compiled_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_of, "kernels_refused", lambda _: None)
    table = {entry.name: entry.refused for entry in candidates(CUDA, None, SMALL)}
    assert list(table) == ["tensorrt", "fused", "compiled", "graphs", "eager"]
    assert table["fused"] is None
    monkeypatch.setattr(table_of, "kernels_refused", lambda _: "it is too old")
    table = {entry.name: entry.refused for entry in candidates(CUDA, None, SMALL)}
    assert table["fused"] == "it is too old"


@pytest.mark.parametrize(("name", "fused"), [("fused", True), ("compiled", False)])
def test_a_backend_is_made_as_its_name_says(
    monkeypatch: pytest.MonkeyPatch, name: Backend, fused: bool
) -> None:
    seen: list[CompileOptions] = []

    def made(*arguments: Any) -> Runners:
        seen.append(arguments[-1])
        return replace(eager(), name=arguments[-1].backend)

    monkeypatch.setattr(choice, "compiled_runners", made)
    monkeypatch.setattr(choice, "candidates", lambda *_: [Candidate(name)])
    chosen = choose_runners(small_networks(), CPU, name, sizes=SMALL, steps=(2,))
    assert chosen.name == name
    assert [options.fused for options in seen] == [fused]


def test_kernels_that_draw_something_else_are_passed_over(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Of the batches, only the full one is wrong."""

    def wrong(volume: Tensor, compressed: Tensor, source: Tensor, driving: Tensor) -> Tensor:
        faces = eager().frame(volume, compressed, source, driving)
        return faces.flip(-1) if len(faces) == 4 else faces

    made = replace(eager(), name="fused", frame=wrong, batches=(1, 4))
    monkeypatch.setattr(choice, "compiled_runners", lambda *_: made)
    monkeypatch.setattr(choice, "candidates", lambda *_: [Candidate("fused"), Candidate("eager")])
    chosen = choose_runners(small_networks(), CPU, sizes=SMALL, steps=(2,))
    assert chosen.name == "eager"
    assert re.search(r"fused failed .* fused differs .*: frames of 4 by \d+\.\d %;", caplog.text)


@pytest.mark.parametrize(("noise", "name"), [(1e-3, "fused int8"), (1e-2, "fused")])
def test_eight_bits_are_refused_where_faces_become_worse_than_44_db(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, noise: float, name: str
) -> None:
    """Noise of 0.001 is 60 dB, of 0.01 it is 40."""

    def made(*arguments: Any) -> Runners:
        options: CompileOptions = arguments[-1]
        plain = eager()

        def noisy(volume: Tensor, compressed: Tensor, source: Tensor, driving: Tensor) -> Tensor:
            faces = plain.frame(volume, compressed, source, driving)
            return faces + noise if options.eight_bits else faces

        return replace(plain, name=options.backend, frame=noisy, batches=(1, 4))

    monkeypatch.setattr(choice, "compiled_runners", made)
    monkeypatch.setattr(choice, "candidates", lambda *_: [Candidate("fused"), Candidate("eager")])
    chosen = choose_runners(small_networks(), CPU, sizes=SMALL, steps=(2,), precision="int8")
    assert chosen.name == name
    refused = "DITTO_PRECISION=int8 is refused: fused int8 in integers .* reaches 40.0 dB"
    assert bool(re.search(refused, caplog.text)) == (name == "fused")


def test_small_cards_get_small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, ...]] = []

    def made(*arguments: Any) -> Runners:
        seen.append(arguments[-1].batches)
        return eager()

    monkeypatch.setattr(choice, "compiled_runners", made)
    monkeypatch.setattr(choice, "candidates", lambda *_: [Candidate("graphs")])
    for small in (True, False):
        choose_runners(small_networks(), CPU, sizes=SMALL, steps=(2,), small=small)
    assert seen == [(1, 4), (1, 4, 8, 16)]


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


def test_nobody_waits_while_another_backend_is_warmed_up() -> None:
    def between_two_batches(call: Callable[[], Any]) -> Future[Any]:
        raise AssertionError("viewers would wait for a recording")

    told: list[str] = []
    warm_up(bucketed(), told.append, SMALL, (2,), Beside(between_two_batches))
    assert len(told) == 4


def test_capacity_is_measured_in_full_batches() -> None:
    found = measure(bucketed(), 2, SMALL)
    assert found.frame_s > 0
    assert found.clip_s > 0


@SLOW
def test_every_batch_of_the_fused_backend_passes_the_check_at_load() -> None:
    pytest.importorskip("triton.tools.tensor_descriptor", reason="needs Triton 3.4")
    check_runners(compiled(FUSED, FITTING), eager(FITTING), FITTING, steps=3)


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
@pytest.mark.parametrize(
    ("frame_s", "clip_s", "quickest"),
    [(0.5, 0.5, "tensorrt"), (2.0, 1.0, "eager"), (0.9, 9.0, "eager"), (1.1, 0.5, "tensorrt")],
)
def test_the_backend_that_was_measured_to_be_quickest_is_taken(
    engine_checkpoints: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    frame_s: float,
    clip_s: float,
    quickest: str,
) -> None:
    """A viewer needs 25 frames and 2.5 clips a second."""
    measured = {"tensorrt": Capacity(frame_s, clip_s), "eager": Capacity(1.0, 3.0)}
    monkeypatch.setattr(choice, "measure", lambda runners, *_: measured[runners.name])
    choose = small_weights_and_engines(monkeypatch, engine_checkpoints)
    with caplog.at_level("INFO"):
        assert choose("auto").name == quickest
    assert "A viewer needs of cpu: tensorrt " in caplog.text


@pytest.mark.usefixtures("fake_tensorrt")
def test_engines_that_are_asked_for_are_taken(
    engine_checkpoints: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choice, "measure", lambda *_: pytest.fail("nothing is to be compared"))
    chosen = small_weights_and_engines(monkeypatch, engine_checkpoints)("tensorrt")
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
        r"frames of 1 by \d+\.\d %, frames of 4 by \d+\.\d %; at most 5 % is allowed\.",
        caplog.text,
    )
    with pytest.raises(RunnersDiffer, match="frames of 1 by"):
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
