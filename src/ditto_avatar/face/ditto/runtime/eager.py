"""The networks as they are: float32 on a CPU, mixed precision on a GPU."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from ditto_avatar.face.ditto.runtime.base import Runners


def eager_runners(
    networks: Mapping[str, nn.Module], device: torch.device, dtype: torch.dtype = torch.float32
) -> Runners:
    """Runners for networks under the manifest's names; the picture's networks run in `dtype`,
    those that measure and move in float32."""

    def placed(name: str, kind: torch.dtype) -> nn.Module:
        return networks[name].to(device=device, dtype=kind)

    precise = torch.float32
    return Runners(
        "eager",
        device,
        dtype,
        appearance=placed("appearance_extractor", dtype),
        motion=placed("motion_extractor", precise),
        stitch=placed("stitch_network", precise),
        warp=placed("warp_network", dtype),  # type: ignore[arg-type]  # has `compress`
        decode=placed("decoder", dtype),
        denoise=placed("lmdm", precise),  # type: ignore[arg-type]  # has `encode`
    )
