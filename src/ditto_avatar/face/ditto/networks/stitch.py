"""Stitch network: moves driving keypoints so that the face meets its shoulders."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ditto_avatar.face.ditto.networks.sizes import RELEASED, Sizes


class StitchNetwork(nn.Module):
    """Source and driving keypoints (b, 21, 3) each to corrected driving keypoints (b, 21, 3)."""

    def __init__(self, sizes: Sizes = RELEASED) -> None:
        super().__init__()
        numbers = 3 * sizes.keypoints
        widths = (2 * numbers, *sizes.stitch_widths, numbers + 2)
        self.layers = nn.ModuleList(nn.Linear(narrow, wide) for narrow, wide in pairwise(widths))

    def forward(self, source: Tensor, driving: Tensor) -> Tensor:
        x = torch.cat([source.flatten(1), driving.flatten(1)], dim=1)  # (b, 126)
        for layer in self.layers[:-1]:
            x = F.relu(layer(x))
        x = self.layers[-1](x)  # (b, 65): an offset for each keypoint, one in x and y for all
        offsets = torch.unflatten(x[:, :-2], 1, driving.shape[1:])
        common = F.pad(x[:, None, -2:], (0, 1))  # (b, 1, 3), nothing in z
        return driving + offsets + common
