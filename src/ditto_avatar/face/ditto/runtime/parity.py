"""Whether two backends draw the same, on random input."""

from __future__ import annotations

import torch
from torch import Tensor

from ditto_avatar.errors import DittoAvatarError
from ditto_avatar.face.ditto.layout import MOTION
from ditto_avatar.face.ditto.networks import RELEASED, Sizes
from ditto_avatar.face.ditto.runtime.base import Runners
from ditto_avatar.face.ditto.windows import CLIP_FRAMES

# Half precision moves a frame of full-sized networks by 0.7 %; one whose keypoints are mixed up is
# 87 % off.
LARGEST_DIFFERENCE = 0.05


class RunnersDiffer(DittoAvatarError):
    """A backend computes something else than the networks."""


@torch.inference_mode()
def differences(found: Runners, expected: Runners, sizes: Sizes = RELEASED) -> dict[str, float]:
    """‖found − expected‖ / ‖expected − its mean‖ for each part: a volume, a motion, a frame and
    one diffusion step. NaN where numbers are none."""
    device = expected.device
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator).to(device)

    image = torch.sigmoid(draw(1, 3, sizes.crop, sizes.crop))
    source = 0.2 * draw(1, sizes.keypoints, 3)
    driving = source + 0.05 * draw(1, sizes.keypoints, 3)
    clip = (
        draw(1, CLIP_FRAMES, sizes.condition),
        draw(1, MOTION),
        draw(1, CLIP_FRAMES, MOTION),
        draw(0, 1, CLIP_FRAMES, MOTION),
    )
    volume = expected.appearance(image)

    def parts(runners: Runners) -> dict[str, Tensor]:
        own = volume.to(runners.dtype)
        return {
            "volume": runners.appearance(image),
            "motion": torch.cat(tuple(runners.motion(image)), dim=1),
            "frame": runners.frame(own, runners.compress(own), source, driving),
            "clip": runners.clip(*clip),
        }

    ours, theirs = parts(found), parts(expected)
    return {name: _difference(ours[name].float(), theirs[name].float()) for name in theirs}


def _difference(found: Tensor, expected: Tensor) -> float:
    # Measured by what varies: a grey picture is near every other one.
    return float((found - expected).norm() / (expected - expected.mean()).norm())


def check_runners(found: Runners, expected: Runners, sizes: Sizes = RELEASED) -> None:
    """Raises `RunnersDiffer` unless both give the same, up to half precision."""
    beyond = [
        f"{name} by {100 * difference:.1f} %"
        for name, difference in differences(found, expected, sizes).items()
        if not difference <= LARGEST_DIFFERENCE
    ]
    if beyond:
        raise RunnersDiffer(
            f"{found.name} differs from the networks: {', '.join(beyond)}; at most "
            f"{100 * LARGEST_DIFFERENCE:.0f} % is allowed."
        )
