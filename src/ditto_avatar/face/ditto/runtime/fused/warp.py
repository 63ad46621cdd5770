"""The warp network with kernels of our own around its hourglass, made from the plain one: called
as that is, and computing the same."""

from __future__ import annotations

import copy
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ditto_avatar.face.ditto.networks import WarpNetwork
from ditto_avatar.face.ditto.networks.warp import FlowHeads, Up
from ditto_avatar.face.ditto.runtime.fused.margins import (
    folded_up,
    parameter,
    run_weights,
    with_margin,
    without_margin,
)
from ditto_avatar.face.ditto.runtime.fused.operators import bend, convolve_runs, propose

# Up-convolutions of up to as many channels are too narrow for a matrix product of their own.
NARROW = 64


class FusedWarp(nn.Module):
    """A `WarpNetwork`; its proposals are written in one go, and so is the bent volume."""

    def __init__(self, plain: WarpNetwork) -> None:
        super().__init__()
        self.compression = plain.compression
        self.heads = RunHeads(plain.heads)
        order = proposal_order(plain.heads.motions, plain.compression.out_channels)
        self.hourglass = copy.deepcopy(plain.hourglass)
        first = cast(nn.Conv3d, self.hourglass.downs[0].conv)
        maps = first.in_channels
        order += range(len(order), maps)  # the spare ones
        first.weight = reordered(first, order)
        last = self.hourglass.last
        before = last.in_channels - maps
        order = [*range(before), *(before + index for index in order)]
        last.weight = reordered(last, order)
        self.hourglass.last = RunConvolution(last)  # type: ignore[assignment]
        for index, up in enumerate(self.hourglass.ups):
            if cast(Up, up).conv.out_channels <= NARROW:
                self.hourglass.ups[index] = FoldedUp(cast(Up, up))
        self.maps = maps
        # The bent volume comes depth by depth, not channel by channel.
        channels = plain.compression.in_channels
        depth = plain.third.in_channels // channels
        self.third = copy.deepcopy(plain.third)
        self.third.weight = reordered(
            plain.third, [c * depth + z for z in range(depth) for c in range(channels)]
        )
        self.fourth = plain.fourth

    def compress(self, volume: Tensor) -> Tensor:
        """As `WarpNetwork.compress`. Not its method: that would keep all of its weights."""
        return F.relu(self.compression(volume))

    def forward(
        self, volume: Tensor, source: Tensor, driving: Tensor, compressed: Tensor | None = None
    ) -> Tensor:
        if compressed is None:
            compressed = self.compress(volume)
        proposals = propose(
            last_contiguous(compressed),
            source.contiguous(),
            driving.contiguous(),
            self.maps,
        )  # (b, 16, 64, 64, 112)
        taps, visible = self.heads(self.hourglass(proposals.permute(0, 4, 1, 2, 3)))
        shifts = F.pad(source - driving, (0, 0, 1, 0))
        x = bend(last_contiguous(volume), taps, self.heads.bias, shifts, self.heads.kernel)
        x = self.fourth(F.leaky_relu(self.third(x.permute(0, 3, 1, 2))))  # (b, 256, 64, 64)
        result: Tensor = x * visible
        return result


def last_contiguous(volume: Tensor) -> Tensor:
    """(b, c, d, h, w) to (b, d, h, w, c), contiguous."""
    return volume.permute(0, 2, 3, 4, 1).contiguous()


def proposal_order(motions: int, channels: int) -> list[int]:
    """Which of the plain network's proposals each of the kernel's is: that has each motion's heat
    before its channels, the kernel all heat after all channels."""
    group = channels + 1
    sampled = [motion * group + 1 + index for motion in range(motions) for index in range(channels)]
    return sampled + [motion * group for motion in range(motions)]


def reordered(conv: nn.Conv2d | nn.Conv3d, order: list[int]) -> nn.Parameter:
    """The weight for input channels in another order, laid out in memory as it was."""
    weight = parameter(conv, "weight")
    moved = torch.empty_like(weight)
    moved.copy_(weight[:, order])
    return nn.Parameter(moved, requires_grad=False)


class RunSums(nn.Module):
    """The sums of a convolution of squares with few outputs for a matrix product: these are
    rounded up to two powers of two."""

    weights: Tensor
    bias: Tensor

    def __init__(self, conv: nn.Conv2d | nn.Conv3d) -> None:
        super().__init__()
        if conv.in_channels % 8:
            raise ValueError(f"{conv.in_channels} channels are no multiple of 8")
        self.outputs, self.kernel = conv.out_channels, conv.kernel_size[0]
        wide, self.narrow = two_powers(self.outputs)
        self.register_buffer("weights", run_weights(conv, wide + self.narrow))
        self.register_buffer("bias", parameter(conv, "bias"))

    def rows(self, x: Tensor, planes: int) -> Tensor:
        """Of pictures (n, c, h, w), `planes` of them a volume: with a margin, and no bias yet."""
        # One more at the end: a run at the last place reads on.
        maps = F.pad(with_margin(x, self.kernel // 2), (0, 0, 0, 0, 0, 0, 0, 1))
        rows: Tensor = convolve_runs(maps, self.weights, planes, self.kernel, self.narrow)
        return rows


class RunConvolution(RunSums):
    """A convolution of volumes (n, c, d, h, w)."""

    def forward(self, x: Tensor) -> Tensor:
        count, _, depth = x.shape[:3]
        reach = self.kernel // 2
        slices = F.pad(x, (0, 0, 0, 0, reach, 0)).transpose(1, 2).flatten(0, 1)
        rows = self.rows(slices, reach + depth)
        y = without_margin(rows, reach)[:, : self.outputs] + self.bias[:, None, None]
        y = y.reshape(count, reach + depth, *y.shape[1:])
        return y[:, reach:].transpose(1, 2)


class RunHeads(RunSums):
    """`FlowHeads` that leave the taps along the depth to `bend`: gives them with a margin
    (b * d, 3 + h, 3 + w, outputs), and what is visible (b, 1, h, w)."""

    def __init__(self, plain: FlowHeads) -> None:
        super().__init__(plain.conv)
        self.before = plain.motions * plain.kernel

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        count, _, depth = x.shape[:3]
        taps = self.rows(x.transpose(1, 2).flatten(0, 1), planes=1)
        own = slice(self.before, self.before + depth)
        places = without_margin(taps, self.kernel // 2)[:, own] + self.bias[own, None, None]
        places = places.reshape(count, depth, *places.shape[1:])
        visible = torch.sigmoid(places.diagonal(dim1=1, dim2=2).float().sum(-1))
        return taps, visible[:, None].to(x.dtype)


class FoldedUp(nn.Module):
    """An `Up` whose convolution runs before the map is enlarged: four times the outputs, which
    suits few of them, at a quarter of the places."""

    def __init__(self, plain: Up) -> None:
        super().__init__()
        conv = plain.conv
        self.conv = nn.Conv3d(conv.in_channels, 4 * conv.out_channels, 3, padding=1, device="meta")
        weight = folded_up(conv)
        if parameter(conv, "weight").is_contiguous(memory_format=torch.channels_last_3d):
            weight = weight.contiguous(memory_format=torch.channels_last_3d)
        self.conv.weight = nn.Parameter(weight, requires_grad=False)
        bias = parameter(conv, "bias").repeat(4)
        self.conv.bias = nn.Parameter(bias, requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.conv(x))
        count, channels, depth, height, width = y.shape
        y = y.reshape(count, 2, 2, channels // 4, depth, height, width)
        y = y.permute(0, 3, 4, 5, 1, 6, 2)  # (b, c, d, h, 2, w, 2)
        return y.reshape(count, channels // 4, depth, 2 * height, 2 * width)


def two_powers(outputs: int) -> tuple[int, int]:
    """The largest power of two below, and the least one, of at least sixteen, that holds what is
    left."""
    wide = 1 << (outputs - 1).bit_length() - 1
    return wide, max(16, 1 << (outputs - wide - 1).bit_length())
