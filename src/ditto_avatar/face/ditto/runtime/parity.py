"""Whether two backends draw the same, on random input."""

from __future__ import annotations

import torch
from torch import Tensor

from ditto_avatar.errors import DittoAvatarError
from ditto_avatar.face.ditto.layout import MOTION
from ditto_avatar.face.ditto.networks import RELEASED, Sizes
from ditto_avatar.face.ditto.runtime.base import Runners
from ditto_avatar.face.ditto.windows import CLIP_FRAMES

# Two computations in half precision are one or two hundredths apart; a wrong weight, layout or
# order of inputs is far beyond.
LARGEST_DIFFERENCE = 0.05


class RunnersDiffer(DittoAvatarError):
    """A backend computes something else than the networks."""


@torch.inference_mode()
def differences(found: Runners, expected: Runners, sizes: Sizes = RELEASED) -> dict[str, float]:
    """‖found − expected‖ / ‖expected‖ for each part: a volume, a motion, a frame and one
    diffusion step. NaN where numbers are none."""
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
    return {
        name: float(
            (ours[name].float() - theirs[name].float()).norm() / theirs[name].float().norm()
        )
        for name in theirs
    }


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
