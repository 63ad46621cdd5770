"""Tiny networks with seeded weights. Needs torch alone: a bare GPU machine has them, too."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import cast

import torch
from torch import nn

from ditto_avatar.face.ditto.networks import (
    AppearanceExtractor,
    Decoder,
    MotionDiffusion,
    MotionExtractor,
    Sizes,
    StitchNetwork,
    WarpNetwork,
)

SMALL = Sizes(
    crop=64,
    volume_channels=4,
    volume_depth=2,
    feature_channels=16,
    appearance_width=4,
    appearance_residuals=1,
    extractor_widths=(8, 8, 16, 16),
    extractor_depths=(1, 1, 1, 1),
    compressed_channels=1,
    hourglass_width=4,
    hourglass_limit=16,
    hourglass_levels=2,
    mask_kernel=3,
    decoder_width=16,
    decoder_blocks=1,
    decoder_last=8,
    modulation_width=8,
    latent=32,
    feedforward=32,
    encoder_layers=1,
    decoder_layers=2,
    heads=4,
)
# The least that the kernels of our own know, for the picture.
FITTING = replace(
    SMALL,
    crop=32,
    volume_channels=8,
    volume_depth=4,
    feature_channels=64,
    compressed_channels=2,
    hourglass_width=8,
    decoder_width=256,
    decoder_last=64,
    modulation_width=128,
)
PICTURE = ("appearance_extractor", "warp_network", "decoder")
BUILDERS = {
    "appearance_extractor": AppearanceExtractor,
    "motion_extractor": MotionExtractor,
    "stitch_network": StitchNetwork,
    "warp_network": WarpNetwork,
    "decoder": Decoder,
    "lmdm": MotionDiffusion,
}


def of_enlarged(conv: nn.ConvTranspose2d) -> nn.ConvTranspose2d:
    """The transposed convolution, by a factor of four, made one that a 3 x 3 convolution of an
    enlarged map could be: what the two places in the middle see is the same."""
    conv.weight.data[:, :, 3] = conv.weight.data[:, :, 2]
    conv.weight.data[:, :, :, 3] = conv.weight.data[:, :, :, 2]
    return conv


@cache
def small_networks(picture: Sizes = SMALL) -> dict[str, nn.Module]:
    """The six networks, tiny, the same every time; those of the picture in other sizes."""
    networks: dict[str, nn.Module] = {}
    for index, (name, build) in enumerate(BUILDERS.items()):
        with torch.random.fork_rng():
            torch.manual_seed(index)
            sizes = picture if name in PICTURE else SMALL
            networks[name] = build(sizes).eval().requires_grad_(False)
    # Motion stays small, stitching smaller, and pictures have contrast.
    for name, layer, factor in (
        ("lmdm", "motion_out", 0.05),
        ("stitch_network", "layers.3", 0.01),
        ("decoder", "last", 20.0),
    ):
        for parameter in networks[name].get_submodule(layer).parameters():
            parameter.data.mul_(factor)
    of_enlarged(cast(Decoder, networks["decoder"]).hidden_x4)
    return networks
