"""What the GPU bench measures against computes what the reference computes."""

from __future__ import annotations

import pytest
import torch

from bench.released import ReleasedDecoder, ReleasedDiffusion, ReleasedWarp
from tests.face.ditto.reference import NETWORK_TOLERANCE, distance, given, golden, tensors


@torch.no_grad()
def test_the_yardsticks_pictures_are_the_references() -> None:
    expected = golden("renderers")
    warp, decoder = ReleasedWarp().eval(), ReleasedDecoder().eval()
    warp.load_state_dict(tensors("warp_network"))
    decoder.load_state_dict(tensors("decoder"))
    source = 0.3 * given("kp_source", 1, 21, 3)
    driving = source + 0.05 * given("kp_delta", 1, 21, 3)
    features = warp(given("feature_3d_small", 1, 32, 16, 32, 32), source, driving)
    assert distance(features, expected["warp_small"]) < NETWORK_TOLERANCE
    picture = decoder(given("decoder_feature_small", 1, 256, 16, 16))
    assert distance(picture, expected["decode_small"]) < NETWORK_TOLERANCE


@pytest.mark.parametrize("time", [0, 999])
@torch.no_grad()
def test_the_yardsticks_motion_is_the_references(time: int) -> None:
    diffusion = ReleasedDiffusion().eval()
    diffusion.load_state_dict(tensors("lmdm"))
    found = diffusion(
        given("lmdm_x", 1, 80, 265),
        given("lmdm_cond_frame", 1, 265),
        given("lmdm_cond", 1, 80, 1103),
        torch.tensor([time]),
    )
    assert distance(found, golden("lmdm")[f"t{time}_start"]) < NETWORK_TOLERANCE
