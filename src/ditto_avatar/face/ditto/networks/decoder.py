"""Decoder: warped features become a picture.

SPADE blocks (Park et al., arXiv 1903.07291): each normalises its input and scales and shifts it
by maps made from the features themselves.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ditto_avatar.face.ditto.networks.sizes import RELEASED, Sizes

SLOPE = 0.2


class Modulation(nn.Module):
    """Instance norm, then x * factor + offset, both maps from one convolution of `hidden`."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.maps = nn.Conv2d(hidden, 2 * channels, 3, padding=1)
        # Export replaces it: written as ONNX it would turn half precision into single.
        self.modulate: Callable[[Tensor, Tensor, Tensor], Tensor] = torch.addcmul

    def forward(self, x: Tensor, hidden: Tensor) -> Tensor:
        factor, offset = self.maps(hidden).chunk(2, dim=1)
        return self.modulate(offset, F.instance_norm(x), factor)


class SpadeBlock(nn.Module):
    """Two modulated convolutions beside a shortcut, which is modulated too when widths differ."""

    def __init__(self, inside: int, outside: int, hidden: int) -> None:
        super().__init__()
        middle = min(inside, outside)
        self.norm0 = Modulation(inside, hidden)
        self.conv0 = nn.Conv2d(inside, middle, 3, padding=1)
        self.norm1 = Modulation(middle, hidden)
        self.conv1 = nn.Conv2d(middle, outside, 3, padding=1)
        self.shortcut: nn.Conv2d | None = None
        if inside != outside:
            self.shortcut_norm = Modulation(inside, hidden)
            self.shortcut = nn.Conv2d(inside, outside, 1, bias=False)

    def forward(self, x: Tensor, *hidden: Tensor) -> Tensor:
        y: Tensor = self.conv0(F.leaky_relu(self.norm0(x, hidden[0]), SLOPE))
        y = self.conv1(F.leaky_relu(self.norm1(y, hidden[1]), SLOPE))
        if self.shortcut is not None:
            x = self.shortcut(self.shortcut_norm(x, hidden[2]))
        return y + x


class Decoder(nn.Module):
    """Features (b, 256, s, s), s = 64, to the picture (b, 3, 8 s, 8 s) in 0..1.

    The modulations' first convolutions all read the features: those of one resolution are one
    convolution here. At twice and four times the resolution they read a nearest-upsampled map,
    which is the same as a transposed convolution of the map itself with the kernel widened by
    the upsampling's box: four and 2.25 taps an output pixel instead of nine.
    """

    def __init__(self, sizes: Sizes = RELEASED) -> None:
        super().__init__()
        features, width, hidden = (
            sizes.feature_channels,
            sizes.decoder_width,
            sizes.modulation_width,
        )
        self.first = nn.Conv2d(features, width, 3, padding=1)
        self.hidden = nn.Conv2d(features, 2 * sizes.decoder_blocks * hidden, 3, padding=1)
        self.hidden_x2 = nn.ConvTranspose2d(features, 3 * hidden, 4, stride=2, padding=1)
        self.hidden_x4 = nn.ConvTranspose2d(features, 3 * hidden, 6, stride=4, padding=1)
        self.middle = nn.ModuleList(
            SpadeBlock(width, width, hidden) for _ in range(sizes.decoder_blocks)
        )
        self.up0 = SpadeBlock(width, width // 2, hidden)
        self.up1 = SpadeBlock(width // 2, sizes.decoder_last, hidden)
        self.last = nn.Conv2d(sizes.decoder_last, 3 * 4, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        hidden = F.relu(self.hidden(features)).chunk(2 * len(self.middle), dim=1)
        hidden_x2 = F.relu(self.hidden_x2(features)).chunk(3, dim=1)
        hidden_x4 = F.relu(self.hidden_x4(features)).chunk(3, dim=1)
        x = self.first(features)  # (b, 512, 64, 64)
        for index, block in enumerate(self.middle):
            x = block(x, *hidden[2 * index : 2 * index + 2])
        x = self.up0(F.interpolate(x, scale_factor=2.0), *hidden_x2)  # (b, 256, 128, 128)
        x = self.up1(F.interpolate(x, scale_factor=2.0), *hidden_x4)  # (b, 64, 256, 256)
        x = self.last(F.leaky_relu(x, SLOPE))  # (b, 12, 256, 256)
        return torch.sigmoid(F.pixel_shuffle(x, 2))  # (b, 3, 512, 512)
