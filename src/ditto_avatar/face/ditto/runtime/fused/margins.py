"""How the kernels keep maps, and weights in the order in which they read them.

A map has a margin: `reach` lines of zeros above it and `reach` columns of zeros at its left, with
channels last, (n, reach + h, reach + w, c). Read as rows of channels, one a place, a neighbour
lies a fixed number of rows away wherever the place is: what is right of a line is the next one's
margin, and what is below a picture is the next one's. So a convolution is a sum of matrix
products of shifted rows, and no product needs to look where the edges are.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Values of the channels (or of a run, below) that a kernel multiplies at a time.
STEP = 64


def with_margin(maps: Tensor, reach: int = 1) -> Tensor:
    """(n, c, h, w) to (n, reach + h, reach + w, c), contiguous."""
    return F.pad(maps.permute(0, 2, 3, 1), (0, 0, reach, 0, reach, 0))


def without_margin(maps: Tensor, reach: int = 1) -> Tensor:
    """The way back, as a view (n, c, h, w)."""
    return maps[:, reach:, reach:].permute(0, 3, 1, 2)


def run_length(channels: int, kernel: int) -> int:
    """How many values a line of a kernel reads: those of neighbouring places follow each other,
    so that they are one run. Rounded up to whole steps."""
    return -(-channels * kernel // STEP) * STEP


def run_weights(conv: nn.Module, outputs: int) -> Tensor:
    """Of a convolution (o, c, [k,] k, k), one run a line of the kernel: (outputs, lines * run).
    What the run was rounded up by, and outputs beyond o, are zeros."""
    weight = parameter(conv, "weight")
    channels, kernel = weight.shape[1], weight.shape[-1]
    lines = weight.movedim(1, -1).flatten(-2)  # (o, [k,] k, k * c)
    lines = F.pad(lines, (0, run_length(channels, kernel) - kernel * channels))
    lines = lines.flatten(1)
    return F.pad(lines, (0, 0, 0, outputs - len(lines))).contiguous()


def tap_weights(conv: nn.Module) -> Tensor:
    """Of a 3 x 3 convolution (o, c, 3, 3): (o, 9 * c)."""
    return parameter(conv, "weight").permute(0, 2, 3, 1).flatten(1).contiguous()


def planes_of(factor: int) -> int:
    """How many planes along an axis a map has that was enlarged by a factor of 1, 2 or 4 and then
    convolved: by a factor of 4 the two places in the middle see the same and are one."""
    return min(factor, 3)


def plane_weights(conv: nn.ConvTranspose2d) -> Tensor:
    """Of a transposed convolution (c, o, f + 2, f + 2) of stride f and padding 1, which makes a map
    f times as large: (o, taps * c), plane by plane.

    Output f * i + a reads place i + t with the kernel's a + 1 - f * t: for the first phase t is -1
    and 0, for the last 0 and 1, else 0. Raises `ValueError` where the two phases in the middle of
    four differ, which those of a 3 x 3 convolution of an enlarged map do not."""
    weight, factor = parameter(conv, "weight"), conv.stride[0]
    phases = {2: (0, 1), 4: (0, 1, 3)}[factor]
    if factor == 4 and not (
        torch.equal(weight[:, :, 2], weight[:, :, 3])
        and torch.equal(weight[:, :, :, 2], weight[:, :, :, 3])
    ):
        raise ValueError("a transposed convolution is not one of an enlarged map")
    parts = [
        weight[:, :, above + 1 - factor * y, left + 1 - factor * x].t()
        for above in phases
        for left in phases
        for y in _taps(above, factor)
        for x in _taps(left, factor)
    ]
    return torch.cat(parts, dim=1).contiguous()


def _taps(phase: int, factor: int) -> tuple[int, ...]:
    if phase == 0:
        return (-1, 0)
    return (0, 1) if phase == factor - 1 else (0,)


# Of a map enlarged by four, which planes' taps a place reads along an axis, phase by phase: in the
# middle two of three taps read the same plane, so that their weights are one.
_MERGED = (
    ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    ((1, 0, 0), (0, 1, 1)),
    ((1, 1, 0), (0, 0, 1)),
    ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
)


def merged_taps(weights: Tensor, factor: int) -> list[Tensor]:
    """`tap_weights` (o, 9 * c) as (o, lines, columns, c): for a map enlarged by four one for each
    of its 16 phases, 100 taps in all instead of 144, else one for all."""
    taps = weights.reshape(len(weights), 3, 3, -1)
    if factor < 4:
        return [taps]
    merged = [torch.tensor(each, dtype=torch.float32, device=weights.device) for each in _MERGED]
    return [
        torch.einsum("ay,bx,oyxc->oabc", lines, columns, taps.float()).to(weights.dtype)
        for lines in merged
        for columns in merged
    ]


def paired(values: Tensor, block: int) -> Tensor:
    """Factors and offsets (2 c, ...), all of the first before all of the second, to `block`
    factors before their `block` offsets, and so on, so that one tile of a product holds both."""
    channels = len(values) // 2
    pairs = values.reshape(2, channels // block, block, *values.shape[1:]).transpose(0, 1)
    return pairs.flatten(0, 2).contiguous()


# Hidden maps in eight bits: 256 levels from nothing, as they are never negative.
EMPTY, LEVELS = -128, 255
WEIGHT_LEVELS = 127


def eight_bits(weights: Tensor) -> tuple[Tensor, Tensor]:
    """Weights (o, lines, columns, c) as integers of eight bits, each row scaled to their range, and
    what one stands for in each row, (o,) in float32.

    What a tap loses or gains by rounding goes to the next one beside it: neighbours in a map are
    alike, so that the sum over the taps is closer than with each of them rounded alone."""
    units = weights.float().abs().amax(dim=(1, 2, 3)).clamp(min=1e-12) / WEIGHT_LEVELS
    exact = weights.float() / units[:, None, None, None]
    rounded, rest = torch.empty_like(exact), torch.zeros_like(exact[:, 0, 0])
    for y in range(exact.shape[1]):
        columns = range(exact.shape[2])
        # To and fro, so that each tap lies beside the last.
        for x in reversed(columns) if y % 2 else columns:
            wanted = exact[:, y, x] + rest
            rounded[:, y, x] = wanted.round().clamp(-WEIGHT_LEVELS, WEIGHT_LEVELS)
            rest = wanted - rounded[:, y, x]
    return rounded.to(torch.int8), units


def whole_units(weights: Tensor, units: Tensor) -> Tensor:
    """Of weights (o, ...) in eight bits: what one stands for, and what they make of empty maps,
    (2, o)."""
    return torch.stack([units, EMPTY * weights.float().flatten(1).sum(dim=1) * units])


def folded_up(conv: nn.Conv3d) -> Tensor:
    """A convolution (o, c, 3, 3, 3) of a map that was doubled in height and width, as one of the
    map itself with the four places of each as outputs: (4 o, c, 3, 3, 3), line by line."""
    weight = parameter(conv, "weight")
    # Place 2 i + a of the doubled map, moved by a tap of -1, 0 or 1, comes from i + (a + tap) // 2.
    fold = torch.zeros(2, 3, 3, dtype=weight.dtype, device=weight.device)
    for phase in range(2):
        for tap in range(3):
            fold[phase, tap, (phase + tap - 1) // 2 + 1] = 1
    folded = torch.einsum("ocdyx,ayv,bxw->aboc" + "dvw", weight, fold, fold)
    return folded.flatten(0, 2).contiguous()


def parameter(module: nn.Module, name: str) -> Tensor:
    """A weight or bias as plain numbers."""
    value = getattr(module, name)
    assert isinstance(value, Tensor)
    return value.detach()
