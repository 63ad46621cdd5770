"""Call runners in every size before viewers do, and measure what they need."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial

import torch

from ditto_avatar.face.ditto.layout import MOTION
from ditto_avatar.face.ditto.load_controller import Capacity
from ditto_avatar.face.ditto.networks import RELEASED, Sizes
from ditto_avatar.face.ditto.runtime.base import CompilesAhead, Runners
from ditto_avatar.face.ditto.runtime.beside import Beside
from ditto_avatar.face.ditto.windows import CLIP_FRAMES

Tell = Callable[[str], None]
REPEATS = 5


@contextmanager
def quick_convolutions(device: torch.device) -> Iterator[None]:
    """cuDNN times its algorithms for every shape that is used for the first time; graphs keep the
    quickest. All shapes are used while warming up."""
    flags = torch.backends.cudnn
    before = flags.benchmark
    flags.benchmark = before or device.type == "cuda"
    try:
        yield
    finally:
        flags.benchmark = before


def warm_up(
    runners: Runners,
    tell: Tell,
    sizes: Sizes = RELEASED,
    steps: Iterable[int] = (10,),
    beside: Beside | None = None,
) -> None:
    """Call every path in every bucket once, so that no viewer waits for it. Eager runners need
    none of it. All of it is done on this thread, also `beside` something that draws: a recording
    takes a second, and between two batches viewers would wait for it. Raises `Stopped`."""
    if runners.name == "eager":
        return
    beside = beside or Beside()
    steps = tuple(steps)
    for batch in runners.batches:
        tell(f"preparing frames in batches of {batch}")
        made = partial(frame_inputs, runners, batch, sizes)
        _call(runners.frame, made, runners.device, beside)
    for batch in runners.clip_batches:
        for count in steps:
            tell(f"preparing clips of {count} steps in batches of {batch}")
            made = partial(clip_inputs, runners, batch, count)
            _call(runners.clip, made, runners.device, beside)


def _call(
    runner: Callable[..., torch.Tensor],
    made: Callable[[], tuple[torch.Tensor, ...]],
    device: torch.device,
    beside: Beside,
) -> None:
    beside.check()
    with torch.inference_mode():
        if beside.shared and isinstance(runner, CompilesAhead):
            runner.compile_ahead(*made())  # long, and the setting below is everybody's
            beside.check()
        # On one thread: each finds for itself which algorithm of cuDNN is quickest, and keeps it.
        with quick_convolutions(device):
            runner(*made())
            wait_for(device)


def wait_for(device: torch.device) -> None:
    """Wait until a GPU has done what this thread asked of it."""
    if device.type == "cuda":
        torch.cuda.current_stream(device).synchronize()


@torch.inference_mode()
def measure(runners: Runners, steps: int, sizes: Sizes = RELEASED) -> Capacity:
    """What a frame and a clip cost in full batches."""
    batch, clips = runners.batches[-1], runners.clip_batches[-1]
    frame = frame_inputs(runners, batch, sizes)
    clip = clip_inputs(runners, clips, steps)
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


def frame_inputs(runners: Runners, batch: int, sizes: Sizes) -> tuple[torch.Tensor, ...]:
    """Random arguments of `runners.frame`."""
    side = sizes.feature
    shape = (batch, sizes.volume_channels, sizes.volume_depth, side, side)
    volume = torch.randn(shape, device=runners.device).to(runners.dtype)
    source = 0.2 * torch.randn(batch, sizes.keypoints, 3, device=runners.device)
    # No tensor twice: a compiler would take that for granted, and compile again for any other call.
    return volume, runners.compress(volume), source, source.clone()


def clip_inputs(runners: Runners, batch: int, steps: int) -> tuple[torch.Tensor, ...]:
    """Random arguments of `runners.clip`."""
    shapes = (
        (batch, CLIP_FRAMES, RELEASED.condition),
        (batch, MOTION),
        (batch, CLIP_FRAMES, MOTION),
        (steps - 1, batch, CLIP_FRAMES, MOTION),
    )
    return tuple(torch.randn(shape, device=runners.device) for shape in shapes)
