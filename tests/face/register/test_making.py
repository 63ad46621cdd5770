from __future__ import annotations

import asyncio
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from bench.own_face import teeth_vary
from ditto_avatar.errors import InvalidAvatar, InvalidImage
from ditto_avatar.face.avatar import Avatar
from ditto_avatar.face.library import BUNDLED
from ditto_avatar.face.pack import load_avatar
from ditto_avatar.face.puppet import landmarks as lm
from ditto_avatar.face.puppet.arkit import INDEX, SHAPES
from ditto_avatar.face.puppet.motion import Pose
from ditto_avatar.face.puppet.renderer import Renderer
from ditto_avatar.face.register.base_films import register_base_films
from ditto_avatar.face.register.checks import lip_gap
from ditto_avatar.face.register.film import quiet_stretch
from ditto_avatar.face.register.guarded import Step, register_face
from ditto_avatar.face.register.still import close_lips, prepare_still
from ditto_avatar.face.register.tracker import FaceTracker
from ditto_avatar.face.register.writing import Terms
from ditto_avatar.types import ByteArray, FloatArray
from tests.fakes.films import write_film

TERMS = Terms("own", "a test", "rendered")


def frame(avatar: Avatar, index: int) -> ByteArray:
    return np.asarray(cv2.cvtColor(avatar.idle_frames[index], cv2.COLOR_YUV2RGB_I420), np.uint8)


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photos") / "me.png"
    cv2.imwrite(str(path), frame(load_avatar(BUNDLED / "mina"), 0)[..., ::-1])
    return path


@pytest.fixture(scope="module")
def made(photo: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Avatar, list[Step]]:
    stages: list[Step] = []
    out = tmp_path_factory.mktemp("packs") / "me"
    made = asyncio.run(register_face(photo, out, TERMS, cutout=True, on_step=stages.append))
    return made, stages


def test_a_photo_becomes_a_checked_pack(made: tuple[Avatar, list[Step]]) -> None:
    avatar, stages = made
    assert (avatar.width, avatar.height) == (512, 640)
    assert avatar.frame_count == 250
    assert avatar.atlas is not None
    assert stages == [Step.MAKING, Step.TESTING]
    assert json.loads((avatar.folder / "about.json").read_text())["consent"] == "rendered"
    assert [entry.name for entry in avatar.folder.parent.iterdir()] == ["me"]


def test_it_can_be_shown_without_the_background_of_the_photo(
    made: tuple[Avatar, list[Step]],
) -> None:
    avatar, (drawn,) = made[0], [load_avatar(BUNDLED / "mina")]
    assert avatar.cutout_frames is not None
    assert drawn.cutout_frames is not None
    for index in (0, 125):
        packed = cv2.cvtColor(avatar.cutout_frames[index], cv2.COLOR_YUV2RGB_I420)
        opacity = packed[avatar.height :, :, 0]
        face = avatar.arrays.landmarks[index, lm.CHIN, :2].astype(int) - (0, 30)
        assert opacity[face[1], face[0]] > 250
        assert opacity[:30].max() < 10
    exact = cv2.cvtColor(drawn.cutout_frames[0], cv2.COLOR_YUV2RGB_I420)[drawn.height :, :, 0]
    # The pack shows another part of the photo.
    there, here = (of.arrays.landmarks[0, :468, :2].copy() for of in (drawn, avatar))
    way = cv2.estimateAffinePartial2D(there, here)[0]
    placed = cv2.warpAffine(exact, way, exact.shape[::-1], borderMode=cv2.BORDER_REPLICATE)
    first = cv2.cvtColor(avatar.cutout_frames[0], cv2.COLOR_YUV2RGB_I420)[avatar.height :, :, 0]
    assert np.abs(first.astype(int) - placed).mean() < 4


def test_its_loop_meets_its_beginning(made: tuple[Avatar, list[Step]]) -> None:
    points = made[0].arrays.landmarks[:, 1, :2]
    steps = np.linalg.norm(np.diff(np.concatenate([points, points[:1]]), axis=0), axis=1)
    assert steps[-1] < 1.5 * np.median(steps)


def test_its_background_stands_still(made: tuple[Avatar, list[Step]]) -> None:
    pictures = np.stack([frame(made[0], index)[:60, :60] for index in range(0, 250, 25)])
    assert pictures.astype(float).std(axis=0).mean() < 2


def test_it_blinks_and_no_eyeball_shows(made: tuple[Avatar, list[Step]]) -> None:
    avatar = made[0]
    closure = avatar.arrays.eye_closure
    assert closure is not None
    shut = int(np.argmax(closure[:, 0]))
    picture = cv2.cvtColor(frame(avatar, shut), cv2.COLOR_RGB2GRAY).astype(float)
    for eye in (lm.LEFT_EYE, lm.RIGHT_EYE):
        points = avatar.arrays.landmarks[shut, list(eye), :2]
        x, y = points.mean(0).astype(int)
        slit = picture[y - 2 : y + 5, x - 6 : x + 7]
        lid = picture[y - 12 : y - 5, x - 6 : x + 7]
        assert slit.max() <= lid.max() + 6


def test_its_points_are_where_the_tracker_sees_them(made: tuple[Avatar, list[Step]]) -> None:
    avatar, tracker = made[0], FaceTracker()
    for index in (0, 90, 180):
        face = tracker.track(frame(avatar, index))
        assert face is not None
        away = face.points[:, :2] - avatar.arrays.landmarks[index, :, :2]
        assert np.linalg.norm(away, axis=1).mean() < 2


def test_its_upper_teeth_stay_while_the_jaw_opens(made: tuple[Avatar, list[Step]]) -> None:
    # Bent along with the lips between the shapes of the atlas, they would move by 28 %.
    assert teeth_vary(made[0]) < 6


def test_parted_lips_are_closed() -> None:
    avatar = load_avatar(BUNDLED / "sofia")
    tracker = FaceTracker()
    weights = np.zeros(len(SHAPES), np.float32)
    weights[INDEX["jawOpen"]] = 0.4
    drawn = Renderer(avatar).draw(0, Pose(weights, np.zeros(3, np.float32)))
    still = np.asarray(cv2.cvtColor(drawn, cv2.COLOR_YUV2RGB_I420), np.uint8)
    seen = tracker.track(still)
    assert seen is not None
    assert lip_gap(seen.points) > 0.1
    picture, points = close_lips(still, seen.points)
    shut = tracker.track(picture)
    assert shut is not None
    assert lip_gap(points) < 0.005
    assert lip_gap(shut.points) < 0.03


def test_a_tilted_photo_is_righted() -> None:
    avatar = load_avatar(BUNDLED / "james")
    matrix = cv2.getRotationMatrix2D((256, 280), 15, 0.8)
    tilted = np.asarray(cv2.warpAffine(frame(avatar, 0), matrix, (512, 640)), np.uint8)
    face = FaceTracker().track(tilted)
    assert face is not None
    still = prepare_still(tilted, face.points)
    across = still.points[lm.LEFT_EYE_OUTER] - still.points[lm.RIGHT_EYE_OUTER]
    assert abs(np.degrees(np.arctan2(across[1], across[0]))) < 0.5


async def test_an_unusable_picture_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "grey.png"
    cv2.imwrite(str(path), np.full((300, 300, 3), 90, np.uint8))
    with pytest.raises(InvalidImage, match="No face was found"):
        await register_face(path, tmp_path / "packs" / "me", TERMS)
    assert list((tmp_path / "packs").iterdir()) == []


async def test_terms_must_say_something(tmp_path: Path, photo: Path) -> None:
    with pytest.raises(InvalidAvatar, match="consent is empty"):
        await register_face(photo, tmp_path / "me", Terms("own", "a test", " "))


async def test_a_lone_base_film_becomes_a_pack(tmp_path: Path) -> None:
    folder = tmp_path / "bo"
    folder.mkdir()
    write_film(folder / "base.mp4")
    await register_base_films(tmp_path)
    avatar = load_avatar(folder)
    assert 50 <= avatar.frame_count <= 76
    assert avatar.arrays.landmarks[0] == pytest.approx(avatar.arrays.landmarks[-1], abs=3)
    await register_base_films(tmp_path)  # what is a pack already is left alone


async def test_a_base_film_that_is_none_is_left_as_it_was(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "bo"
    folder.mkdir()
    (folder / "base.mp4").write_bytes(b"no film")
    await register_base_films(tmp_path)
    assert "avatar bo is left out" in caplog.text
    assert [entry.name for entry in folder.iterdir()] == ["base.mp4"]


def film(mouth: FloatArray) -> FloatArray:
    """The points of a film whose lips part by `mouth` (n,), in px."""
    rest = load_avatar(BUNDLED / "mina").arrays.neutral_landmarks
    points = np.repeat(rest[None], len(mouth), axis=0)
    lower = [below for _, below in lm.GAPS]
    points[:, lower, 1] += mouth[:, None]
    return points


def test_the_quiet_part_of_a_film_is_taken() -> None:
    mouth = np.zeros(200, np.float32)
    mouth[:60] = 12
    mouth[150:] = 12
    assert quiet_stretch(film(mouth), np.ones(200, np.float32)) == (60, 150)


def test_a_film_of_somebody_who_talks_all_the_time_is_refused() -> None:
    mouth = np.where(np.arange(200) % 12 < 6, 12, 0).astype(np.float32)
    with pytest.raises(InvalidImage, match="talks or shows their teeth"):
        quiet_stretch(film(mouth), np.ones(200, np.float32))
