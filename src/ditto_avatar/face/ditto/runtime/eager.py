"""The networks as they are: float32 on a CPU, half precision for pictures on a GPU."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import cast

import torch
from torch import Tensor, nn

from ditto_avatar.face.ditto.networks import (
    AppearanceExtractor,
    ClipPath,
    Decoder,
    FramePath,
    MotionDiffusion,
    MotionExtractor,
    StitchNetwork,
    WarpNetwork,
)
from ditto_avatar.face.ditto.networks.paths import Function
from ditto_avatar.face.ditto.runtime.base import CompilesAhead, Runners
from ditto_avatar.face.ditto.sampler import schedule


class StepwiseClips:
    """A `ClipPath` of `encode` and `predict` for each number of steps that is asked for, wrapped
    by `finish`."""

    def __init__(
        self,
        encode: Function,
        predict: Function,
        dtype: torch.dtype = torch.float32,
        finish: Callable[[Function], Function] = lambda function: function,
    ) -> None:
        self._encode = encode
        self._predict = predict
        self._dtype = dtype
        self._finish = finish
        self._paths: dict[int, Function] = {}

    def compile_ahead(
        self, condition: Tensor, first: Tensor, start: Tensor, noises: Tensor
    ) -> None:
        """Let the path of as many steps compile for these shapes."""
        path = self._path(len(noises) + 1)
        if isinstance(path, CompilesAhead):
            path.compile_ahead(condition, first, start, noises)

    def __call__(self, condition: Tensor, first: Tensor, start: Tensor, noises: Tensor) -> Tensor:
        motion: Tensor = self._path(len(noises) + 1)(condition, first, start, noises)
        return motion

    def _path(self, steps: int) -> Function:
        if steps not in self._paths:
            path = ClipPath(self._encode, self._predict, schedule(steps), self._dtype)
            self._paths[steps] = self._finish(path)
        return self._paths[steps]


class Appearance(nn.Module):
    """The appearance extractor, which reads float32 crops whatever it computes in."""

    def __init__(self, extractor: AppearanceExtractor, dtype: torch.dtype) -> None:
        super().__init__()
        self.extractor = extractor
        self.dtype = dtype

    def forward(self, image: Tensor) -> Tensor:
        volume: Tensor = self.extractor(image.to(self.dtype))
        return volume


def place_networks(
    networks: Mapping[str, nn.Module], device: torch.device, dtype: torch.dtype
) -> tuple[Appearance, MotionExtractor, FramePath, MotionDiffusion]:
    """Networks under the manifest's names on a device: the picture's in `dtype`, those that
    measure and move in float32. Copies of them: what a backend does to its own, another one must
    not find."""

    def placed(name: str, kind: torch.dtype = torch.float32) -> nn.Module:
        return copy.deepcopy(networks[name]).to(device=device, dtype=kind)

    frame = FramePath(
        cast(StitchNetwork, placed("stitch_network")),
        cast(WarpNetwork, placed("warp_network", dtype)),
        cast(Decoder, placed("decoder", dtype)),
    )
    appearance = cast(AppearanceExtractor, placed("appearance_extractor", dtype))
    return (
        Appearance(appearance, dtype),
        cast(MotionExtractor, placed("motion_extractor")),
        frame,
        cast(MotionDiffusion, placed("lmdm")),
    )


def eager_runners(
    networks: Mapping[str, nn.Module], device: torch.device, dtype: torch.dtype = torch.float32
) -> Runners:
    """Runners that call the networks one operator at a time."""
    appearance, motion, frame, diffusion = place_networks(networks, device, dtype)
    return Runners(
        "eager",
        device,
        dtype,
        appearance=appearance,
        compress=frame.warp.compress,
        motion=motion,
        frame=frame,
        clip=StepwiseClips(diffusion.encode, diffusion),
    )
