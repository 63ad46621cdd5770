"""The Triton kernels. Each multiplies tiles of shifted rows (see `margins`), which the GPU's copy
engine fetches; places outside the tensor come as zeros.

Half precision in and out, sums in float32. Hidden maps and the weights of modulations may be
integers of eight bits, and their sums integers then.
"""

# Triton reads annotations: no postponed ones here.
# mypy: disable-error-code="no-untyped-def, untyped-decorator"

import triton
import triton.language as tl


@triton.jit
def convolve_kernel(
    maps,  # rows of channels, a tile of (PLACES, STEP)
    weights,  # (outputs, taps * CHANNELS), a tile of (OUTPUTS, STEP)
    bias,
    levels,  # (images,), what to multiply with for integers of eight bits
    result,  # (blocks, rows of the larger map, OUTPUTS), margin and all
    rows,
    blocks,
    EIGHT: tl.constexpr,
    SIDE: tl.constexpr,
    FACTOR: tl.constexpr,
    CHANNELS: tl.constexpr,
    PLACES: tl.constexpr,
    OUTPUTS: tl.constexpr,
    STEP: tl.constexpr,
    STAGES: tl.constexpr,
):
    """relu(convolution) of maps (n, SIDE + 1, SIDE + 1, CHANNELS): 3 x 3 where FACTOR is 1, else
    transposed, phase by phase. A program makes one block of outputs of one phase of PLACES
    places; neighbours in the grid share their places."""
    LINE: tl.constexpr = SIDE + 1
    STEPS: tl.constexpr = CHANNELS // STEP
    tile = tl.program_id(0)
    block = tile % blocks
    phase = (tile // blocks) % (FACTOR * FACTOR)
    first = (tile // (blocks * FACTOR * FACTOR)) * PLACES
    above, left = phase // FACTOR, phase % FACTOR
    if FACTOR == 1:
        tap_y, tap_x, taps_y, taps_x, taps_before = -1, -1, 3, 3, 0
    else:
        tap_y = tl.where(above == 0, -1, 0)
        tap_x = tl.where(left == 0, -1, 0)
        taps_y = tl.where((above == 0) | (above == FACTOR - 1), 2, 1)
        taps_x = tl.where((left == 0) | (left == FACTOR - 1), 2, 1)
        # Those of the phases of the lines above, and of the phases at the left: by a factor of 4
        # phases have 2, 1, 1 and 2 taps along an axis, so that 0, 2, 3 and 4 come before.
        taps_before = tl.where(above == 0, 0, above + 1) * (FACTOR + 2)
        taps_before += taps_y * tl.where(left == 0, 0, left + 1)
    total = tl.zeros((PLACES, OUTPUTS), dtype=tl.float32)
    for index in tl.range(0, taps_y * taps_x * STEPS, num_stages=STAGES):
        tap = index // STEPS
        channel = (index % STEPS) * STEP
        shift = (tap_y + tap // taps_x) * LINE + tap_x + tap % taps_x
        a = maps.load([first + shift, channel])
        b = weights.load([block * OUTPUTS, (taps_before + tap) * CHANNELS + channel])
        total = tl.dot(a, b.T, total)
    inner = tl.arange(0, OUTPUTS)
    total = tl.maximum(total + tl.load(bias + block * OUTPUTS + inner)[None, :], 0.0)
    place = first + tl.arange(0, PLACES)
    image, inside = place // (LINE * LINE), place % (LINE * LINE)
    y = (inside // LINE - 1) * FACTOR + above
    x = (inside % LINE - 1) * FACTOR + left
    # The margin's places make the margin of the result.
    total = tl.where(((y >= 0) & (x >= 0))[:, None], total, 0.0)
    LARGE: tl.constexpr = SIDE * FACTOR + 1
    images = rows // (LINE * LINE)
    if EIGHT:
        level = tl.load(levels + image, mask=image < images, other=0.0)
        # Never negative: cutting off what follows the point rounds.
        total = tl.minimum(total * level[:, None] + 0.5, 255.0).to(tl.int32) - 128
    target = ((block * images + image) * LARGE + y + 1) * LARGE + x + 1
    tl.store(
        result + target[:, None] * OUTPUTS + inner[None, :],
        total.to(result.dtype.element_ty),
        mask=((place < rows) & (y >= -1) & (x >= -1))[:, None],
    )


@triton.jit
def modulate_kernel(
    hidden,  # rows of HIDDEN channels, group after group, a tile of (PLACES, STEP)
    weights,  # (2 * channels, 9 * HIDDEN) in pairs, a tile of (2 * CHANNELS, STEP)
    bias,  # in the same pairs
    units,  # (2, 2 * channels), for eight bits: of a weight's one, and the product of empty maps
    levels,  # (images,), for eight bits: how many of them a one is in the hidden maps
    x,  # (images, SIDE // UP, SIDE // UP, channels)
    scale,  # (images, channels), with shift what makes x an instance norm
    shift,
    result,  # (images, SIDE, SIDE, channels)
    images,
    group,
    channels,
    SIDE: tl.constexpr,
    UP: tl.constexpr,
    HIDDEN: tl.constexpr,
    LEAKY: tl.constexpr,
    EIGHT: tl.constexpr,
    SLOPE: tl.constexpr,
    PLACES: tl.constexpr,
    CHANNELS: tl.constexpr,
    STEP: tl.constexpr,
    STAGES: tl.constexpr,
):
    """norm(x, enlarged) * factor + offset, both from a 3 x 3 convolution of a group of
    hidden maps; the convolution's result never leaves the chip.

    A program takes tile after tile, so that the next one's first loads fly while it finishes. Of
    integers Triton waits for each product before it begins the next; there the other program on
    the same multiprocessor fills the gaps."""
    LINE: tl.constexpr = SIDE + 1
    STEPS: tl.constexpr = HIDDEN // STEP
    ROWS: tl.constexpr = SIDE * LINE  # of an image, but for the margin above
    TILES: tl.constexpr = (ROWS + PLACES - 1) // PLACES
    SMALL: tl.constexpr = SIDE // UP
    blocks = channels // CHANNELS
    inner = tl.arange(0, CHANNELS)
    for tile in tl.range(
        tl.program_id(0), images * TILES * blocks, tl.num_programs(0), flatten=not EIGHT
    ):
        block = tile % blocks
        image = tile // (blocks * TILES)
        first = (tile // blocks) % TILES * PLACES
        row = (group * images + image) * LINE * LINE + LINE + first
        pair = tl.zeros((PLACES, 2 * CHANNELS), dtype=tl.int32 if EIGHT else tl.float32)
        for index in tl.range(0, 9 * STEPS, num_stages=STAGES):
            tap = index // STEPS
            channel = (index % STEPS) * STEP
            a = hidden.load([row + (tap // 3 - 1) * LINE + tap % 3 - 1, channel])
            b = weights.load([block * 2 * CHANNELS, tap * HIDDEN + channel])
            pair = tl.dot(a, b.T, pair, out_dtype=pair.dtype)
        columns = block * CHANNELS + inner
        place = first + tl.arange(0, PLACES)
        py, px = place // LINE, place % LINE - 1
        inside = ((px >= 0) & (place < ROWS))[:, None]
        source = (image * SMALL + py // UP) * SMALL + px // UP
        # All loads before the product is touched: they fly while it changes threads.
        values = tl.load(x + source[:, None] * channels + columns[None, :], mask=inside, other=0.0)
        scales = tl.load(scale + image * channels + columns)
        shifts = tl.load(shift + image * channels + columns)
        factors = block * 2 * CHANNELS + inner
        offsets = factors + CHANNELS
        factor_bias, offset_bias = tl.load(bias + factors), tl.load(bias + offsets)
        factor, offset = tl.split(tl.permute(tl.reshape(pair, (PLACES, 2, CHANNELS)), (0, 2, 1)))
        if EIGHT:
            # From integers, less what empty maps make.
            one = 1.0 / tl.load(levels + image)
            empty = units + 2 * channels
            factor_bias -= tl.load(empty + factors) * one
            offset_bias -= tl.load(empty + offsets) * one
            factor = factor.to(tl.float32) * (tl.load(units + factors) * one)[None, :]
            offset = offset.to(tl.float32) * (tl.load(units + offsets) * one)[None, :]
        # In half precision, on their way to threads that write whole lines.
        factor = (factor + factor_bias[None, :]).to(x.dtype.element_ty)
        offset = (offset + offset_bias[None, :]).to(x.dtype.element_ty)
        values = values.to(tl.float32) * scales[None, :] + shifts[None, :]
        values = values * factor.to(tl.float32) + offset.to(tl.float32)
        if LEAKY:
            values = tl.where(values >= 0, values, SLOPE * values)
        target = (image * SIDE + py) * SIDE + px
        tl.store(
            result + target[:, None] * channels + columns[None, :],
            values.to(result.dtype.element_ty),
            mask=inside,
        )


@triton.jit
def run_kernel(
    maps,  # rows of which each is a run, so that they overlap; a tile of (PLACES, STEP)
    wide_weights,  # (WIDE + NARROW, lines * RUN), a tile of (WIDE, STEP)
    narrow_weights,  # the same, a tile of (NARROW, STEP)
    result,  # rows of WIDE + NARROW outputs
    PLANES: tl.constexpr,  # of a volume, its margin counted; 1 where there is no depth
    SIDE: tl.constexpr,
    KERNEL: tl.constexpr,
    RUN: tl.constexpr,
    PLACES: tl.constexpr,
    WIDE: tl.constexpr,
    NARROW: tl.constexpr,
    STEP: tl.constexpr,
    STAGES: tl.constexpr,
):
    """A convolution of KERNEL x KERNEL, or KERNEL x KERNEL x KERNEL, by lines of the kernel. Two
    products, as numbers of outputs are powers of two. What the margin's rows of the result hold
    means nothing."""
    REACH: tl.constexpr = KERNEL // 2
    LINE: tl.constexpr = SIDE + REACH
    PLANE: tl.constexpr = LINE * LINE
    DEEP: tl.constexpr = PLANES > 1
    LINES: tl.constexpr = KERNEL * KERNEL if DEEP else KERNEL
    MARGIN: tl.constexpr = REACH * PLANE if DEEP else REACH * LINE
    ROWS: tl.constexpr = PLANES * PLANE - MARGIN
    TILES: tl.constexpr = (ROWS + PLACES - 1) // PLACES
    STEPS: tl.constexpr = RUN // STEP
    OUTPUTS: tl.constexpr = WIDE + NARROW
    tile = tl.program_id(0)
    first = (tile % TILES) * PLACES
    row = (tile // TILES) * PLANES * PLANE + MARGIN + first
    wide = tl.zeros((PLACES, WIDE), dtype=tl.float32)
    narrow = tl.zeros((PLACES, NARROW), dtype=tl.float32)
    for index in tl.range(0, LINES * STEPS, num_stages=STAGES):
        line = index // STEPS
        shift = (line % KERNEL - REACH) * LINE - REACH
        if DEEP:
            shift += (line // KERNEL - REACH) * PLANE
        a = maps.load([row + shift, (index % STEPS) * STEP])
        b = wide_weights.load([0, index * STEP])
        c = narrow_weights.load([WIDE, index * STEP])
        wide = tl.dot(a, b.T, wide)
        narrow = tl.dot(a, c.T, narrow)
    place = first + tl.arange(0, PLACES)
    target = (row + tl.arange(0, PLACES))[:, None] * OUTPUTS
    mask = (place < ROWS)[:, None]
    kind = result.dtype.element_ty
    tl.store(result + target + tl.arange(0, WIDE)[None, :], wide.to(kind), mask=mask)
    tl.store(result + target + WIDE + tl.arange(0, NARROW)[None, :], narrow.to(kind), mask=mask)
