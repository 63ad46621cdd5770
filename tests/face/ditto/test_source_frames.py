"""Source pictures: cut out on the host, kept on the device within a limit."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ditto_avatar.face.avatar import Avatar
from ditto_avatar.face.ditto.composite import Backdrop, Box
from ditto_avatar.face.ditto.models import DittoModels
from ditto_avatar.face.ditto.pipeline import Pipeline
from ditto_avatar.face.ditto.registration import registered
from ditto_avatar.face.ditto.source_frames import Cutout, PictureCache, SourceFrames


@pytest.fixture
def pipeline(models: DittoModels) -> Pipeline:
    return Pipeline(models.runners, 1)


def test_a_cutout_holds_its_own_picture_and_not_the_group_it_was_decoded_with(
    avatar: Avatar, models: DittoModels
) -> None:
    source_frames = SourceFrames(avatar, registered(avatar, models))
    cutouts = source_frames.cut([3, 5])
    for frame, cutout in zip((3, 5), cutouts, strict=True):
        assert cutout.face.shape == (256, 256, 3)
        assert np.array_equal(cutout.backdrop.yuv, avatar.idle_frames[frame])
        assert cutout.backdrop.yuv.base is None


def cutout(seed: int = 0) -> Cutout:
    face = np.random.default_rng(seed).integers(0, 255, (64, 64, 3)).astype(np.uint8)
    part = torch.zeros(3, 4, 4)
    backdrop = Backdrop(
        Box(0, 0, 4, 4), torch.zeros(4, 4, 2), part[:1], part, np.zeros((6, 4), np.uint8)
    )
    return Cutout(face, backdrop)


def loop_twice(cache: PictureCache, source_frames: str = "a", frames: int = 8) -> int:
    """How many frames were there the second time."""
    hits = 0
    for again in (False, True):
        for frame in range(frames):
            hits += again and cache.find(source_frames, frame) is not None
            cache.make(source_frames, frame, cutout(frame))
    return hits


def test_pictures_that_fit_are_made_once(pipeline: Pipeline) -> None:
    cache = PictureCache(pipeline, 1 << 30)
    made = cache.make("a", 0, cutout())
    assert cache.make("a", 0, cutout()) is made
    assert cache.find("a", 0) is made
    assert cache.find("b", 0) is None
    assert cache.bytes == made.bytes


def test_what_was_not_used_for_longest_goes_first(pipeline: Pipeline) -> None:
    size = PictureCache(pipeline, 0).make("a", 0, cutout()).bytes
    cache = PictureCache(pipeline, 2 * size)
    for frame in (0, 1):
        cache.make("a", frame, cutout())
    cache.find("a", 0)
    cache.make("a", 2, cutout())
    assert [cache.find("a", frame) is not None for frame in range(3)] == [True, False, True]
    assert cache.bytes == 2 * size


def test_of_a_loop_that_does_not_fit_as_much_stays_as_fits(pipeline: Pipeline) -> None:
    size = PictureCache(pipeline, 0).make("a", 0, cutout()).bytes
    assert loop_twice(PictureCache(pipeline, 5 * size, whole_loops=True)) == 5
    assert loop_twice(PictureCache(pipeline, 5 * size)) == 0


def test_another_face_finds_room_beside_a_loop_that_does_not_fit(pipeline: Pipeline) -> None:
    size = PictureCache(pipeline, 0).make("a", 0, cutout()).bytes
    cache = PictureCache(pipeline, 5 * size, whole_loops=True)
    loop_twice(cache)
    cache.make("b", 0, cutout())
    assert cache.find("b", 0) is not None
    assert cache.bytes == 5 * size
