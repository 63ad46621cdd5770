"""How wide and deep the networks are: the released model, or a small one for tests."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sizes:
    """Widths, depths and counts shared by the networks; the defaults are the released model's."""

    crop: int = 256
    keypoints: int = 21
    pose_bins: int = 66
    volume_channels: int = 32
    volume_depth: int = 16
    feature_channels: int = 256

    appearance_width: int = 64
    appearance_residuals: int = 6

    extractor_widths: tuple[int, ...] = (96, 192, 384, 768)
    extractor_depths: tuple[int, ...] = (3, 3, 9, 3)

    stitch_widths: tuple[int, ...] = (128, 128, 64)

    compressed_channels: int = 4
    hourglass_width: int = 32
    hourglass_limit: int = 1024
    hourglass_levels: int = 5
    mask_kernel: int = 7

    decoder_width: int = 512
    decoder_blocks: int = 6
    decoder_last: int = 64
    modulation_width: int = 128

    latent: int = 512
    feedforward: int = 1024
    encoder_layers: int = 2
    decoder_layers: int = 8
    heads: int = 8
    clip_frames: int = 80
    motion: int = 265
    condition: int = 1103

    @property
    def feature(self) -> int:
        """Height and width of the feature volume of a crop."""
        return self.crop // 4

    @property
    def flat_volume(self) -> int:
        """Channels of the feature volume once depth is folded into them."""
        return self.volume_channels * self.volume_depth


RELEASED = Sizes()
