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
    LEVELS,
    STEP,
    eight_bits,
    merged_taps,
    paired,
    parameter,
    plane_weights,
    planes_of,
    tap_weights,
    whole_units,
    with_margin,
)
from ditto_avatar.face.ditto.runtime.fused.operators import (
    GROUP,
    MODULATED,
    convolve,
    modulate,
    modulated,
)

NORM_EPSILON = 1e-5  # F.instance_norm's own
# The range of eight bits over the largest value that was seen while it was chosen.
ROOM = 1.1


class Hidden(nn.Module):
    """All hidden maps of one resolution, (groups, planes², b, 65, 65, 128), from features with a
    margin (b, 65, 65, 256), ReLU and margin included. As integers of eight bits their
    range is `reach` times the largest of an image's features."""

    weights: Tensor
    bias: Tensor
    reach: Tensor

    def __init__(self, conv: nn.Module) -> None:
        super().__init__()
        if isinstance(conv, nn.ConvTranspose2d):
            self.planes, weights = planes_of(conv.stride[0]), plane_weights(conv)
        else:
            self.planes, weights = 1, tap_weights(conv)
        self.register_buffer("weights", weights)
        self.register_buffer("bias", parameter(conv, "bias").float())
        self.register_buffer("reach", torch.ones((), device=self.bias.device))

    def forward(
        self, features: Tensor, largest: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """The maps and, in eight bits, how many levels a one is in each image (b,); for these
        `largest` (b,) are the largest features."""
        levels = None if largest is None else LEVELS / (self.reach * largest)
        hidden: Tensor = convolve(features, self.weights, self.bias, self.planes, levels)
        return hidden, levels

    @torch.no_grad()
    def calibrate(self, features: Tensor, largest: Tensor) -> None:
        """Choose the reach by some images: beyond the range what is largest is cut off, and that
        is seen sooner than a rounding. So there is room above."""
        maps = convolve(features, self.weights, self.bias, self.planes)
        self.reach.copy_(ROOM * (maps.amax(dim=(0, 1, 3, 4, 5)).float() / largest).max())


class FusedModulation(nn.Module):
    """A `Modulation` that takes its group of all hidden maps, whose planes are `factor` times
    enlarged. It enlarges x to the same size and applies the leaky ReLU that follows, if `leaky`.
    With `eight` it multiplies integers of eight bits."""

    weights: Tensor
    bias: Tensor
    units: Tensor

    def __init__(
        self, plain: Modulation, group: int, leaky: bool, factor: int = 1, eight: bool = False
    ) -> None:
        super().__init__()
        self.eight = eight
        self.group, self.leaky = group, leaky
        block = modulated(plain.maps.out_channels // 2, eight)
        weights = paired(tap_weights(plain.maps), block)
        parts = merged_taps(weights, factor)
        self.register_buffer("bias", paired(parameter(plain.maps, "bias").float(), block))
        if eight:
            rounded = [eight_bits(part) for part in parts]
            self.register_buffer("units", torch.stack([whole_units(*each) for each in rounded]))
            parts = [levels for levels, _ in rounded]
        self.register_buffer("weights", torch.cat([part.flatten(1) for part in parts], dim=1))

    def forward(
        self, x: Tensor, norm: tuple[Tensor, Tensor], hidden: tuple[Tensor, Tensor | None]
    ) -> Tensor:
        units = self.units if self.eight else None
        maps, levels = hidden
        y: Tensor = modulate(
            x, *norm, maps, self.group, self.weights, self.bias, self.leaky, units, levels
        )
        return y


def instance_norm(x: Tensor) -> tuple[Tensor, Tensor]:
    """Scale and shift (b, c) in float32 that make x (b, c, h, w) an instance norm. Enlarging x to
    nearest neighbours changes neither."""
    variance, mean = torch.var_mean(x.float(), dim=(2, 3), correction=0)
    scale = torch.rsqrt(variance + NORM_EPSILON)
    return scale, -mean * scale


def largest_of(features: Tensor) -> Tensor:
    """The largest absolute value of each image (b, c, h, w): (b,) in float32, never zero."""
    return features.abs().amax(dim=(1, 2, 3)).float().clamp(min=1e-6)


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
    """A `SpadeBlock` that reads hidden maps, `factor` times enlarged, from `group` on; its input
    may be half as large as they are. `last` says that no other block, hence no norm, follows. With
    `eight` they are integers of eight bits."""

    def __init__(
        self,
        plain: SpadeBlock,
        group: int,
        factor: int = 1,
        last: bool = False,
        eight: bool = False,
    ) -> None:
        super().__init__()

        def fused(norm: Modulation, index: int, leaky: bool = True) -> FusedModulation:
            return FusedModulation(norm, group + index, leaky, factor, eight)

        self.norm0 = fused(plain.norm0, 0)
        self.conv0 = unbiased(plain.conv0)
        self.norm1 = fused(plain.norm1, 1)
        self.conv1 = plain.conv1 if last else unbiased(plain.conv1)
        self.shortcut = plain.shortcut
        if plain.shortcut is not None:
            self.shortcut_norm = fused(plain.shortcut_norm, 2, leaky=False)

    def forward(self, x: Tensor, hidden: tuple[Tensor, Tensor | None]) -> Tensor:
        norm = instance_norm(x)
        y: Tensor = self.conv0(self.norm0(x, norm, hidden))
        y = self.conv1(self.norm1(y, instance_norm(y), hidden))
        if self.shortcut is not None:
            x = self.shortcut(self.shortcut_norm(x, norm, hidden))
        return y + x


class FusedDecoder(nn.Module):
    """A `Decoder` whose modulations are one kernel each and whose maps are enlarged unseen.

    With `eight` the modulations multiply integers of eight bits; `calibrate` comes first then.
    Raises `ValueError` for widths that the kernels do not know, and for weights whose hidden maps
    are not those of enlarged features."""

    def __init__(self, plain: Decoder, eight: bool = False) -> None:
        super().__init__()
        width = plain.hidden_x2.out_channels // 3
        blocks = [cast(SpadeBlock, block) for block in plain.middle]
        _check(plain.hidden.in_channels, width, [*blocks, plain.up0, plain.up1])
        self.first = unbiased(plain.first)
        self.eight = eight
        self.hidden = Hidden(plain.hidden)
        self.hidden_x2 = Hidden(plain.hidden_x2)
        self.hidden_x4 = Hidden(plain.hidden_x4)
        self.middle = nn.ModuleList(
            FusedSpadeBlock(block, 2 * index, eight=eight) for index, block in enumerate(blocks)
        )
        self.up0 = FusedSpadeBlock(plain.up0, 0, factor=2, eight=eight)
        self.up1 = FusedSpadeBlock(plain.up1, 0, factor=4, last=True, eight=eight)
        self.last = plain.last

    def calibrate(self, features: Tensor) -> None:
        """Choose the ranges of eight bits by features (b, 256, 64, 64) of some faces, once."""
        rows, largest = with_margin(features), largest_of(features)
        for hidden in (self.hidden, self.hidden_x2, self.hidden_x4):
            hidden.calibrate(rows, largest)

    def forward(self, features: Tensor) -> Tensor:
        rows = with_margin(features)
        largest = largest_of(features) if self.eight else None
        hidden = self.hidden(rows, largest)
        x = self.first(features)  # (b, 512, 64, 64)
        for block in self.middle:
            x = block(x, hidden)
        x = self.up0(x, self.hidden_x2(rows, largest))  # (b, 256, 128, 128)
        x = self.up1(x, self.hidden_x4(rows, largest))  # (b, 64, 256, 256)
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
