"""DDIM sampling of the motion diffusion model.

Denoising Diffusion Implicit Models (Song et al., arXiv 2010.02502) over a cosine schedule of
1,000 steps (Nichol and Dhariwal, arXiv 2102.09672), with eta 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import torch
from torch import Tensor

from ditto_avatar.face.ditto.transfer import upload

TRAINING_STEPS = 1000
COSINE_OFFSET = 0.008
LARGEST_BETA = 0.999


@dataclass(frozen=True, slots=True)
class Step:
    """One DDIM step from `time` on. The next x is `keep` · x₀ + `direct` · noise + `fresh` · draw;
    the noise in x is `noise_x` · x − `noise_start` · x₀."""

    time: int
    noise_x: float
    noise_start: float
    keep: float
    direct: float
    fresh: float


def cumulative_alphas() -> Tensor:
    """ᾱ of every training step, float32 (1000,), in the order of operations of the training."""
    place = torch.arange(TRAINING_STEPS + 1, dtype=torch.float64) / TRAINING_STEPS + COSINE_OFFSET
    signal = torch.cos(place / (1 + COSINE_OFFSET) * math.pi / 2) ** 2
    signal = signal / signal[0]
    betas = (1 - signal[1:] / signal[:-1]).clamp(0, LARGEST_BETA)
    return torch.cumprod(1.0 - betas.float(), dim=0)


def schedule(steps: int) -> tuple[Step, ...]:
    """The steps of a run; the last one takes x₀ as it is.

    Raises `ValueError` unless 1 ≤ `steps` ≤ 1000."""
    if not 1 <= steps <= TRAINING_STEPS:
        raise ValueError(f"sampling steps should lie between 1 and {TRAINING_STEPS}, not {steps}.")
    alphas = cumulative_alphas()
    times = torch.linspace(-1, TRAINING_STEPS - 1, steps + 1).int().tolist()[::-1]
    result = []
    for time, following in pairwise(times):
        alpha = alphas[time]
        noise_x = torch.sqrt(1.0 / (1.0 - alpha))
        noise_start = 1.0 / torch.sqrt(1.0 / alpha - 1.0)
        if following < 0:
            keep, direct, fresh = torch.tensor(1.0), torch.tensor(0.0), torch.tensor(0.0)
        else:
            after = alphas[following]
            fresh = ((1 - alpha / after) * (1 - after) / (1 - alpha)).sqrt()
            keep = after.sqrt()
            # Where almost nothing is left of the signal, rounding may fall below zero.
            direct = (1 - after - fresh**2).clamp(min=0).sqrt()
        result.append(Step(time, *(float(v) for v in (noise_x, noise_start, keep, direct, fresh))))
    return tuple(result)


class Noise(Protocol):
    """Where the random numbers of the sampler come from.

    The draws between steps are made once and used for every clip; the start is drawn per clip,
    by its number, so that a clip computed again is the same clip."""

    def between(self, steps: int) -> Tensor:
        """float32 (steps - 1, 80, 265) on the runners' device; fewer steps begin like more."""
        ...

    def start(self, clip: int) -> Tensor:
        """float32 (80, 265) on the host: those of a batch go to the device together."""
        ...


class SeededNoise:
    """Standard normal draws (80, 265), fixed by a seed."""

    def __init__(self, seed: int, shape: tuple[int, int], device: torch.device) -> None:
        self._seed = seed
        self._shape = shape
        self._device = device
        # For the longest run so far; a shorter one takes the first of them.
        self._between = torch.empty((0, *shape), device=device)

    def _draw(self, label: int) -> Tensor:
        # Drawn on the CPU: the same seed gives the same motion on every device.
        generator = torch.Generator().manual_seed((self._seed << 24) + label)
        return torch.randn(self._shape, generator=generator)

    def between(self, steps: int) -> Tensor:
        if missing := range(len(self._between), steps - 1):
            draws = torch.stack([self._draw(index) for index in missing])
            self._between = torch.cat([self._between, upload(draws, self._device)])
        return self._between[: steps - 1]

    def start(self, clip: int) -> Tensor:
        return self._draw(1024 + clip)
