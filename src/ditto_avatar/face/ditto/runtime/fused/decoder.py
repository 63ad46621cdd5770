"""Run the decoder with Triton kernels for its modulations.

Made from the plain decoder: the same call, the same result within rounding.
"""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ditto_avatar.face.ditto.networks import Decoder
from ditto_avatar.face.ditto.networks.decoder import SLOPE, Modulation, SpadeBlock
from ditto_avatar.face.ditto.runtime.fused.margins import (
    STEP,
    paired,
    parameter,
    phase_weights,
    tap_weights,
    with_margin,
)
from ditto_avatar.face.ditto.runtime.fused.operators import GROUP, MODULATED, convolve, modulate

NORM_EPSILON = 1e-5  # F.instance_norm's own


class Hidden(nn.Module):
    """All hidden maps of one resolution, (groups, b, s + 1, s + 1, 128), from features with a
    margin (b, 65, 65, 256), ReLU and margin included."""

    weights: Tensor
    bias: Tensor

    def __init__(self, conv: nn.Module) -> None:
        super().__init__()
        if isinstance(conv, nn.ConvTranspose2d):
            self.factor, weights = conv.stride[0], phase_weights(conv)
        else:
            self.factor, weights = 1, tap_weights(conv)
        self.register_buffer("weights", weights)
        self.register_buffer("bias", parameter(conv, "bias").float())

    def forward(self, features: Tensor) -> Tensor:
        hidden: Tensor = convolve(features, self.weights, self.bias, self.factor)
        return hidden


class FusedModulation(nn.Module):
    """A `Modulation` that takes its group of all hidden maps. It enlarges x to their size and
    applies the leaky ReLU that follows, if `leaky`."""

    weights: Tensor
    bias: Tensor

    def __init__(self, plain: Modulation, group: int, leaky: bool) -> None:
        super().__init__()
        self.group, self.leaky = group, leaky
        block = min(MODULATED, plain.maps.out_channels // 2)
        self.register_buffer("weights", paired(tap_weights(plain.maps), block))
        self.register_buffer("bias", paired(parameter(plain.maps, "bias").float(), block))

    def forward(self, x: Tensor, norm: tuple[Tensor, Tensor], hidden: Tensor) -> Tensor:
        y: Tensor = modulate(x, *norm, hidden, self.group, self.weights, self.bias, self.leaky)
        return y


def instance_norm(x: Tensor) -> tuple[Tensor, Tensor]:
    """Scale and shift (b, c) in float32 that make x (b, c, h, w) an instance norm. Enlarging x to
    nearest neighbours changes neither."""
    variance, mean = torch.var_mean(x.float(), dim=(2, 3), correction=0)
    scale = torch.rsqrt(variance + NORM_EPSILON)
    return scale, -mean * scale


def unbiased(conv: nn.Conv2d) -> nn.Conv2d:
    """The convolution without its bias, for in front of an instance norm, which takes away what
    is the same everywhere."""
    kernel = conv.kernel_size[0]
    bare = nn.Conv2d(
        conv.in_channels, conv.out_channels, kernel, padding=kernel // 2, bias=False, device="meta"
    )
    bare.weight = conv.weight
    return bare


class FusedSpadeBlock(nn.Module):
    """A `SpadeBlock` that reads hidden maps from `group` on; its input may be half as large as
    they are. `last` says that no
    other block, hence no norm, follows."""

    def __init__(self, plain: SpadeBlock, group: int, last: bool = False) -> None:
        super().__init__()
        self.norm0 = FusedModulation(plain.norm0, group, leaky=True)
        self.conv0 = unbiased(plain.conv0)
        self.norm1 = FusedModulation(plain.norm1, group + 1, leaky=True)
        self.conv1 = plain.conv1 if last else unbiased(plain.conv1)
        self.shortcut = plain.shortcut
        if plain.shortcut is not None:
            self.shortcut_norm = FusedModulation(plain.shortcut_norm, group + 2, leaky=False)

    def forward(self, x: Tensor, hidden: Tensor) -> Tensor:
        norm = instance_norm(x)
        y: Tensor = self.conv0(self.norm0(x, norm, hidden))
        y = self.conv1(self.norm1(y, instance_norm(y), hidden))
        if self.shortcut is not None:
            x = self.shortcut(self.shortcut_norm(x, norm, hidden))
        return y + x


class FusedDecoder(nn.Module):
    """A `Decoder` whose modulations are one kernel each and whose maps are enlarged unseen.

    Raises `ValueError` for widths that the kernels do not know."""

    def __init__(self, plain: Decoder) -> None:
        super().__init__()
        width = plain.hidden_x2.out_channels // 3
        blocks = [cast(SpadeBlock, block) for block in plain.middle]
        _check(plain.hidden.in_channels, width, [*blocks, plain.up0, plain.up1])
        self.first = unbiased(plain.first)
        self.hidden = Hidden(plain.hidden)
        self.hidden_x2 = Hidden(plain.hidden_x2)
        self.hidden_x4 = Hidden(plain.hidden_x4)
        self.middle = nn.ModuleList(
            FusedSpadeBlock(block, 2 * index) for index, block in enumerate(blocks)
        )
        self.up0 = FusedSpadeBlock(plain.up0, 0)
        self.up1 = FusedSpadeBlock(plain.up1, 0, last=True)
        self.last = plain.last

    def forward(self, features: Tensor) -> Tensor:
        rows = with_margin(features)
        hidden = self.hidden(rows)
        x = self.first(features)  # (b, 512, 64, 64)
        for block in self.middle:
            x = block(x, hidden)
        x = self.up0(x, self.hidden_x2(rows))  # (b, 256, 128, 128)
        x = self.up1(x, self.hidden_x4(rows))  # (b, 64, 256, 256)
        x = self.last(F.leaky_relu(x, SLOPE))  # (b, 12, 256, 256)
        return torch.sigmoid(F.pixel_shuffle(x, 2))  # (b, 3, 512, 512)


def _check(features: int, hidden: int, blocks: list[SpadeBlock]) -> None:
    if features % STEP:
        raise ValueError(f"{features} channels are no multiple of {STEP}")
    if hidden != GROUP:
        raise ValueError(f"{hidden} hidden channels are not {GROUP}")
    for norm in (norm for block in blocks for norm in (block.norm0, block.norm1)):
        channels = norm.maps.out_channels // 2
        if channels != MODULATED // 2 and channels % MODULATED:
            raise ValueError(f"{channels} channels are neither 64 nor a multiple of {MODULATED}")
