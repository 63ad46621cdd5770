"""Films as cameras and phones make them."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from ditto_avatar.errors import InvalidImage
from ditto_avatar.face.library import BUNDLED
from ditto_avatar.face.pack import load_avatar
from ditto_avatar.face.register.film import QuietFilm, read_film
from ditto_avatar.face.register.tracker import FaceTracker
from ditto_avatar.types import ByteArray, FloatArray

# A track's matrix that turns its pictures by a quarter, clockwise (ISO 14496-12, 8.3.2).
QUARTER = struct.pack(">9i", 0, 0x10000, 0, -0x10000, 0, 0, 0, 0, 0x40000000)


def people(seconds: float, rate: int, pace: int = 1) -> Iterator[ByteArray]:
    """Pictures (320, 256, 3) of Sofia, RGB, who moves `pace` times as fast as she does, and comes
    back to a pose after ten seconds of hers."""
    avatar = load_avatar(BUNDLED / "sofia")
    for index in range(round(seconds * rate)):
        frame = index * 25 * pace // rate % avatar.frame_count
        picture = cv2.cvtColor(avatar.idle_frames[frame], cv2.COLOR_YUV2RGB_I420)
        yield np.asarray(cv2.resize(picture, (256, 320), interpolation=cv2.INTER_AREA), np.uint8)


def write(path: Path, pictures: Iterable[ByteArray], rate: int = 25) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate, options={"preset": "ultrafast"})
        for index, picture in enumerate(pictures):
            if index == 0:
                stream.height, stream.width = picture.shape[:2]
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def read(path: Path) -> QuietFilm:
    return read_film(path, FaceTracker(), lambda done, total: None)


def frame_of(film: QuietFilm) -> ByteArray:
    return np.asarray(cv2.cvtColor(film.pictures[0], cv2.COLOR_YUV2RGB_I420), np.uint8)


def stands_upright(film: QuietFilm) -> bool:
    """Whether the face is found in the picture where the points say."""
    face = FaceTracker().track(frame_of(film))
    assert face is not None
    eyes = face.points[[33, 263], :2]
    level = abs(eyes[1, 1] - eyes[0, 1]) < 0.1 * (eyes[1, 0] - eyes[0, 0])
    away = np.linalg.norm(face.points[:, :2] - film.points[0, :, :2], axis=1).mean()
    return bool(level and away < 4)


def test_a_phone_that_was_held_upright_is_righted(tmp_path: Path) -> None:
    turned = (np.ascontiguousarray(np.rot90(picture)) for picture in people(1.6, 25))
    path = write(tmp_path / "phone.mp4", turned)
    data = bytearray(path.read_bytes())
    matrix = data.index(b"tkhd") + 44
    data[matrix : matrix + 36] = QUARTER
    path.write_bytes(data)
    film = read(path)
    height, width = frame_of(film).shape[:2]
    assert height * 4 == width * 5
    assert stands_upright(film)


def test_sixty_pictures_a_second_become_twenty_five(tmp_path: Path) -> None:
    film = read(write(tmp_path / "fast.mkv", people(1.6, 60), 60))
    # Forwards and back, since the head does not come back in this time.
    assert len(film.pictures) == len(film.points) == len(film.closure)
    assert 74 <= len(film.pictures) <= 80


def test_a_wide_picture_is_cut_around_the_face(tmp_path: Path) -> None:
    def wide() -> Iterator[ByteArray]:
        noise = np.random.default_rng(1)
        for picture in people(1.4, 25):
            scene = np.full((360, 640, 3), 80, np.uint8)
            scene[20:340, 60:316] = picture
            yield np.clip(scene + noise.normal(0, 4, scene.shape), 0, 255).astype(np.uint8)

    film = read(write(tmp_path / "webcam.mp4", wide()))
    assert stands_upright(film)


def test_a_film_without_a_face_says_so(tmp_path: Path) -> None:
    grey = [np.full((240, 320, 3), 100, np.uint8)] * 30
    with pytest.raises(InvalidImage, match="no face was found"):
        read(write(tmp_path / "wall.mp4", grey))


def test_a_film_that_is_too_short_says_so(tmp_path: Path) -> None:
    with pytest.raises(InvalidImage, match="shorter than a second"):
        read(write(tmp_path / "short.mp4", people(0.4, 25)))


def steps(film: QuietFilm) -> FloatArray:
    """How much each picture differs from the one before it, the first one from the last: mean grey
    levels."""
    light = [picture[: len(picture) * 2 // 3].astype(np.float32) for picture in film.pictures]
    pairs = zip([light[-1], *light], light, strict=False)
    return np.array([np.abs(after - before).mean() for before, after in pairs], np.float32)


def test_a_film_whose_person_comes_back_to_a_pose_loops_forwards(tmp_path: Path) -> None:
    film = read(write(tmp_path / "calm.mp4", people(6, 25, pace=2)))
    assert 100 <= len(film.pictures) <= 138, "the end is not faded into the beginning"
    found = steps(film)
    assert found[0] < 1.5 * np.median(found), "the loop jumps where it begins again"
    # In the middle of the fade nothing is seen double: the points are those of one face.
    middle = cv2.cvtColor(film.pictures[-6], cv2.COLOR_YUV2RGB_I420)
    face = FaceTracker().track(np.asarray(middle, np.uint8))
    assert face is not None
    assert np.linalg.norm(face.points[:, :2] - film.points[-6, :, :2], axis=1).mean() < 2.5


def test_a_film_whose_person_goes_elsewhere_loops_forwards_and_back(tmp_path: Path) -> None:
    film = read(write(tmp_path / "short.mp4", people(2, 25)))
    count = len(film.pictures) // 2 + 1
    assert 2 * count - 2 == len(film.pictures)
    for index in range(1, count):
        assert np.array_equal(film.pictures[-index], film.pictures[index])
    found = steps(film)
    assert found[0] < 1.5 * np.median(found)


def test_a_film_of_two_people_is_refused(tmp_path: Path) -> None:
    pictures = (np.concatenate([one, one[:, ::-1]], axis=1) for one in people(2, 25))
    path = write(tmp_path / "two.mp4", pictures)
    with pytest.raises(InvalidImage, match="more than one face"):
        read_film(path, FaceTracker(), lambda done, total: None)
