"""Which faces are taken, and what is said about the others."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from ditto_avatar.errors import InvalidImage
from ditto_avatar.face.ditto.models import DittoModels
from ditto_avatar.face.ditto.source import FaceReader, read_faces, source_motion
from ditto_avatar.face.register.detection import Detection
from ditto_avatar.types import ByteArray
from tests.fakes import packs


@pytest.fixture
def reader(models: DittoModels) -> FaceReader:
    return models.reader


def portrait(dx: float = 0, dy: float = 0) -> ByteArray:
    return packs.draw(packs.neutral_points() + np.array([dx, dy, 0]))


def scene(size: int = 512) -> ByteArray:
    return np.full((size, size, 3), 140, np.uint8)


def placed(picture: ByteArray, face: ByteArray, left: int, top: int) -> ByteArray:
    height, width = face.shape[:2]
    picture[top : top + height, left : left + width] = face
    return picture


def test_a_face_is_found_where_it_is(reader: FaceReader) -> None:
    frame = reader.read(portrait(), None, "photo")
    expected = packs.neutral_points()
    assert np.abs(frame.mesh[:, :2] - expected[:, :2]).mean() < 2
    assert frame.crop.shape == (256, 256, 3)
    centre = frame.matrix @ np.array([256, 256, 1])
    # The crop looks an eighth of its size above the landmarks' middle.
    height = 512 * frame.matrix[1, 1]
    assert np.abs(centre[:2] - (packs.CENTRE - (0, height / 8))).max() < 6


def test_a_video_is_followed_from_frame_to_frame(reader: FaceReader) -> None:
    moves = [(0, 0), (6, 2), (12, 4)]
    frames = read_faces(reader, [portrait(*move) for move in moves], "video")
    travelled = frames[2].matrix[:2, 2] - frames[0].matrix[:2, 2]
    assert np.abs(travelled - (12, 4)).max() < 1.5


def test_source_motion_describes_every_frame(models: DittoModels) -> None:
    frames = read_faces(models.reader, [portrait(), portrait(3)], "video")
    motion = source_motion(frames, models.runners.motion, torch.device("cpu"))
    assert motion.rows.shape == (2, 265)
    assert motion.keypoints.shape == (2, 63)
    assert np.array_equal(motion.canonical, motion.keypoints[0])
    one_by_one = source_motion(frames[1:], models.runners.motion, torch.device("cpu"))
    assert np.allclose(one_by_one.rows[0], motion.rows[1], atol=1e-5)


def test_a_picture_without_a_face_is_refused(reader: FaceReader) -> None:
    with pytest.raises(InvalidImage, match=r"photo: no face was found; use a picture of one"):
        reader.read(scene(), None, "photo")


def test_two_faces_are_refused(reader: FaceReader) -> None:
    picture = placed(scene(640), portrait(), 20, 100)
    other = portrait()
    skin = (other[..., 0] > 200) & (other[..., 2] < 180)
    other[skin] = (120, 225, 180)
    with pytest.raises(InvalidImage, match=r"photo shows 2 faces; crop it"):
        reader.read(placed(picture, other, 360, 100), None, "photo")


@pytest.mark.parametrize("width", [20, 40])
def test_a_face_of_few_pixels_is_refused(reader: FaceReader, width: int) -> None:
    zoom = width / 166
    face = cv2.resize(portrait(), None, fx=zoom, fy=zoom, interpolation=cv2.INTER_AREA)
    picture = placed(scene(), np.asarray(face, np.uint8), 40, 40)
    with pytest.raises(InvalidImage, match=r"the face is \d\d pixels wide and should have at"):
        reader.read(picture, None, "photo")


def test_a_small_face_in_a_large_picture_is_found(reader: FaceReader) -> None:
    face = cv2.resize(portrait(), None, fx=0.4, fy=0.4, interpolation=cv2.INTER_AREA)
    picture = placed(scene(1600), np.asarray(face, np.uint8), 300, 200)
    frame = reader.read(picture, None, "photo")
    centre = frame.mesh[:, :2].mean(axis=0)
    assert np.abs(centre - (300 + 0.4 * packs.CENTRE[0], 200 + 0.4 * packs.CENTRE[1])).max() < 8


def test_a_face_turned_away_is_refused(reader: FaceReader) -> None:
    picture = portrait()
    skin = (picture[..., 0] > 200) & (picture[..., 2] < 180)
    picture[skin] = (255, 60, 200)
    with pytest.raises(InvalidImage, match=r"turned away; use a picture in which it looks"):
        reader.read(picture, None, "photo")


def test_a_face_cut_by_the_border_is_refused(reader: FaceReader) -> None:
    picture = np.ascontiguousarray(portrait()[:, 128:])
    with pytest.raises(InvalidImage, match=r"cut off by the border; use a picture that shows all"):
        reader.read(picture, None, "photo")


def test_a_face_that_leaves_a_video_is_refused_with_the_frame(reader: FaceReader) -> None:
    with pytest.raises(InvalidImage, match=r"video, frame 2: the face is cut off"):
        read_faces(reader, [portrait(), portrait(dx=128)], "video")


def test_overlapping_detections_are_one_face(models: DittoModels) -> None:
    found = models.reader._detector(portrait())
    assert len(found) == 1
    assert isinstance(found[0], Detection)
    assert 130 < found[0].width < 190
