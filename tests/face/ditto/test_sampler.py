"""The diffusion model's single steps and whole runs against the reference."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ditto_avatar.face.ditto import sampler
from ditto_avatar.face.ditto.networks import ClipPath
from tests.face.ditto.reference import NETWORK_TOLERANCE, distance, given, golden, network


def clip() -> tuple[torch.Tensor, torch.Tensor]:
    return given("lmdm_cond", 1, 80, 1103), given("lmdm_cond_frame", 1, 265)


@pytest.mark.parametrize("time", [0, 500, 999])
@torch.inference_mode()
def test_one_step_predicts_the_reference_start_and_noise(time: int) -> None:
    expected, denoise = golden("lmdm"), network("lmdm")
    x = given("lmdm_x", 1, 80, 265)
    clean = denoise(x, torch.tensor([time]), *denoise.encode(*clip()))
    alpha = sampler.cumulative_alphas()[time]
    noise = torch.sqrt(1 / (1 - alpha)) * x - clean / torch.sqrt(1 / alpha - 1)
    assert distance(clean, expected[f"t{time}_start"]) < NETWORK_TOLERANCE
    assert distance(noise, expected[f"t{time}_noise"]) < NETWORK_TOLERANCE


@pytest.mark.parametrize("steps", [5, 10])
@torch.inference_mode()
def test_a_whole_run_gives_the_reference_clip(steps: int) -> None:
    def noise(index: int) -> torch.Tensor:
        return given(f"ddim{steps}/noise{index}", 1, 80, 265)

    lmdm = network("lmdm")
    path = ClipPath(lmdm.encode, lmdm, sampler.schedule(steps))
    noises = torch.stack([noise(index) for index in range(steps - 1)])
    found = path(*clip(), noise(steps - 1), noises)
    assert distance(found, golden("lmdm")[f"ddim{steps}"]) < NETWORK_TOLERANCE


@torch.inference_mode()
def test_two_clips_in_one_batch_are_the_two_clips_alone() -> None:
    lmdm = network("lmdm")
    path = ClipPath(lmdm.encode, lmdm, sampler.schedule(2))
    condition, first = given("lmdm_cond", 2, 80, 1103), given("lmdm_cond_frame", 2, 265)
    start, noises = given("lmdm_x", 2, 80, 265), given("noises", 1, 2, 80, 265)
    together = path(condition, first, start, noises)
    for index in range(2):
        one = slice(index, index + 1)
        alone = path(condition[one], first[one], start[one], noises[:, one])
        assert distance(together[one], alone.numpy()) < 1e-5


def test_every_schedule_has_finite_numbers() -> None:
    for steps in (1, 2, 5, 10, 25, 50, 1000):
        for step in sampler.schedule(steps):
            numbers = (step.noise_x, step.noise_start, step.keep, step.direct, step.fresh)
            assert np.isfinite(numbers).all(), (steps, step)


@pytest.mark.parametrize("steps", [0, 1001])
def test_a_schedule_needs_a_sensible_number_of_steps(steps: int) -> None:
    with pytest.raises(ValueError, match=f"not {steps}"):
        sampler.schedule(steps)


def test_seeded_noise_is_the_same_for_the_same_clip() -> None:
    first, again = (sampler.SeededNoise(3, (80, 265), torch.device("cpu")) for _ in range(2))
    assert torch.equal(first.start(2), again.start(2))
    assert not torch.equal(first.start(2), first.start(3))
    assert torch.equal(first.between(4), again.between(4))
    assert torch.equal(first.between(4)[:2], first.between(3)), "fewer steps begin the same"
    assert first.between(1).shape == (0, 80, 265)


def test_more_steps_begin_with_what_was_drawn_for_fewer() -> None:
    grown, whole = (sampler.SeededNoise(3, (80, 265), torch.device("cpu")) for _ in range(2))
    few = grown.between(3).clone()
    assert torch.equal(grown.between(6), whole.between(6))
    assert torch.equal(grown.between(3), few)


def test_the_draws_for_fewer_steps_take_no_memory_of_their_own() -> None:
    noise = sampler.SeededNoise(3, (80, 265), torch.device("cpu"))
    memory = noise.between(10).untyped_storage().data_ptr()
    for steps in (5, 4, 10):
        assert noise.between(steps).shape == (steps - 1, 80, 265)
        assert noise.between(steps).untyped_storage().data_ptr() == memory
