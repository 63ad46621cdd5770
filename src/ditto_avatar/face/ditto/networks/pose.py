"""Motion extractor: head pose, expression and canonical keypoints of a face crop.

The backbone is ConvNeXt V2 tiny (Woo et al., arXiv 2301.00808); the heads give the implicit
keypoint description of LivePortrait.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ditto_avatar.face.ditto.networks.sizes import RELEASED, Sizes


class MotionOutput(NamedTuple):
    """What the heads say of each image: pitch, yaw, roll as logits of 66 bins (b, 66),
    translation (b, 3), expression (b, 63), scale (b, 1), canonical keypoints (b, 63)."""

    pitch: Tensor
    yaw: Tensor
    roll: Tensor
    translation: Tensor
    expression: Tensor
    scale: Tensor
    keypoints: Tensor


class GlobalResponseNorm(nn.Module):
    """Channels compete by their energy over the picture (b, h, w, c)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.zeros(channels))
        self.beta = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        energy = x.square().sum(dim=(1, 2), keepdim=True).sqrt()  # (b, 1, 1, c)
        share = energy / (energy.mean(dim=-1, keepdim=True) + 1e-6)
        return self.gamma * (x * share) + self.beta + x


class ConvNeXtBlock(nn.Module):
    """Depthwise 7×7, norm, widen by four, GELU, response norm, narrow, plus input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.norm = nn.LayerNorm(channels, eps=1e-6)
        self.widen = nn.Linear(channels, 4 * channels)
        self.response = GlobalResponseNorm(4 * channels)
        self.narrow = nn.Linear(4 * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.depthwise(x).permute(0, 2, 3, 1)  # (b, h, w, c)
        y = self.response(F.gelu(self.widen(self.norm(y))))
        y = self.narrow(y)
        return x + y.permute(0, 3, 1, 2)


class PixelNorm(nn.LayerNorm):
    """A layer norm over the channels of (b, c, h, w)."""

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = super().forward(x.permute(0, 2, 3, 1))
        return y.permute(0, 3, 1, 2)


class MotionExtractor(nn.Module):
    """Image (b, 3, 256, 256) in 0..1 to `MotionOutput`."""

    def __init__(self, sizes: Sizes = RELEASED) -> None:
        super().__init__()
        widths = sizes.extractor_widths
        self.stem = nn.Conv2d(3, widths[0], 4, stride=4)
        self.stem_norm = PixelNorm(widths[0], eps=1e-6)
        self.down_norms = nn.ModuleList(PixelNorm(width, eps=1e-6) for width in widths[:-1])
        self.downs = nn.ModuleList(
            nn.Conv2d(narrow, wide, 2, stride=2) for narrow, wide in pairwise(widths)
        )
        self.stages = nn.ModuleList(
            nn.Sequential(*(ConvNeXtBlock(width) for _ in range(depth)))
            for width, depth in zip(widths, sizes.extractor_depths, strict=True)
        )
        self.norm = nn.LayerNorm(widths[-1], eps=1e-6)
        # All seven heads read the same vector: one matrix.
        self.head_sizes = (
            *(3 * (sizes.pose_bins,)),
            3,
            3 * sizes.keypoints,
            1,
            3 * sizes.keypoints,
        )
        self.heads = nn.Linear(widths[-1], sum(self.head_sizes))

    def forward(self, image: Tensor) -> MotionOutput:
        x = self.stages[0](self.stem_norm(self.stem(image)))  # (b, 96, 64, 64)
        for norm, down, stage in zip(self.down_norms, self.downs, self.stages[1:], strict=True):
            x = stage(down(norm(x)))  # (b, 192, 32, 32), (b, 384, 16, 16), (b, 768, 8, 8)
        x = self.norm(x.mean(dim=(2, 3)))  # (b, 768)
        return MotionOutput(*self.heads(x).split(self.head_sizes, dim=-1))
