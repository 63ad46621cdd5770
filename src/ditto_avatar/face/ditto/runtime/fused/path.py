"""The way of a frame as this backend goes it."""

from __future__ import annotations

import copy
from typing import cast

from torch import Tensor, nn

from ditto_avatar.face.ditto.networks import (
    Decoder,
    FramePath,
    StitchNetwork,
    WarpNetwork,
)
from ditto_avatar.face.ditto.runtime.fused.decoder import FusedDecoder
from ditto_avatar.face.ditto.runtime.fused.warp import FusedWarp


class SummedLinear(nn.Module):
    """A linear layer (b, n) to (b, m) written as sums, for few rows: a compiler spreads those over
    the whole chip, a matrix product of sixteen rows would stay on one multiprocessor."""

    def __init__(self, plain: nn.Linear) -> None:
        super().__init__()
        self.weight, self.bias = plain.weight, plain.bias

    def forward(self, x: Tensor) -> Tensor:
        return (x[:, None] * self.weight).sum(-1) + self.bias


def summed(plain: StitchNetwork) -> StitchNetwork:
    stitch = copy.deepcopy(plain)
    for index, layer in enumerate(stitch.layers):
        stitch.layers[index] = SummedLinear(cast(nn.Linear, layer))
    return stitch


def fused_path(frame: FramePath, features: Tensor | None = None) -> FramePath:
    """The same path by other modules; the plain ones are left as they are. With `features`
    (b, 256, 64, 64) of some faces, integers of eight bits where `FusedDecoder` says. Raises
    `ValueError` for networks of widths that the kernels do not know."""
    warp, decoder = FusedWarp(frame.warp), FusedDecoder(frame.decoder, eight=features is not None)
    if features is not None:
        decoder.calibrate(features)
    return FramePath(summed(frame.stitch), cast(WarpNetwork, warp), cast(Decoder, decoder))
