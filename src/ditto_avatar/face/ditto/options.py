"""What a person may choose about Ditto; settings fill it in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from ditto_avatar.errors import InvalidInput

Preset = Literal["speed", "quality"]
Precision = Literal["half", "int8"]
Backend = Literal["auto", "tensorrt", "fused", "compiled", "graphs", "eager"]
BACKENDS: tuple[Backend, ...] = get_args(Backend)

# The noise was learned in 1,000 steps. A clip has 80 frames, of which a stream carries on at most
# as many as it repeats.
MOST_STEPS = 1_000
OVERLAPS = range(40, 80)


@dataclass(frozen=True, slots=True)
class DittoOptions:
    """`preset` gives the values that are None here.

    `device` is a torch device, or "auto" for CUDA where there is any. `sampling_timesteps` are
    the diffusion steps of a clip (1 to 1,000), `max_size` the longest side of a source in pixels,
    `template_n_frames` how many frames of the idle loop a stream moves over (-1: all),
    `overlap` the frames that clips share while streaming (40 to 79). `feature_cache_mb` bounds
    the memory for source features. `max_streams` streams run at once (None: as many as
    a GPU was measured to hold, on a CPU any number). What is compiled is kept in `kernel_cache`
    (None: where torch keeps it), so that the next start need not compile it. `precision` int8 draws
    with integers of eight bits where there are kernels for them and faces stay close. Of a GPU at
    most `device_memory_mb` is taken (None: all). Raises `InvalidInput`
    for values outside.
    """

    checkpoints: Path
    device: str = "auto"
    preset: Preset = "speed"
    backend: Backend = "auto"
    sampling_timesteps: int | None = None
    max_size: int | None = None
    template_n_frames: int | None = None
    overlap: int | None = None
    feature_cache_mb: int = 2_048
    max_streams: int | None = None
    seed: int = 0
    kernel_cache: Path | None = None
    precision: Precision = "half"
    device_memory_mb: int | None = None

    def __post_init__(self) -> None:
        _expect("sampling_timesteps", self.sampling_timesteps, 1, MOST_STEPS)
        _expect("overlap", self.overlap, OVERLAPS.start, OVERLAPS.stop - 1)
        _expect("template_n_frames", self.template_n_frames, -1)
        _expect("max_size", self.max_size, 1)
        _expect("feature_cache_mb", self.feature_cache_mb, 1)
        _expect("max_streams", self.max_streams, 1)
        _expect("device_memory_mb", self.device_memory_mb, 1)

    @property
    def steps(self) -> int:
        return _chosen(self.sampling_timesteps, 10 if self.preset == "speed" else 50)

    @property
    def longest_side(self) -> int:
        return _chosen(self.max_size, 512 if self.preset == "speed" else 1_920)

    @property
    def template_frames(self) -> int:
        return _chosen(self.template_n_frames, 3 if self.preset == "speed" else -1)


def _chosen(value: int | None, otherwise: int) -> int:
    return otherwise if value is None else value


def _expect(name: str, value: int | None, least: int, most: int | None = None) -> None:
    if value is None or (least <= value and (most is None or value <= most)):
        return
    wanted = f"at least {least}" if most is None else f"{least} to {most:,}"
    raise InvalidInput(f"{name}: expected {wanted}, came {value}.")
