"""What a backend provides: runners with the networks' own call signatures.

A caller never asks which backend it has. Tensors stay on the runners' device; a batch may have
any size up to the largest bucket, and a runner may fill it up to a bucket inside.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from ditto_avatar.face.ditto.networks.pose import MotionOutput


class AppearanceRunner(Protocol):
    """Crops (b, 3, 256, 256) in 0..1 to volumes (b, 32, 16, 64, 64)."""

    def __call__(self, image: Tensor) -> Tensor: ...


class CompressRunner(Protocol):
    """The warp network's part that depends on the volume alone: (b, 4, 16, 64, 64)."""

    def __call__(self, volume: Tensor) -> Tensor: ...


class MotionRunner(Protocol):
    """Crops (b, 3, 256, 256) in 0..1 to poses, expressions and keypoints, float32."""

    def __call__(self, image: Tensor) -> MotionOutput: ...


class FrameRunner(Protocol):
    """`networks.FramePath`: keypoints to faces (b, 3, 512, 512)."""

    def __call__(
        self, volume: Tensor, compressed: Tensor, source: Tensor, driving: Tensor
    ) -> Tensor: ...


class ClipRunner(Protocol):
    """`networks.ClipPath`: noise to motion (b, 80, 265); `noises` is (steps - 1, b, 80, 265),
    and its length says how many steps are wanted."""

    def __call__(
        self, condition: Tensor, first: Tensor, start: Tensor, noises: Tensor
    ) -> Tensor: ...


@runtime_checkable
class CompilesAhead(Protocol):
    """A runner that compiles at its first call of each size, or before it when it is asked to."""

    def compile_ahead(self, *inputs: Tensor) -> None:
        """Compile for inputs of these shapes; nothing is recorded."""


@dataclass(frozen=True, slots=True)
class Runners:
    """The networks of one backend on one device. `dtype` is what volumes are kept in; crops,
    keypoints and motion are float32 everywhere. `batches` are the bucket sizes of
    frames, `clip_batches` those of clips, smallest first."""

    name: str
    device: torch.device
    dtype: torch.dtype
    appearance: AppearanceRunner
    compress: CompressRunner
    motion: MotionRunner
    frame: FrameRunner
    clip: ClipRunner
    batches: tuple[int, ...] = (1, 2, 4, 8)
    clip_batches: tuple[int, ...] = (1, 2, 4, 8)


def on_device(device: torch.device) -> AbstractContextManager[Any]:
    """Makes a CUDA device the current one: its streams, graphs and pinned memory are taken from
    whichever is current."""
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()


def stay_on_device(device: torch.device) -> None:
    """The same for all that a thread will do."""
    if device.type == "cuda" and device.index is not None:
        torch.cuda.set_device(device)
