"""What a backend provides: runners with the networks' own call signatures.

A caller never asks which backend it has. Tensors stay on the runners' device; batch sizes may be
any up to the largest bucket, and a runner may pad them to a bucket inside.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from ditto_avatar.face.ditto.networks.diffusion import ClipContext
from ditto_avatar.face.ditto.networks.pose import MotionOutput


class ImageRunner(Protocol):
    """Appearance extractor: (b, 3, 256, 256) to a volume (b, 32, 16, 64, 64)."""

    def __call__(self, image: Tensor) -> Tensor: ...


class MotionRunner(Protocol):
    """Motion extractor: (b, 3, 256, 256) to poses, expressions and keypoints."""

    def __call__(self, image: Tensor) -> MotionOutput: ...


class StitchRunner(Protocol):
    """Stitch network: keypoints (b, 21, 3) of source and drive to those of the drive."""

    def __call__(self, source: Tensor, driving: Tensor) -> Tensor: ...


class WarpRunner(Protocol):
    """Warp network; `compress` gives what depends on the source alone."""

    def compress(self, volume: Tensor) -> Tensor: ...

    def __call__(
        self, volume: Tensor, source: Tensor, driving: Tensor, compressed: Tensor
    ) -> Tensor: ...


class DecodeRunner(Protocol):
    """Decoder: features (b, 256, 64, 64) to pictures (b, 3, 512, 512) in 0..1."""

    def __call__(self, features: Tensor) -> Tensor: ...


class DenoiseRunner(Protocol):
    """Motion diffusion: `encode` once per clip, then one call per step."""

    def encode(self, condition: Tensor, start: Tensor) -> ClipContext: ...

    def __call__(
        self, x: Tensor, time: Tensor, pooled: Tensor, keys: Tensor, values: Tensor, start: Tensor
    ) -> Tensor: ...


@dataclass(frozen=True, slots=True)
class Runners:
    """The six networks of one backend on one device. `dtype` is what volumes, features and
    pictures are kept in; motion is float32 everywhere. `batches` are the bucket sizes, smallest
    first."""

    name: str
    device: torch.device
    dtype: torch.dtype
    appearance: ImageRunner
    motion: MotionRunner
    stitch: StitchRunner
    warp: WarpRunner
    decode: DecodeRunner
    denoise: DenoiseRunner
    batches: tuple[int, ...] = (1, 2, 4, 8)
