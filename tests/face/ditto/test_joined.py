"""The diffusion model with joined products."""

from __future__ import annotations

import pytest
import torch

from ditto_avatar.face.ditto.networks import MotionDiffusion
from ditto_avatar.face.ditto.runtime.joined import JoinedDiffusion
from tests.face.ditto.reference import distance, given
from tests.face.ditto.small import SMALL, small_networks


@pytest.mark.parametrize("times", [[999, 999], [0, 417]], ids=["one time", "two times"])
@torch.inference_mode()
def test_a_step_predicts_the_same(times: list[int]) -> None:
    plain = small_networks()["lmdm"]
    assert isinstance(plain, MotionDiffusion)
    inputs = given("condition", 2, 80, 1103), given("first", 2, 265)
    x, time = given("start", 2, 80, 265), torch.tensor(times)
    expected = plain(x, time, *plain.encode(*inputs))
    joined = JoinedDiffusion(plain)
    assert distance(joined(x, time, *joined.encode(*inputs)), expected.numpy()) < 1e-5


def test_weights_are_kept_once_and_the_plain_ones_left() -> None:
    plain = MotionDiffusion(SMALL)
    before = {name: tensor.clone() for name, tensor in plain.state_dict().items()}
    weights = sum(tensor.numel() for tensor in JoinedDiffusion(plain).parameters())
    assert weights < sum(tensor.numel() for tensor in plain.parameters())
    after = plain.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], before[name]) for name in before)
