"""Which backend runs the networks: the quickest of those that work, with the reason for every one
passed over."""

from __future__ import annotations

import importlib.util
import logging
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import nn

from ditto_avatar.errors import Unavailable
from ditto_avatar.face.ditto.layout import MOTION
from ditto_avatar.face.ditto.load_controller import Capacity
from ditto_avatar.face.ditto.networks import RELEASED, Sizes
from ditto_avatar.face.ditto.options import BACKENDS, Backend, Precision
from ditto_avatar.face.ditto.runtime.base import Runners
from ditto_avatar.face.ditto.runtime.compiled import CompileOptions, compiled_runners
from ditto_avatar.face.ditto.runtime.eager import eager_runners
from ditto_avatar.face.ditto.runtime.fused.support import kernels_refused
from ditto_avatar.face.ditto.runtime.parity import RunnersDiffer, check_precision, check_runners
from ditto_avatar.face.ditto.runtime.tensorrt.plan import FoundEngine
from ditto_avatar.face.ditto.runtime.tensorrt.runners import fitting_engines, tensorrt_runners
from ditto_avatar.face.ditto.windows import CLIP_FRAMES

log = logging.getLogger(__name__)

COMPILE_OPTIONS = {
    "fused": CompileOptions(fused=True),
    "compiled": CompileOptions(),
    "graphs": CompileOptions(compiler=None),
}
# Nobody can see from outside whether a file of an engine, or a kernel under another version of
# Triton, computes what it should.
CHECKED = ("tensorrt", "fused")
Tell = Callable[[str], None]
REPEATS = 5
# Graphs of sixteen frames keep three gigabytes for themselves.
SMALL_BATCHES = (1, 4)
VALID_FRAMES = 10  # that a clip adds while streaming


@dataclass(frozen=True, slots=True)
class Candidate:
    """A backend and, where it cannot be used, the reason, without a full stop. `engines` are those
    that the backend tensorrt would run."""

    name: str
    refused: str | None = None
    engines: Mapping[str, FoundEngine] = field(default_factory=dict)


def candidates(
    device: torch.device, checkpoints: Path | None = None, sizes: Sizes = RELEASED
) -> list[Candidate]:
    """List every backend on this machine for the weights in a folder: engines, then the others, of
    which the preferred one is first. For the doctor, too."""
    tensorrt = _tensorrt(device, checkpoints, sizes)
    if device.type != "cuda":
        compiled = Candidate("compiled", "compiling pays off on a CUDA device only")
        graphs = Candidate("graphs", "CUDA graphs need a CUDA device")
    elif importlib.util.find_spec("triton") is None:
        compiled = Candidate("compiled", "torch.compile needs Triton, which is not installed")
        graphs = Candidate("graphs")
    else:
        compiled, graphs = Candidate("compiled"), Candidate("graphs")
    fused = Candidate("fused", kernels_refused(device))
    return [tensorrt, fused, compiled, graphs, Candidate("eager")]


def _tensorrt(device: torch.device, checkpoints: Path | None, sizes: Sizes) -> Candidate:
    if device.type != "cuda":
        return Candidate("tensorrt", "engines run on a CUDA device only")
    if checkpoints is None:
        return Candidate("tensorrt", "there is no checkpoint folder that could hold engines")
    try:
        return Candidate("tensorrt", engines=fitting_engines(checkpoints, device, sizes))
    except Unavailable as error:
        return Candidate("tensorrt", str(error).removesuffix("."))


def choose_runners(
    networks: Mapping[str, nn.Module],
    device: torch.device,
    backend: Backend = "auto",
    tell: Tell | None = None,
    sizes: Sizes = RELEASED,
    steps: Collection[int] = (10,),
    checkpoints: Path | None = None,
    precision: Precision = "half",
    small: bool = False,
) -> Runners:
    """The quickest backend, or the one asked for, warmed up for clips of `steps` diffusion steps.
    Where there are engines, they are timed against the best of the others. Compiling takes minutes
    the first time and seconds from then on. Engines lie in the folder `checkpoints` that the
    networks come from. With the `precision` int8 the kernels of our own multiply integers of eight
    bits, unless faces become worse than 44 dB by it. With `small` batches are for cards of little
    memory.

    Raises `Unavailable` when the backend asked for cannot be used here."""
    tell = tell or log.info
    table = candidates(device, checkpoints, sizes)
    asked = [candidate for candidate in table if backend in ("auto", candidate.name)]
    if not asked:
        raise Unavailable(f"There is no backend {backend!r}; there are: {', '.join(BACKENDS)}.")
    networks_of = _Networks(
        networks, device, sizes, tuple(steps), tell, eight=precision == "int8", small=small
    )
    if backend != "auto":
        (candidate,) = asked
        if candidate.refused is not None:
            raise Unavailable(f"The backend {backend} cannot be used: {candidate.refused}.")
        return networks_of.runners(candidate)
    # Engines were built before; of the others one is prepared, as each of them takes minutes.
    engines = [candidate for candidate in table if candidate.name == "tensorrt"]
    others = [candidate for candidate in table if candidate.name != "tensorrt"]
    made = [found for group in (engines, others) if (found := networks_of.first(group))]
    if not made:
        raise Unavailable(f"No backend can be used on {device}.")
    chosen = made[0] if len(made) == 1 else networks_of.quickest(made)
    log.info("Ditto runs on %s with the backend %s.", device, chosen.name)
    return chosen


@dataclass(frozen=True, slots=True)
class _Networks:
    """What backends are made of and judged by."""

    networks: Mapping[str, nn.Module]
    device: torch.device
    sizes: Sizes
    steps: tuple[int, ...]
    tell: Tell
    eight: bool = False
    small: bool = False

    @property
    def dtype(self) -> torch.dtype:
        return torch.float16 if self.device.type == "cuda" else torch.float32

    def first(self, group: Sequence[Candidate]) -> Runners | None:
        """The first of a group that works. The last one, `eager`, raises what is wrong with it."""
        for candidate in group:
            if candidate.refused is not None:
                log.info("Ditto backend %s passed over: %s.", candidate.name, candidate.refused)
                continue
            try:
                return self.runners(candidate)
            except Exception as error:  # whatever a compiler or driver raises: the next is tried
                if candidate.name == "eager":
                    raise
                log.warning("Ditto backend %s failed and is passed over: %s", candidate.name, error)
                # What was compiled counts against the number that torch compiles of a function.
                torch.compiler.reset()
        return None

    def runners(self, candidate: Candidate) -> Runners:
        """A backend that is warmed up and, where it could compute something else, compared."""
        with _quick_convolutions(self.device):
            if self.eight and candidate.name == "fused":
                try:
                    return self._eight_bits(candidate)
                except RunnersDiffer as error:
                    log.warning("DITTO_PRECISION=int8 is refused: %s", error)
                    torch.compiler.reset()
            found = self._made(candidate)
            warm_up(found, self.tell, self.sizes, self.steps)
            if candidate.name in CHECKED:
                self.tell(f"comparing {candidate.name} with the networks")
                plain = eager_runners(self.networks, self.device, self.dtype)
                check_runners(found, plain, self.sizes, min(self.steps))
        return found

    def _eight_bits(self, candidate: Candidate) -> Runners:
        """The same in integers of eight bits. Raises `RunnersDiffer` where they are too few."""
        found = self._made(candidate, eight_bits=True)
        warm_up(found, self.tell, self.sizes, self.steps)
        self.tell("comparing integers of eight bits with single precision")
        check_precision(found, eager_runners(self.networks, self.device), self.sizes)
        return found

    def _made(self, candidate: Candidate, eight_bits: bool = False) -> Runners:
        if candidate.name == "eager":
            return eager_runners(self.networks, self.device, self.dtype)
        if candidate.name == "tensorrt":
            return tensorrt_runners(candidate.engines, self.device, self.sizes)
        options = replace(COMPILE_OPTIONS[candidate.name], eight_bits=eight_bits, sizes=self.sizes)
        if self.small:
            options = replace(options, batches=SMALL_BATCHES, clip_batches=SMALL_BATCHES)
        return compiled_runners(self.networks, self.device, self.dtype, options)

    def quickest(self, made: Sequence[Runners]) -> Runners:
        """The one that needs the least of the device for a viewer."""
        shares = {
            runners.name: measure(runners, max(self.steps), self.sizes).of_viewer(VALID_FRAMES)
            for runners in made
        }
        chosen = min(made, key=lambda runners: shares[runners.name])
        measured = ", ".join(f"{name} {100 * share:.1f} %" for name, share in shares.items())
        log.info("A viewer needs of %s: %s.", self.device, measured)
        return chosen


@contextmanager
def _quick_convolutions(device: torch.device) -> Iterator[None]:
    """cuDNN times its algorithms for every shape that is used for the first time; graphs keep the
    quickest. All shapes are used while warming up."""
    flags = torch.backends.cudnn
    before = flags.benchmark
    flags.benchmark = before or device.type == "cuda"
    try:
        yield
    finally:
        flags.benchmark = before


@torch.inference_mode()
def warm_up(
    runners: Runners, tell: Tell, sizes: Sizes = RELEASED, steps: Iterable[int] = (10,)
) -> None:
    """Call every path in every bucket once, so that no viewer waits for it. Eager runners need
    none of it."""
    if runners.name == "eager":
        return
    for batch in runners.batches:
        tell(f"preparing frames in batches of {batch}")
        runners.frame(*_frame_inputs(runners, batch, sizes))
    for batch in runners.clip_batches:
        for count in steps:
            tell(f"preparing clips of {count} steps in batches of {batch}")
            runners.clip(*_clip_inputs(runners, batch, count))


@torch.inference_mode()
def measure(runners: Runners, steps: int, sizes: Sizes = RELEASED) -> Capacity:
    """What a frame and a clip cost in full batches."""
    batch, clips = runners.batches[-1], runners.clip_batches[-1]
    frame = _frame_inputs(runners, batch, sizes)
    clip = _clip_inputs(runners, clips, steps)
    return Capacity(
        _seconds(lambda: runners.frame(*frame)) / batch,
        _seconds(lambda: runners.clip(*clip)) / clips,
    )


def _seconds(call: Callable[[], torch.Tensor]) -> float:
    """The least of several times; the result is fetched in part, which waits for the device."""
    times = []
    for _ in range(REPEATS):
        begun = time.perf_counter()
        call().flatten()[:1].cpu()
        times.append(time.perf_counter() - begun)
    return min(times)


def _frame_inputs(runners: Runners, batch: int, sizes: Sizes) -> tuple[torch.Tensor, ...]:
    side = sizes.feature
    volume = torch.randn(batch, sizes.volume_channels, sizes.volume_depth, side, side)
    points = 0.2 * torch.randn(batch, sizes.keypoints, 3, device=runners.device)
    volume = volume.to(runners.device, runners.dtype)
    return volume, runners.compress(volume), points, points


def _clip_inputs(runners: Runners, batch: int, steps: int) -> tuple[torch.Tensor, ...]:
    shapes = (
        (batch, CLIP_FRAMES, RELEASED.condition),
        (batch, MOTION),
        (batch, CLIP_FRAMES, MOTION),
        (steps - 1, batch, CLIP_FRAMES, MOTION),
    )
    return tuple(torch.randn(shape, device=runners.device) for shape in shapes)
