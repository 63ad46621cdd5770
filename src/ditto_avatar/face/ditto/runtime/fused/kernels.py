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
    result,  # (blocks, PLANES², rows, OUTPUTS)
    rows,
    blocks,
    EIGHT: tl.constexpr,
    SIDE: tl.constexpr,
    PLANES: tl.constexpr,
    CHANNELS: tl.constexpr,
    PLACES: tl.constexpr,
    OUTPUTS: tl.constexpr,
    STEP: tl.constexpr,
    STAGES: tl.constexpr,
):
    """relu(convolution) of maps (n, SIDE + 1, SIDE + 1, CHANNELS): 3 x 3 where there is one plane,
    else transposed, with PLANES planes along each axis. A program makes one block of outputs of one
    plane of PLACES places; neighbours in the grid share their places."""
    LINE: tl.constexpr = SIDE + 1
    STEPS: tl.constexpr = CHANNELS // STEP
    tile = tl.program_id(0)
    block = tile % blocks
    plane = (tile // blocks) % (PLANES * PLANES)
    first = (tile // (blocks * PLANES * PLANES)) * PLACES
    above, left = plane // PLANES, plane % PLANES
    if PLANES == 1:
        tap_y, tap_x, taps_y, taps_x, taps_before = -1, -1, 3, 3, 0
    else:
        tap_y = tl.where(above == 0, -1, 0)
        tap_x = tl.where(left == 0, -1, 0)
        taps_y = tl.where((above == 0) | (above == PLANES - 1), 2, 1)
        taps_x = tl.where((left == 0) | (left == PLANES - 1), 2, 1)
        # Those of the planes of the lines above, and of the planes at the left: three planes have
        # 2, 1 and 2 taps along an axis, so that 0, 2 and 3 come before.
        taps_before = tl.where(above == 0, 0, above + 1) * (PLANES + 2)
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
    # The margin's places make the margin of the result.
    total = tl.where(((inside >= LINE) & (inside % LINE > 0))[:, None], total, 0.0)
    if EIGHT:
        level = tl.load(levels + image, mask=place < rows, other=0.0)
        # Never negative: cutting off what follows the point rounds.
        total = tl.minimum(total * level[:, None] + 0.5, 255.0).to(tl.int32) - 128
    target = (block * PLANES * PLANES + plane) * rows + place
    tl.store(
        result + target[:, None] * OUTPUTS + inner[None, :],
        total.to(result.dtype.element_ty),
        mask=(place < rows)[:, None],
    )


@triton.jit
def modulate_kernel(
    hidden,  # rows of HIDDEN channels, plane after plane of each group, a tile of (PLACES, STEP)
    weights,  # (2 * channels, taps * HIDDEN) in pairs, a tile of (2 * CHANNELS, STEP)
    bias,  # in the same pairs
    units,  # (sets, 2, 2 * channels), for eight bits: of a weight's one, and of empty maps' product
    levels,  # (images,), for eight bits: how many of them a one is in the hidden maps
    x,  # (images, SIDE // UP, SIDE // UP, channels)
    scale,  # (images, channels), with shift what makes x an instance norm
    shift,
    result,  # (images, SIDE, SIDE, channels)
    images,
    group,
    channels,
    GRID: tl.constexpr,
    PHASES: tl.constexpr,
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
    hidden maps; the convolution's result never leaves the chip. The result is PHASES times as large
    as a plane of the hidden maps, of which a program takes PLACES places of one phase.

    Along an axis, enlarged by four, a place has the planes 0 1 2, of which 1 stands for the two
    phases in the middle. Before it lies plane 2 of the place before, behind it plane 0 of the next:

        2 | 0 1 2 | 0

    Phase 0 reads the first three of these, phase 1 reads 0 1, phase 2 reads 1 2, and phase 3 the
    last three. Enlarged by two it is 1 | 0 1 | 0, of which each phase reads three.

    A program takes tile after tile, so that the next one's first loads fly while it finishes. Of
    integers Triton waits for each product before it begins the next; there the other program on
    the same multiprocessor fills the gaps."""
    LINE: tl.constexpr = GRID + 1
    STEPS: tl.constexpr = HIDDEN // STEP
    ROWS: tl.constexpr = GRID * LINE  # of a plane, but for the margin above
    TILES: tl.constexpr = (ROWS + PLACES - 1) // PLACES
    PLANES: tl.constexpr = PHASES if PHASES < 3 else 3
    PER_PLACE: tl.constexpr = (32 + PLANES - 1) // PLANES
    SIDE: tl.constexpr = GRID * PHASES
    SMALL: tl.constexpr = SIDE // UP
    blocks = channels // CHANNELS
    inner = tl.arange(0, CHANNELS)
    for tile in tl.range(
        tl.program_id(0),
        images * PHASES * PHASES * TILES * blocks,
        tl.num_programs(0),
        flatten=not EIGHT,
    ):
        block = tile % blocks
        part = tile // (blocks * PHASES * PHASES)
        image, part = part // TILES, part % TILES
        # Phases differ in work: turned from part to part, so that each program gets of all.
        phase = (tile // blocks + part) % (PHASES * PHASES)
        above, left = phase // PHASES, phase % PHASES
        first = part * PLACES
        if PHASES < 4:
            taps_x, taps, taps_before, kind = 3, 9, 0, 0
        else:
            taps_y = tl.where((above == 0) | (above == 3), 3, 2)
            taps_x = tl.where((left == 0) | (left == 3), 3, 2)
            taps = taps_y * taps_x
            # 3, 2, 2 and 3 along an axis, so that 0, 3, 5 and 7 come before.
            taps_before = tl.where(above == 0, 0, 2 * above + 1) * 10
            taps_before += taps_y * tl.where(left == 0, 0, 2 * left + 1)
            kind = phase
        # The first plane that the phase reads, counted from plane 0 of the place before.
        from_y, from_x = tl.minimum(above - 1, 1) + PLANES, tl.minimum(left - 1, 1) + PLANES
        row = (group * PLANES * PLANES * images + image) * LINE * LINE + first - 1
        plane_rows = images * LINE * LINE
        # Dividing by n is multiplying by 32 / n, rounded up, and shifting: exact below 32.
        per_line = tl.where(taps_x == 3, 11, 16)
        pair = tl.zeros((PLACES, 2 * CHANNELS), dtype=tl.int32 if EIGHT else tl.float32)
        for index in tl.range(0, taps * STEPS, num_stages=STAGES):
            tap = index // STEPS
            channel = (index % STEPS) * STEP
            line = (tap * per_line) >> 5
            y, x_ = from_y + line, from_x + tap - line * taps_x
            down, right = (y * PER_PLACE) >> 5, (x_ * PER_PLACE) >> 5
            plane = (y - down * PLANES) * PLANES + x_ - right * PLANES
            a = hidden.load([row + plane * plane_rows + down * LINE + right, channel])
            b = weights.load([block * 2 * CHANNELS, (taps_before + tap) * HIDDEN + channel])
            pair = tl.dot(a, b.T, pair, out_dtype=pair.dtype)
        columns = block * CHANNELS + inner
        place = first + tl.arange(0, PLACES)
        py, px = place // LINE, place % LINE - 1
        inside = ((px >= 0) & (place < ROWS))[:, None]
        py, px = py * PHASES + above, px * PHASES + left
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
            unit = units + kind * 4 * channels
            empty = unit + 2 * channels
            factor_bias -= tl.load(empty + factors) * one
            offset_bias -= tl.load(empty + offsets) * one
            factor = factor.to(tl.float32) * (tl.load(unit + factors) * one)[None, :]
            offset = offset.to(tl.float32) * (tl.load(unit + offsets) * one)[None, :]
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
