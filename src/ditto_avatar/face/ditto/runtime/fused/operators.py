"""The kernels as operators of torch, so that a compiled graph may hold them.

Sizes of tiles are those that were fastest on an H200; docs/performance.md has the others.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
import triton
from torch import Tensor
from triton.tools.tensor_descriptor import TensorDescriptor

from ditto_avatar.face.ditto.networks.decoder import SLOPE
from ditto_avatar.face.ditto.networks.warp import HEAT_VARIANCE
from ditto_avatar.face.ditto.runtime.fused.flow_kernels import bend_kernel, propose_kernel
from ditto_avatar.face.ditto.runtime.fused.kernels import (
    convolve_kernel,
    modulate_kernel,
    run_kernel,
)
from ditto_avatar.face.ditto.runtime.fused.margins import EMPTY, STEP, run_length

PLACES = 128
# Channels that a program of `modulate` makes, half of the outputs of its product.
MODULATED = 128
# Hidden channels that a modulation reads: what one program of `convolve` makes.
GROUP = 128


@torch.library.custom_op("ditto_avatar::convolve", mutates_args=())
def convolve(
    maps: Tensor, weights: Tensor, bias: Tensor, planes: int, levels: Tensor | None = None
) -> Tensor:
    """relu of a convolution of maps with a margin of one (n, s + 1, s + 1, c): by `tap_weights` for
    one plane, else by `plane_weights` for `planes` of them along each axis; bias (o,) is float32.
    The result has margins, too, and lies in groups: (o / 128, planes², n, s + 1, s + 1, 128). c
    must be a multiple of 64, o of 128. With `levels` (n,), float32, the result is multiplied with
    them and comes as integers of eight bits from `EMPTY` on, with a line more of them behind it
    that `modulate` reads."""
    count, line, _, channels = maps.shape
    groups = weights.shape[0] // GROUP
    shape = (groups, planes**2, count, line, line, GROUP)
    if levels is None:
        result = maps.new_empty(shape)
    else:
        result = _with_tail(maps.new_empty(_tailed(shape), dtype=torch.int8), shape)
    rows = count * line * line
    convolve_kernel[(triton.cdiv(rows, PLACES) * planes**2 * groups,)](
        TensorDescriptor.from_tensor(maps.view(rows, channels), [PLACES, STEP]),
        TensorDescriptor.from_tensor(weights, [GROUP, STEP]),
        bias,
        bias if levels is None else levels,
        result,
        rows,
        groups,
        EIGHT=levels is not None,
        SIDE=line - 1,
        PLANES=planes,
        CHANNELS=channels,
        PLACES=PLACES,
        OUTPUTS=GROUP,
        STEP=STEP,
        STAGES=3,
        num_warps=4,
    )
    return result


@convolve.register_fake
def _(
    maps: Tensor, weights: Tensor, bias: Tensor, planes: int, levels: Tensor | None = None
) -> Tensor:
    count, line, _, _ = maps.shape
    kind = maps.dtype if levels is None else torch.int8
    shape = (weights.shape[0] // GROUP, planes**2, count, line, line, GROUP)
    return maps.new_empty(shape, dtype=kind)


def _tailed(shape: tuple[int, ...]) -> int:
    """How many values maps (..., s + 1, s + 1, c) have with the line behind the last of them."""
    line, width = shape[-2:]
    return math.prod(shape) + (line + 1) * width


def _with_tail(values: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The maps, with emptiness behind: beyond the values the copy engine fetches zeros, which
    are not empty in eight bits."""
    inside = math.prod(shape)
    values[inside:].fill_(EMPTY)
    return values[:inside].view(shape)


@torch.library.custom_op("ditto_avatar::modulate", mutates_args=())
def modulate(
    x: Tensor,
    scale: Tensor,
    shift: Tensor,
    hidden: Tensor,
    group: int,
    weights: Tensor,
    bias: Tensor,
    leaky: bool,
    units: Tensor | None = None,
    levels: Tensor | None = None,
) -> Tensor:
    """x (n, c, s, s), channels last, made an instance norm by scale and shift (n, c) in float32 and
    enlarged to the hidden maps' side S, times factors plus offsets; then a leaky ReLU. Both are a
    3 x 3 convolution of one group of hidden maps by `convolve` (g, 1, 4 or 9 planes, n, L, L, 128),
    S = 1, 2 or 4 times L - 1, by `paired` `merged_taps` and a `paired` bias in float32. Gives (n,
    c, S, S), channels last. c must be 64 or a multiple of 128. With `units` and `levels`, float32,
    hidden maps and weights are integers of eight bits: `units` are the `whole_units` of each of the
    `merged_taps`, paired; a one of the hidden maps is `levels` (n,)."""
    count, channels, small, _ = x.shape
    phases, side = _enlarged(hidden)
    if (channels != MODULATED // 2 and channels % MODULATED) or side % small:
        raise ValueError(f"no kernel for {tuple(x.shape)} under hidden {tuple(hidden.shape)}")
    if weights.shape[1] != (100 if phases == 4 else 9) * hidden.shape[-1]:
        raise ValueError(f"weights {tuple(weights.shape)} are not for maps enlarged by {phases}")
    x = x.contiguous(memory_format=torch.channels_last)
    line, width = hidden.shape[-2:]
    block = modulated(channels, eight=units is not None)
    result = x.new_empty(count, side, side, channels)
    eight = units is not None
    # Few channels leave registers for more places.
    places = PLACES if eight else PLACES * MODULATED // block
    tiles = count * phases**2 * triton.cdiv((line - 1) * line, places) * (channels // block)
    hidden = hidden.view(-1, width)
    if eight:
        hidden = hidden.as_strided((len(hidden) + line + 1, width), (width, 1))
    # As many bytes a step.
    step = min(2 * STEP, width) if eight else STEP
    programs = (2 if eight else 1) * _processors(x.device)
    modulate_kernel[(min(tiles, programs),)](
        TensorDescriptor.from_tensor(hidden, [places, step]),
        TensorDescriptor.from_tensor(weights, [2 * block, step]),
        bias,
        bias if units is None else units,
        bias if levels is None else levels,
        x,
        scale,
        shift,
        result,
        count,
        group,
        channels,
        GRID=line - 1,
        PHASES=phases,
        UP=side // small,
        HIDDEN=width,
        LEAKY=leaky,
        EIGHT=eight,
        SLOPE=SLOPE,
        PLACES=places,
        CHANNELS=block,
        STEP=step,
        STAGES=3 if eight else 4,
        num_warps=8,
        # Two programs share the registers of a multiprocessor.
        maxnreg=128 if eight else None,
    )
    return result.permute(0, 3, 1, 2)


@modulate.register_fake
def _(
    x: Tensor,
    scale: Tensor,
    shift: Tensor,
    hidden: Tensor,
    group: int,
    weights: Tensor,
    bias: Tensor,
    leaky: bool,
    units: Tensor | None = None,
    levels: Tensor | None = None,
) -> Tensor:
    _, side = _enlarged(hidden)
    return x.new_empty(x.shape[0], side, side, x.shape[1]).permute(0, 3, 1, 2)


def _enlarged(hidden: Tensor) -> tuple[int, int]:
    """How often a plane of hidden maps is enlarged, and the side that comes of it."""
    phases = {1: 1, 4: 2, 9: 4}[hidden.shape[1]]
    return phases, phases * (hidden.shape[-2] - 1)


@torch.library.custom_op("ditto_avatar::convolve_runs", mutates_args=())
def convolve_runs(maps: Tensor, weights: Tensor, planes: int, kernel: int, narrow: int) -> Tensor:
    """A convolution by `run_weights` of maps with a margin of kernel // 2 and one map more at the
    end, of finite numbers: (n + 1, line, line, c). `planes` of them are a volume, the empty ones
    before it counted, or 1 for a convolution of pictures. `narrow` outputs are a product of their
    own; that many and the others must be powers of two. Gives rows (n, line, line, outputs) of
    which the margins' mean nothing. c must be a multiple of 8."""
    count, line, _, channels = maps.shape
    count -= 1
    run, outputs = run_length(channels, kernel), weights.shape[0]
    reach, wide = kernel // 2, outputs - narrow
    result = maps.new_empty(count, line, line, outputs)
    rows = maps.as_strided((count * line * line, run), (channels, 1))
    margin = reach * line * line if planes > 1 else reach * line
    tiles = triton.cdiv(planes * line * line - margin, PLACES)
    run_kernel[(count // planes * tiles,)](
        TensorDescriptor.from_tensor(rows, [PLACES, STEP]),
        TensorDescriptor.from_tensor(weights, [wide, STEP]),
        TensorDescriptor.from_tensor(weights, [narrow, STEP]),
        result,
        PLANES=planes,
        SIDE=line - reach,
        KERNEL=kernel,
        RUN=run,
        PLACES=PLACES,
        WIDE=wide,
        NARROW=narrow,
        STEP=STEP,
        STAGES=4 if planes == 1 else 3,
        num_warps=4,
    )
    return result


@convolve_runs.register_fake
def _(maps: Tensor, weights: Tensor, planes: int, kernel: int, narrow: int) -> Tensor:
    count, line, _, _ = maps.shape
    return maps.new_empty(count - 1, line, line, weights.shape[0])


@torch.library.custom_op("ditto_avatar::propose", mutates_args=())
def propose(compressed: Tensor, source: Tensor, driving: Tensor, outputs: int) -> Tensor:
    """What the hourglass looks at: compressed volumes (n, d, s, s, c) under the shifts of
    keypoints (n, k, 3), float32, from driving to source, and the keypoints' heat. Gives (n, d, s,
    s, outputs): c values for no shift and for each keypoint, k + 1 values of heat of which the
    first is zero, and zeros. c and s must be powers of two."""
    count, depth, side, _, channels = compressed.shape
    motions = source.shape[1] + 1
    result = compressed.new_empty(count, depth, side, side, outputs)
    propose_kernel[(count * depth * side,)](
        compressed,
        source,
        driving,
        result,
        DEPTH=depth,
        SIDE=side,
        CHANNELS=channels,
        MOTIONS=motions,
        ROOM=triton.next_power_of_2(outputs - motions * channels),
        OUTPUTS=outputs,
        SHARPNESS=0.5 / HEAT_VARIANCE,
        num_warps=8,
    )
    return result


@propose.register_fake
def _(compressed: Tensor, source: Tensor, driving: Tensor, outputs: int) -> Tensor:
    return compressed.new_empty(*compressed.shape[:4], outputs)


@torch.library.custom_op("ditto_avatar::bend", mutates_args=())
def bend(volume: Tensor, taps: Tensor, bias: Tensor, shifts: Tensor, kernel: int) -> Tensor:
    """Volumes (n, d, s, s, c) sampled where the mix of the candidates' shifts (n, k, 3), float32,
    points. The mix is the softmax of a kernel x kernel x kernel convolution, of which `taps` are
    the sums over lines and columns, k for each tap along the depth, as `convolve_runs` gives them.
    Result (n, s, s, d * c), depth by depth. c and s must be powers of two."""
    count, depth, side, _, channels = volume.shape
    motions = shifts.shape[1]
    result = volume.new_empty(count, side, side, depth * channels)
    bend_kernel[(count * depth * side,)](
        taps,
        bias,
        shifts,
        volume,
        result,
        DEPTH=depth,
        SIDE=side,
        CHANNELS=channels,
        MOTIONS=motions,
        ROOM=triton.next_power_of_2(motions),
        KERNEL=kernel,
        OUTPUTS=taps.shape[3],
        num_warps=4,
    )
    return result


@bend.register_fake
def _(volume: Tensor, taps: Tensor, bias: Tensor, shifts: Tensor, kernel: int) -> Tensor:
    count, depth, side, _, channels = volume.shape
    return volume.new_empty(count, side, side, depth * channels)


def modulated(channels: int, eight: bool = False) -> int:
    """How many channels of so many a program of `modulate` makes, half of the outputs of its
    product. Sums of integers leave registers for fewer of them."""
    return min(MODULATED // 2 if eight else MODULATED, channels)


@lru_cache
def _processors(device: torch.device) -> int:
    """The device's multiprocessors; a few where Triton interprets."""
    if device.type != "cuda":
        return 4
    return torch.cuda.get_device_properties(device).multi_processor_count
