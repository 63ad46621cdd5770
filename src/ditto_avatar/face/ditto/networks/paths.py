"""The two ways through several networks that a device walks without a pause.

`FramePath` turns keypoints into a picture, `ClipPath` noise into a clip of motion. Each is a
module with one call and fixed shapes, so that a backend may compile it as a whole.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ditto_avatar.face.ditto.networks.decoder import Decoder
from ditto_avatar.face.ditto.networks.stitch import StitchNetwork
from ditto_avatar.face.ditto.networks.warp import WarpNetwork
from ditto_avatar.face.ditto.sampler import Step

Function = Callable[..., Any]


class FramePath(nn.Module):
    """Stitch, warp, decode: volume (b, 32, 16, 64, 64), compressed volume (b, 4, 16, 64, 64) and
    keypoints (b, 21, 3) of source and drive to faces (b, 3, 512, 512) in 0..1.

    Keypoints are float32; the picture's networks run in the volume's dtype."""

    def __init__(self, stitch: StitchNetwork, warp: WarpNetwork, decoder: Decoder) -> None:
        super().__init__()
        self.stitch = stitch
        self.warp = warp
        self.decoder = decoder

    def forward(
        self, volume: Tensor, compressed: Tensor, source: Tensor, driving: Tensor
    ) -> Tensor:
        stitched = self.stitch(source, driving)
        faces: Tensor = self.decoder(self.warp(volume, source, stitched, compressed))
        return faces


class ClipPath(nn.Module):
    """All steps of the sampler: conditions (b, 80, 1103), the frames to continue from (b, 265),
    start noise (b, 80, 265) and the noises between steps (steps - 1, b, 80, 265) to motion
    (b, 80, 265), float32.

    `encode` and `predict` are `MotionDiffusion.encode` and the diffusion itself, or what stands
    for them; they are given `dtype`. A compiler is given these parts and not the loop, which it
    would unroll."""

    def __init__(
        self,
        encode: Function,
        predict: Function,
        steps: tuple[Step, ...],
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        self.steps = steps
        self.dtype = dtype
        self.encode = encode
        self.predict = predict

    def forward(self, condition: Tensor, first: Tensor, start: Tensor, noises: Tensor) -> Tensor:
        kind = self.dtype
        context = self.encode(condition.to(kind), first.to(kind))
        x: Tensor = start
        for index, step in enumerate(self.steps):
            # The last step gives its prediction; the noise drawn there would have no weight.
            time = torch.full((x.shape[0],), step.time, dtype=torch.int64, device=x.device)
            clean = self.predict(x.to(kind), time, *context).float()
            if index == len(self.steps) - 1:
                x = clean
                break
            noise = step.noise_x * x - step.noise_start * clean
            x = step.keep * clean + step.direct * noise + step.fresh * noises[index]
        return x
