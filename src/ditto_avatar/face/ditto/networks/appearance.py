"""Appearance extractor: a face crop becomes a volume of features."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ditto_avatar.face.ditto.networks.sizes import RELEASED, Sizes


class ChannelAffine(nn.Module):
    """A batch norm that stands before its activation and has no convolution to fold into:
    one factor and one offset a channel, for volumes (b, c, d, h, w)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.ones(channels, 1, 1, 1))
        self.offset = nn.Parameter(torch.zeros(channels, 1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factor + self.offset


class ResidualVolume(nn.Module):
    """norm, ReLU, convolution (with the second norm folded in), ReLU, convolution, plus input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = ChannelAffine(channels)
        self.conv1 = nn.Conv3d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv3d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv1(F.relu(self.norm(x)))
        y = self.conv2(F.relu(y))
        return y + x


class AppearanceExtractor(nn.Module):
    """Image (b, 3, s, s) in 0..1, s = 256, to the volume (b, 32, 16, s/4, s/4)."""

    def __init__(self, sizes: Sizes = RELEASED) -> None:
        super().__init__()
        self.volume_shape = (sizes.volume_channels, sizes.volume_depth)
        width = sizes.appearance_width
        self.first = nn.Conv2d(3, width, 3, padding=1)
        self.down1 = nn.Conv2d(width, 2 * width, 3, padding=1)
        self.down2 = nn.Conv2d(2 * width, 4 * width, 3, padding=1)
        self.expand = nn.Conv2d(4 * width, sizes.flat_volume, 1)
        self.residuals = nn.ModuleList(
            ResidualVolume(sizes.volume_channels) for _ in range(sizes.appearance_residuals)
        )

    def forward(self, image: Tensor) -> Tensor:
        x = F.relu(self.first(image))  # (b, 64, 256, 256)
        x = F.avg_pool2d(F.relu(self.down1(x)), 2)  # (b, 128, 128, 128)
        x = F.avg_pool2d(F.relu(self.down2(x)), 2)  # (b, 256, 64, 64)
        x = self.expand(x)  # (b, 512, 64, 64)
        x = torch.unflatten(x, 1, self.volume_shape)  # (b, 32, 16, 64, 64)
        for block in self.residuals:
            x = block(x)
        return x
