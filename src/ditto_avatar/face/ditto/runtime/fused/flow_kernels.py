"""The Triton kernels of the warp network's two ends: what the hourglass looks at, and what its
answer does to the volume. A program makes a line of places."""

# Triton reads annotations: no postponed ones here.
# mypy: disable-error-code="no-untyped-def, untyped-decorator"

import triton
import triton.language as tl


@triton.jit
def neighbours(voxel, COUNT: tl.constexpr):
    """The two voxels around a place on an axis of COUNT, and the place's share in each; one that
    does not exist has no share, and its index is that of one that does."""
    low = tl.floor(voxel)
    after = voxel - low
    first = low.to(tl.int32)
    second = first + 1
    first_share = tl.where((first >= 0) & (first < COUNT), 1 - after, 0.0)
    second_share = tl.where((second >= 0) & (second < COUNT), after, 0.0)
    first = tl.minimum(tl.maximum(first, 0), COUNT - 1)
    second = tl.minimum(tl.maximum(second, 0), COUNT - 1)
    return first, first_share, second, second_share


@triton.jit
def propose_kernel(
    compressed,  # (n, DEPTH, SIDE, SIDE, CHANNELS)
    source,  # keypoints (n, MOTIONS - 1, 3), float32
    driving,
    result,  # (n, DEPTH, SIDE, SIDE, OUTPUTS)
    DEPTH: tl.constexpr,
    SIDE: tl.constexpr,
    CHANNELS: tl.constexpr,
    MOTIONS: tl.constexpr,
    ROOM: tl.constexpr,  # the power of two that holds the motions and the spare outputs
    OUTPUTS: tl.constexpr,
    SHARPNESS: tl.constexpr,
):
    """The compressed volume under every candidate shift, motion by motion; then every keypoint's
    heat, how much warmer it is here than it was; then zeros."""
    line = tl.program_id(0)
    y, z = line % SIDE, line // SIDE % DEPTH
    image = line // (SIDE * DEPTH)
    x = tl.arange(0, SIDE)
    motion = tl.arange(0, ROOM)
    channel = tl.arange(0, CHANNELS)
    moves = (motion > 0) & (motion < MOTIONS)  # the first stays still
    point = (image * (MOTIONS - 1) + motion - 1) * 3
    from_x = tl.load(source + point, mask=moves, other=0.0)
    from_y = tl.load(source + point + 1, mask=moves, other=0.0)
    from_z = tl.load(source + point + 2, mask=moves, other=0.0)
    to_x = tl.load(driving + point, mask=moves, other=0.0)
    to_y = tl.load(driving + point + 1, mask=moves, other=0.0)
    to_z = tl.load(driving + point + 2, mask=moves, other=0.0)
    place_x = 2.0 * x / (SIDE - 1) - 1
    place_y = 2.0 * y / (SIDE - 1) - 1
    place_z = 2.0 * z / (DEPTH - 1) - 1
    # As in `shift_matrix`: the axis spans the voxels' outer edges.
    voxel_x = ((place_x[:, None] + (from_x - to_x)[None, :] + 1) * SIDE - 1) / 2
    voxel_y = ((place_y + from_y - to_y + 1) * SIDE - 1) / 2
    voxel_z = ((place_z + from_z - to_z + 1) * DEPTH - 1) / 2
    x0, share_x0, x1, share_x1 = neighbours(voxel_x, SIDE)
    y0, share_y0, y1, share_y1 = neighbours(voxel_y, SIDE)
    z0, share_z0, z1, share_z1 = neighbours(voxel_z, DEPTH)
    known = (motion < MOTIONS)[None, :, None]
    total = tl.zeros((SIDE, ROOM, CHANNELS), dtype=tl.float32)
    for side in tl.static_range(4):
        at_y, share_y = (y0, share_y0) if side % 2 == 0 else (y1, share_y1)
        at_z, share_z = (z0, share_z0) if side // 2 == 0 else (z1, share_z1)
        row = ((image * DEPTH + at_z) * SIDE + at_y) * SIDE
        share = share_y * share_z
        for end in tl.static_range(2):
            at_x, share_x = (x0, share_x0) if end == 0 else (x1, share_x1)
            start = (row[None, :] + at_x) * CHANNELS
            values = tl.load(
                compressed + start[:, :, None] + channel[None, None, :], mask=known, other=0.0
            )
            total += (share[None, :] * share_x)[:, :, None] * values.to(tl.float32)
    kind = result.dtype.element_ty
    target = result + (line * SIDE + x) * OUTPUTS
    # As rows of all motions' channels, so that a warp writes whole rows.
    slot = tl.arange(0, ROOM * CHANNELS)
    rows = tl.reshape(total.to(kind), (SIDE, ROOM * CHANNELS))
    tl.store(target[:, None] + slot[None, :], rows, mask=(slot < MOTIONS * CHANNELS)[None, :])
    away = (place_y - to_y) * (place_y - to_y) + (place_z - to_z) * (place_z - to_z)
    along = place_x[:, None] - to_x[None, :]
    warm = tl.exp(-SHARPNESS * (along * along + away[None, :]))
    away = (place_y - from_y) * (place_y - from_y) + (place_z - from_z) * (place_z - from_z)
    along = place_x[:, None] - from_x[None, :]
    warm -= tl.exp(-SHARPNESS * (along * along + away[None, :]))
    warm = tl.where(moves[None, :], warm, 0.0)
    slot = MOTIONS * CHANNELS + motion
    tl.store(target[:, None] + slot[None, :], warm.to(kind), mask=(slot < OUTPUTS)[None, :])


@triton.jit
def bend_kernel(
    taps,  # (n * DEPTH, SIDE + REACH, SIDE + REACH, OUTPUTS), of `convolve_runs`
    bias,  # (at least MOTIONS * KERNEL,)
    shifts,  # (n, MOTIONS, 3), float32, x first
    volume,  # (n, DEPTH, SIDE, SIDE, CHANNELS)
    result,  # (n, SIDE, SIDE, DEPTH * CHANNELS)
    DEPTH: tl.constexpr,
    SIDE: tl.constexpr,
    CHANNELS: tl.constexpr,
    MOTIONS: tl.constexpr,
    ROOM: tl.constexpr,  # the power of two that holds the motions
    KERNEL: tl.constexpr,
    OUTPUTS: tl.constexpr,
):
    """Adds up the taps along the depth, mixes the candidates' shifts by the softmax, and samples
    the volume there."""
    REACH: tl.constexpr = KERNEL // 2
    LINE: tl.constexpr = SIDE + REACH
    line = tl.program_id(0)
    y, z = line % SIDE, line // SIDE % DEPTH
    image = line // (SIDE * DEPTH)
    x = tl.arange(0, SIDE)
    motion = tl.arange(0, ROOM)
    known = motion < MOTIONS
    logits = tl.zeros((SIDE, ROOM), dtype=tl.float32)
    for tap in tl.static_range(KERNEL):
        plane = z + tap - REACH
        if plane >= 0 and plane < DEPTH:
            row = ((image * DEPTH + plane) * LINE + y + REACH) * LINE + REACH + x
            slot = tap * MOTIONS + motion
            part = tl.load(
                taps + row[:, None] * OUTPUTS + slot[None, :], mask=known[None, :], other=0.0
            )
            logits += part.to(tl.float32) + tl.load(bias + slot, mask=known, other=0.0)[None, :]
    logits = tl.where(known[None, :], logits, -float("inf"))
    shares = tl.exp(logits - tl.max(logits, axis=1)[:, None])
    shares = shares / tl.sum(shares, axis=1)[:, None]
    shift = shifts + (image * MOTIONS + motion) * 3
    shift_x = tl.sum(shares * tl.load(shift, mask=known, other=0.0)[None, :], axis=1)
    shift_y = tl.sum(shares * tl.load(shift + 1, mask=known, other=0.0)[None, :], axis=1)
    shift_z = tl.sum(shares * tl.load(shift + 2, mask=known, other=0.0)[None, :], axis=1)
    voxel_x = ((2.0 * x / (SIDE - 1) + shift_x) * SIDE - 1) / 2
    voxel_y = ((2.0 * y / (SIDE - 1) + shift_y) * SIDE - 1) / 2
    voxel_z = ((2.0 * z / (DEPTH - 1) + shift_z) * DEPTH - 1) / 2
    x0, share_x0, x1, share_x1 = neighbours(voxel_x, SIDE)
    y0, share_y0, y1, share_y1 = neighbours(voxel_y, SIDE)
    z0, share_z0, z1, share_z1 = neighbours(voxel_z, DEPTH)
    channel = tl.arange(0, CHANNELS)
    total = tl.zeros((SIDE, CHANNELS), dtype=tl.float32)
    for corner in tl.static_range(8):
        at_x, share_x = (x0, share_x0) if corner % 2 == 0 else (x1, share_x1)
        at_y, share_y = (y0, share_y0) if corner // 2 % 2 == 0 else (y1, share_y1)
        at_z, share_z = (z0, share_z0) if corner // 4 == 0 else (z1, share_z1)
        voxel = ((image * DEPTH + at_z) * SIDE + at_y) * SIDE + at_x
        values = tl.load(volume + voxel[:, None] * CHANNELS + channel[None, :])
        total += (share_x * share_y * share_z)[:, None] * values.to(tl.float32)
    target = ((image * SIDE + y) * SIDE + x) * (DEPTH * CHANNELS) + z * CHANNELS
    tl.store(result + target[:, None] + channel[None, :], total.to(result.dtype.element_ty))
