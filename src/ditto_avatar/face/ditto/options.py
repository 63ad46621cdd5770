"""What a person may choose about Ditto; settings fill it in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

Preset = Literal["speed", "quality"]
Backend = Literal["auto", "tensorrt", "compiled", "graphs", "eager"]
BACKENDS: tuple[Backend, ...] = get_args(Backend)


@dataclass(frozen=True, slots=True)
class DittoOptions:
    """`preset` gives the values that are None here.

    `device` is a torch device, or "auto" for CUDA where there is any. `sampling_timesteps` are
    the diffusion steps of a clip, `max_size` the longest side of a source in pixels,
    `template_n_frames` how many frames of the idle loop a performance moves over (-1: all),
    `overlap` the frames that clips share while streaming. `feature_cache_mb` bounds the memory
    for source features. `max_streams` performances run at once (None: as many as
    a GPU was measured to hold, on a CPU any number).
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
