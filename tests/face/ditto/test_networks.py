"""Every network against the reference implementation's output for the same weights."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from tests.face.ditto.reference import NETWORK_TOLERANCE, distance, given, golden, network


@pytest.fixture(autouse=True)
def _without_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


def test_the_appearance_extractor_gives_the_reference_volume() -> None:
    expected = golden("extractors")
    volume = network("appearance_extractor")(torch.sigmoid(given("image", 1, 3, 256, 256)))
    assert distance(volume[..., ::4, ::4], expected["appearance_stride4"]) < NETWORK_TOLERANCE
    assert float(volume.mean()) == pytest.approx(float(expected["appearance_mean"]), abs=1e-4)
    assert float(volume.std()) == pytest.approx(float(expected["appearance_std"]), rel=1e-4)


def test_the_motion_extractor_gives_the_reference_pose() -> None:
    expected = golden("extractors")
    motion = network("motion_extractor")(torch.sigmoid(given("image", 1, 3, 256, 256)))
    names = ("pitch", "yaw", "roll", "t", "exp", "scale", "kp")
    for name, found in zip(names, motion, strict=True):
        assert distance(found, expected[f"motion_{name}"]) < NETWORK_TOLERANCE, name


def keypoints() -> tuple[torch.Tensor, torch.Tensor]:
    source = 0.3 * given("kp_source", 1, 21, 3)
    return source, source + 0.05 * given("kp_delta", 1, 21, 3)


def test_the_stitch_network_moves_the_driving_keypoints() -> None:
    found = network("stitch_network")(*keypoints())
    assert distance(found, golden("renderers")["stitched"]) < NETWORK_TOLERANCE


def test_the_warp_network_bends_a_small_volume() -> None:
    found = network("warp_network")(given("feature_3d_small", 1, 32, 16, 32, 32), *keypoints())
    assert distance(found, golden("renderers")["warp_small"]) < NETWORK_TOLERANCE


def test_the_decoder_draws_a_small_picture() -> None:
    found = network("decoder")(given("decoder_feature_small", 1, 256, 16, 16))
    assert distance(found, golden("renderers")["decode_small"]) < NETWORK_TOLERANCE


def test_warp_and_decoder_together_draw_the_reference_picture() -> None:
    expected = golden("renderers")
    warp, decoder = network("warp_network"), network("decoder")
    volume = given("feature_3d", 1, 32, 16, 64, 64)
    compressed = warp.compress(volume)
    features = warp(volume, *keypoints(), compressed)
    assert distance(features[..., ::4, ::4], expected["warp_full_stride4"]) < NETWORK_TOLERANCE
    picture = decoder(features)
    assert distance(picture[..., ::8, ::8], expected["warp_decode_stride8"]) < NETWORK_TOLERANCE


def test_the_decoder_draws_a_full_picture() -> None:
    found = network("decoder")(given("decoder_feature", 1, 256, 64, 64))
    expected = golden("renderers")["decode_full_stride8"]
    assert distance(found[..., ::8, ::8], expected) < NETWORK_TOLERANCE


def test_two_frames_in_one_batch_are_the_two_frames_alone() -> None:
    warp = network("warp_network")
    volume = given("feature_3d_small", 2, 32, 16, 32, 32)
    source, driving = 0.3 * given("kp_source", 2, 21, 3), 0.3 * given("kp_other", 2, 21, 3)
    together = warp(volume, source, driving)
    for index in range(2):
        one = slice(index, index + 1)
        alone = warp(volume[one], source[one], driving[one])
        assert distance(together[one], alone.numpy()) < 1e-5
