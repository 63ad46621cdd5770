"""Warp network: bends the feature volume of the source to the driving keypoints.

Every keypoint proposes one motion, a shift of the whole volume. A hourglass looks at all shifted
volumes and at where the keypoints moved, mixes the proposals into one flow and says what is
hidden.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ditto_avatar.face.ditto.networks.sizes import RELEASED, Sizes

HEAT_VARIANCE = 0.01


def rounded_up(channels: int) -> int:
    """The next multiple of eight."""
    return -(-channels // 8) * 8


def axis_grid(count: int, like: Tensor) -> Tensor:
    """`count` places from -1 to 1, (count,), in the dtype and on the device of `like`."""
    steps = torch.arange(count, device=like.device, dtype=like.dtype)
    return 2 * steps / (count - 1) - 1


def shift_matrix(shift: Tensor, count: int) -> Tensor:
    """Linear interpolation along one axis as a matrix.

    `shift` (b, k) moves the places of `axis_grid`; the result (b, k, count, count) turns voxels
    into samples. As in `grid_sample(align_corners=False)` the axis -1..1 spans the voxels' outer
    edges, so that place x lies at voxel ((x + 1) * count - 1) / 2, and what lies outside is zero.
    """
    places = axis_grid(count, shift) + shift[..., None]  # (b, k, count)
    voxels = ((places + 1) * count - 1) / 2
    index = torch.arange(count, device=shift.device, dtype=shift.dtype)
    return F.relu(1 - (voxels[..., None] - index).abs())


def sample_volume(volume: Tensor, flow: Tensor) -> Tensor:
    """Trilinear samples of `volume` (b, c, d, h, w) at `flow` (b, d, h, w, 3) in -1..1, x first."""
    # In float32: half precision would place samples up to a hundredth of a voxel wrong.
    samples = F.grid_sample(volume.float(), flow.float(), mode="bilinear", align_corners=False)
    return samples.to(volume.dtype)


def sum_own(places: Tensor) -> Tensor:
    """What each slice says of its own place, added up: (b, d, d, h, w) to (b, h, w) in float32."""
    return places.diagonal(dim1=1, dim2=2).float().sum(-1)


class Down(nn.Module):
    """Convolution, ReLU, half the height and width."""

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        self.conv = nn.Conv3d(inside, outside, 3, padding=1)
        self.pool: nn.Module = nn.AvgPool3d((1, 2, 2))

    def forward(self, x: Tensor) -> Tensor:
        half: Tensor = self.pool(F.relu(self.conv(x)))
        return half


class Up(nn.Module):
    """Twice the height and width, convolution, ReLU."""

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        self.conv = nn.Conv3d(inside, outside, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.interpolate(x, scale_factor=(1.0, 2.0, 2.0), mode="nearest")
        return F.relu(self.conv(x))


class Hourglass(nn.Module):
    """A 3-D U-Net that keeps the depth: (b, 112, 16, 64, 64) to (b, 144, 16, 64, 64)."""

    def __init__(self, inside: int, sizes: Sizes) -> None:
        super().__init__()
        levels = sizes.hourglass_levels
        widths = [
            min(sizes.hourglass_limit, sizes.hourglass_width * 2**level)
            for level in range(levels + 1)
        ]
        self.downs = nn.ModuleList(
            Down(inside if level == 0 else widths[level], widths[level + 1])
            for level in range(levels)
        )
        self.ups = nn.ModuleList(
            Up(widths[level + 1] * (1 if level == levels - 1 else 2), widths[level])
            for level in reversed(range(levels))
        )
        self.channels = widths[0] + inside
        self.last = nn.Conv3d(self.channels, self.channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        skips = [x]
        for down in self.downs:
            skips.append(down(skips[-1]))
        x = skips.pop()
        for up in self.ups:
            x = torch.cat([up(x), skips.pop()], dim=1)
        y: Tensor = self.last(x)
        return F.relu(y)


class FlowHeads(nn.Module):
    """What the hourglass' volume (b, c, d, h, w) says: the candidates' logits (b, k, d, h, w) in
    float32, from a k x k x k convolution, and what is visible (b, 1, h, w), from a k x k
    convolution over channels and depth together.

    Both are one 2-D convolution of the depth slices, whose outputs are the taps along the depth
    and a tap for each slice's place; the taps are then added up. The sums are the same, and the
    matrix product is wide enough for tensor cores: 22 outputs, or one, are not.
    """

    def __init__(self, channels: int, motions: int, depth: int, kernel: int) -> None:
        super().__init__()
        self.motions, self.kernel = motions, kernel
        outputs = rounded_up(motions * kernel + depth)
        self.conv = nn.Conv2d(channels, outputs, kernel, padding=kernel // 2)
        # Export replaces it: torch has no plain ONNX for a diagonal.
        self.sum_own: Callable[[Tensor], Tensor] = sum_own

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        depth = int(x.shape[2])
        slices = x.transpose(1, 2).flatten(0, 1)  # (b * d, c, h, w)
        y = self.conv(slices).unflatten(0, (-1, depth))  # (b, d, outputs, h, w)
        along_depth = y[:, :, : self.motions * self.kernel].unflatten(2, (self.kernel, -1))
        reach = self.kernel // 2
        along_depth = F.pad(along_depth, (0, 0, 0, 0, 0, 0, 0, 0, reach, reach))
        logits = torch.zeros((), device=x.device)
        for tap in range(self.kernel):
            logits = logits + along_depth[:, tap : tap + depth, tap].float()
        places = y[:, :, self.motions * self.kernel :][:, :, :depth]
        visible = self.sum_own(places)  # (b, h, w)
        return logits.transpose(1, 2), torch.sigmoid(visible[:, None]).to(x.dtype)


class WarpNetwork(nn.Module):
    """Volume (b, 32, 16, 64, 64), keypoints (b, 21, 3) of source and drive to (b, 256, 64, 64)."""

    def __init__(self, sizes: Sizes = RELEASED) -> None:
        super().__init__()
        motions, kernel = sizes.keypoints + 1, sizes.mask_kernel
        self.compression = nn.Conv3d(sizes.volume_channels, sizes.compressed_channels, 1)
        # Tensor cores want channels in eights; the added ones stay zero.
        maps = motions * (sizes.compressed_channels + 1)
        self.spare = rounded_up(maps) - maps
        self.hourglass = Hourglass(maps + self.spare, sizes)
        self.heads = FlowHeads(self.hourglass.channels, motions, sizes.volume_depth, kernel)
        self.third = nn.Conv2d(sizes.flat_volume, sizes.feature_channels, 3, padding=1)
        self.fourth = nn.Conv2d(sizes.feature_channels, sizes.feature_channels, 1)
        # Export replaces it by standard operators.
        self.sample: Callable[[Tensor, Tensor], Tensor] = sample_volume

    def compress(self, volume: Tensor) -> Tensor:
        """The part that the candidates sample, (b, 4, 16, 64, 64): once per source frame."""
        return F.relu(self.compression(volume))

    def forward(
        self, volume: Tensor, source: Tensor, driving: Tensor, compressed: Tensor | None = None
    ) -> Tensor:
        if compressed is None:
            compressed = self.compress(volume)
        # Places are computed in the keypoints' precision, pictures in the volume's.
        shifts = F.pad(source - driving, (0, 0, 1, 0))  # (b, 22, 3); the first stays still
        candidates = self.candidates(compressed, shifts)  # (b, 22, 4, 16, 64, 64)
        heat = self.heat(driving, compressed) - self.heat(source, compressed)
        heat = F.pad(heat, (0, 0, 0, 0, 0, 0, 1, 0))[:, :, None]  # (b, 22, 1, 16, 64, 64)
        x = torch.cat([heat, candidates], dim=2).flatten(1, 2)
        x = F.pad(x, (0, 0, 0, 0, 0, 0, 0, self.spare))
        logits, visible = self.heads(self.hourglass(x))  # (b, 22, 16, 64, 64), (b, 1, 64, 64)
        flow = self.flow(logits, shifts)  # (b, 16, 64, 64, 3)
        x = self.sample(volume, flow).flatten(1, 2)  # (b, 512, 64, 64)
        x = self.fourth(F.leaky_relu(self.third(x)))  # (b, 256, 64, 64)
        result: Tensor = x * visible
        return result

    @staticmethod
    def candidates(compressed: Tensor, shifts: Tensor) -> Tensor:
        """The compressed volume under every candidate shift.

        A shift moves all voxels alike, so trilinear sampling is three one-dimensional
        interpolations, each a small matrix product."""
        depth, height, width = compressed.shape[2:]
        along_x = shift_matrix(shifts[..., 0], width).to(compressed.dtype)  # (b, k, w, w)
        along_y = shift_matrix(shifts[..., 1], height).to(compressed.dtype)
        along_z = shift_matrix(shifts[..., 2], depth).to(compressed.dtype)
        x = compressed[:, None] @ along_x[:, :, None, None].transpose(-1, -2)  # (b, k, c, d, h, w)
        x = along_y[:, :, None, None] @ x
        x = along_z[:, :, None] @ x.flatten(4, 5)  # (b, k, c, d, h * w)
        return torch.unflatten(x, 4, (height, width))

    @staticmethod
    def heat(keypoints: Tensor, like: Tensor) -> Tensor:
        """A Gaussian ball around each keypoint (b, 21, 3), as (b, 21, 16, 64, 64)."""
        depth, height, width = like.shape[2:]
        x, y, z = (
            torch.exp(
                (axis_grid(count, keypoints) - keypoints[..., axis, None]).square()
                * (-0.5 / HEAT_VARIANCE)
            )
            for axis, count in enumerate((width, height, depth))
        )
        x, y, z = x.to(like.dtype), y.to(like.dtype), z.to(like.dtype)
        return z[:, :, :, None, None] * y[:, :, None, :, None] * x[:, :, None, None, :]

    @staticmethod
    def flow(logits: Tensor, shifts: Tensor) -> Tensor:
        """Mixes the candidates by the softmax of `logits` (b, 22, d, h, w); since the shares sum
        to one, the mix is the resting grid plus the mixed shifts."""
        depth, height, width = logits.shape[2:]
        shares = logits.softmax(dim=1, dtype=shifts.dtype)
        shares = shares.flatten(2).transpose(1, 2)  # (b, d * h * w, 22)
        moved = torch.unflatten(shares @ shifts, 1, (depth, height, width))  # (b, d, h, w, 3)
        rest = torch.stack(
            torch.meshgrid(
                axis_grid(width, shifts),
                axis_grid(height, shifts),
                axis_grid(depth, shifts),
                indexing="xy",
            ),
            dim=-1,
        )
        return rest.permute(2, 0, 1, 3) + moved
