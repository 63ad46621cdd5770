"""Pictures of a face in a pose."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from ditto_avatar.errors import InvalidAvatar
from ditto_avatar.face.avatar import Avatar
from ditto_avatar.face.pack import load_avatar
from ditto_avatar.face.puppet.arkit import indices
from ditto_avatar.face.puppet.motion import REST, Pose
from ditto_avatar.face.puppet.renderer import Renderer
from ditto_avatar.types import ByteArray
from tests.fakes.packs import HEIGHT, WIDTH, make_pack

Arrays = dict[str, npt.NDArray[Any]]

# Rows and columns of the drawn face.
MOUTH = slice(192, 222), slice(104, 152)
EYES = slice(122, 142), slice(80, 176)
FOREHEAD = slice(70, 100), slice(90, 166)
CORNER = slice(0, 40), slice(0, 40)


@pytest.fixture(scope="module")
def renderer(oval: Avatar) -> Renderer:
    return Renderer(oval)


def pose(head: tuple[float, float, float] = (0, 0, 0), **shapes: float) -> Pose:
    weights = np.zeros(52, np.float32)
    for name, weight in shapes.items():
        weights[list(indices(name))] = weight
    return Pose(weights, np.array(head, np.float32))


def luma(picture: ByteArray, part: tuple[slice, slice]) -> npt.NDArray[np.int16]:
    return picture[:HEIGHT][part].astype(np.int16)


def dark_or_teeth(picture: ByteArray) -> float:
    mouth = luma(picture, MOUTH)
    return float(((mouth < 75) | (mouth > 205)).mean())


def test_a_face_at_rest_is_the_idle_frame_itself(renderer: Renderer, oval: Avatar) -> None:
    picture = renderer.draw(3, REST)
    assert np.array_equal(picture, oval.idle_frames[3])
    picture[:] = 0  # a new picture each time: the idle loop is not touched
    assert oval.idle_frames[3].any()


def test_a_trace_of_motion_is_hardly_seen(renderer: Renderer, oval: Avatar) -> None:
    change = np.abs(renderer.draw(3, pose(jawOpen=0.003)).astype(int) - oval.idle_frames[3])
    assert change.mean() < 0.3


@pytest.mark.parametrize("jaw", [0.2, 0.45, 0.6, 0.9])
def test_the_mouth_opens_with_the_jaw(renderer: Renderer, jaw: float) -> None:
    smaller, larger = (dark_or_teeth(renderer.draw(0, pose(jawOpen=j))) for j in (jaw - 0.15, jaw))
    assert larger > smaller + 0.01


def test_mouth_close_undoes_jaw_open(renderer: Renderer) -> None:
    assert dark_or_teeth(renderer.draw(0, pose(jawOpen=0.3, mouthClose=0.3))) < 0.01


def test_a_speaking_mouth_leaves_the_rest_alone(renderer: Renderer, oval: Avatar) -> None:
    picture, idle = renderer.draw(5, pose(jawOpen=0.7, mouthPucker=0.3)), oval.idle_frames[5]
    for part in (EYES, FOREHEAD, CORNER):
        assert np.abs(luma(picture, part) - luma(idle, part)).max() <= 2


def test_the_mouth_follows_the_idle_loop(renderer: Renderer, oval: Avatar) -> None:
    frames = (0, oval.frame_count // 4)
    columns = []
    for frame in frames:
        mouth = luma(renderer.draw(frame, pose(jawOpen=0.6)), MOUTH)
        columns.append(np.flatnonzero((mouth < 75).any(0)).mean())
    moved = oval.arrays.landmarks[list(frames), 13, 0]
    assert columns[1] - columns[0] == pytest.approx(moved[1] - moved[0], abs=0.7)


def test_a_blink_closes_open_eyes(renderer: Renderer, oval: Avatar) -> None:
    def whites(picture: ByteArray) -> int:
        return int((luma(picture, EYES) > 205).sum())

    idle = whites(oval.idle_frames[0])
    half, full = (whites(renderer.draw(0, pose(eyeBlink=w))) for w in (0.5, 1.0))
    assert idle > 100
    assert half < 0.8 * idle
    assert full < 0.35 * idle


def test_eyes_that_are_closed_already_stay_as_they_are(renderer: Renderer, oval: Avatar) -> None:
    picture = renderer.draw(20, pose(eyeBlink=1.0))
    assert np.abs(luma(picture, EYES) - luma(oval.idle_frames[20], EYES)).mean() < 1


def test_brows_rise_and_the_mouth_stays(renderer: Renderer, oval: Avatar) -> None:
    picture = renderer.draw(0, pose(browInnerUp=1.0))
    brows = slice(100, 120), slice(80, 176)

    def height(image: ByteArray) -> float:
        return float(np.nonzero(luma(image, brows) < 110)[0].mean())

    assert height(picture) < height(oval.idle_frames[0]) - 3
    assert np.abs(luma(picture, MOUTH) - luma(oval.idle_frames[0], MOUTH)).max() <= 2


@pytest.mark.parametrize(
    ("head", "axis", "sign"), [((6, 0, 0), 0, 1), ((0, 6, 0), 1, 1), ((0, -6, 0), 1, -1)]
)
def test_the_head_turns_where_it_should(
    renderer: Renderer, oval: Avatar, head: tuple[float, float, float], axis: int, sign: int
) -> None:
    lips = slice(175, 230), slice(90, 166)

    def middle(image: ByteArray) -> float:
        chroma = image[HEIGHT + HEIGHT // 4 :].reshape(HEIGHT // 2, WIDTH // 2)
        return float(
            np.argwhere(chroma[87:115, 45:83] > 150).mean(0)[axis]
        )  # the redness of the lips

    turned = renderer.draw(0, pose(head))
    assert sign * (middle(turned) - middle(oval.idle_frames[0])) > 1
    assert luma(turned, lips).shape == (55, 76)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Avatar:
    """A face without an atlas and without shapes of its own."""
    folder = tmp_path_factory.mktemp("packs") / "plain"
    return load_avatar(make_pack(folder, frames=8, atlas=False, blendshapes=False))


def test_a_face_without_an_atlas_gets_a_mouth(plain: Avatar) -> None:
    renderer = Renderer(plain)
    closed = dark_or_teeth(renderer.draw(0, pose(mouthPucker=0.3)))
    opened = dark_or_teeth(renderer.draw(0, pose(jawOpen=0.6)))
    assert closed < 0.02
    assert opened > 0.04


def test_its_mouth_is_dark_teeth_and_tongue_in_its_own_light(plain: Avatar) -> None:
    mouth = luma(Renderer(plain).draw(0, pose(jawOpen=0.8)), MOUTH)
    assert mouth.min() < 60
    assert mouth.max() > 150


def change_arrays(folder: Path, change: Callable[[Arrays], None]) -> Avatar:
    with np.load(folder / "avatar.npz") as file:
        arrays: Arrays = dict(file)
    change(arrays)
    np.savez(folder / "avatar.npz", **arrays)  # type: ignore[arg-type]
    return load_avatar(folder)


def turned_away(arrays: Arrays) -> None:
    arrays["head_rotation"][3, 1] = 60


def cut(arrays: Arrays) -> None:
    arrays["landmarks"][:, :, 1] += 130


def tiny(arrays: Arrays) -> None:
    arrays["neutral_landmarks"] *= 0.2


def hidden(arrays: Arrays) -> None:
    arrays["visibility"][:] = False


@pytest.mark.parametrize(
    ("damage", "key"),
    [
        (turned_away, "head_rotation"),
        (cut, "landmarks"),
        (tiny, "neutral_landmarks"),
        (hidden, "visibility"),
    ],
)
def test_a_face_that_would_be_drawn_wrongly_is_refused(
    tmp_path: Path, damage: Callable[[Arrays], None], key: str
) -> None:
    avatar = change_arrays(make_pack(tmp_path / "oval", frames=6), damage)
    with pytest.raises(InvalidAvatar, match=rf"avatar\.npz: {key}: expected .*, came"):
        Renderer(avatar)


def test_a_face_near_the_border_is_drawn(tmp_path: Path) -> None:
    def aside(arrays: Arrays) -> None:
        for key in ("landmarks", "neutral_landmarks", "atlas_landmarks"):
            arrays[key][..., 0] -= 75
        arrays["atlas_box"][0] -= 75

    avatar = change_arrays(make_pack(tmp_path / "oval", frames=6), aside)
    picture = Renderer(avatar).draw(0, pose(jawOpen=0.8, browInnerUp=1, eyeBlink=1))
    assert picture.shape == (HEIGHT * 3 // 2, WIDTH)
