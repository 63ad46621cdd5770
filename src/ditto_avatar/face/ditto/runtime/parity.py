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
LEAST_PSNR_DB = 44.0


class RunnersDiffer(DittoAvatarError):
    """A backend computes something else than the networks."""


@torch.inference_mode()
def differences(
    found: Runners, expected: Runners, sizes: Sizes = RELEASED, steps: int = 1
) -> dict[str, float]:
    """‖found − expected‖ / ‖expected − its mean‖ for each part: a volume, a motion, frames in
    batches of every size, and clips, two at once where they fit. NaN where numbers are none."""
    device, most = expected.device, max(found.batches)
    clips = min(2, max(found.clip_batches))
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator).to(device)

    image = torch.sigmoid(draw(1, 3, sizes.crop, sizes.crop))
    source = 0.2 * draw(most, sizes.keypoints, 3)
    driving = source + 0.05 * draw(most, sizes.keypoints, 3)
    clip = (
        draw(clips, CLIP_FRAMES, sizes.condition),
        draw(clips, MOTION),
        draw(clips, CLIP_FRAMES, MOTION),
        draw(steps - 1, clips, CLIP_FRAMES, MOTION),
    )
    # One face in as many poses as a batch may hold.
    volume = expected.appearance(image).repeat(most, 1, 1, 1, 1)

    def parts(runners: Runners) -> dict[str, Tensor]:
        return {
            "volume": runners.appearance(image),
            "motion": torch.cat(tuple(runners.motion(image)), dim=1),
            "clip": runners.clip(*clip),
        }

    def frames(runners: Runners, batch: int, first: int = 0) -> Tensor:
        own = volume[:batch].to(runners.dtype)
        poses = slice(first, first + batch)
        return runners.frame(own, runners.compress(own), source[poses], driving[poses]).float()

    ours, theirs = parts(found), parts(expected)
    result = {name: _difference(ours[name].float(), theirs[name].float()) for name in theirs}
    single = torch.cat([frames(expected, 1, first) for first in range(most)])
    return result | {
        f"frames of {batch}": _difference(frames(found, batch), single[:batch])
        for batch in found.batches
    }


def _difference(found: Tensor, expected: Tensor) -> float:
    # Measured by what varies: a grey picture is near every other one.
    return float((found - expected).norm() / (expected - expected.mean()).norm())


def check_runners(
    found: Runners, expected: Runners, sizes: Sizes = RELEASED, steps: int = 1
) -> None:
    """Raises `RunnersDiffer` unless both give the same, up to half precision. Clips have `steps`
    diffusion steps."""
    beyond = [
        f"{name} by {100 * difference:.1f} %"
        for name, difference in differences(found, expected, sizes, steps).items()
        if not difference <= LARGEST_DIFFERENCE
    ]
    if beyond:
        raise RunnersDiffer(
            f"{found.name} differs from the networks: {', '.join(beyond)}; at most "
            f"{100 * LARGEST_DIFFERENCE:.0f} % is allowed."
        )


@torch.inference_mode()
# In single precision indeed, and without algorithms that take all of a card's memory.
@torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=False, allow_tf32=False)
def psnr_db(found: Runners, exact: Runners, sizes: Sizes = RELEASED) -> float:
    """Peak signal-to-noise ratio of faces in the largest batch of `found`, against those of `exact`
    drawn one by one."""
    most, device = max(found.batches), exact.device
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator).to(device)

    volume = exact.appearance(torch.sigmoid(draw(1, 3, sizes.crop, sizes.crop)))
    source = 0.2 * draw(most, sizes.keypoints, 3)
    driving = source + 0.05 * draw(most, sizes.keypoints, 3)
    own = volume.repeat(most, 1, 1, 1, 1).to(found.dtype)
    faces = found.frame(own, found.compress(own), source, driving).float()
    compressed = exact.compress(volume)
    squared = [
        (faces[i] - exact.frame(volume, compressed, source[i : i + 1], driving[i : i + 1])[0])
        .float()
        .square()
        .mean()
        for i in range(most)
    ]
    return float(-10 * torch.log10(torch.stack(squared).mean()))


def check_precision(found: Runners, exact: Runners, sizes: Sizes = RELEASED) -> None:
    """Raises `RunnersDiffer` unless faces are within 44 dB of those in single precision."""
    reached = psnr_db(found, exact, sizes)
    if not reached >= LEAST_PSNR_DB:
        raise RunnersDiffer(
            f"{found.name} in integers of eight bits reaches {reached:.1f} dB in batches of "
            f"{max(found.batches)}; at least {LEAST_PSNR_DB:.0f} dB are asked for."
        )
