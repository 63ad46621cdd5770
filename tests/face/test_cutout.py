"""Presenters without their background: the matte, the packed pictures, the other background."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from ditto_avatar.errors import InvalidAvatar, InvalidInput, Unavailable
from ditto_avatar.face import matting
from ditto_avatar.face.avatar import Avatar
from ditto_avatar.face.backdrop import before
from ditto_avatar.face.cutout import pack_rgb, without_background
from ditto_avatar.face.cutting import make_cutout, write_packed
from ditto_avatar.face.library import AvatarLibrary
from ditto_avatar.face.pack import load_avatar
from ditto_avatar.types import ByteArray, FloatArray
from tests.fakes.packs import make_pack

HEIGHT, WIDTH = 240, 200


def scene(shift: int = 0) -> tuple[ByteArray, FloatArray, FloatArray]:
    """A head and shoulders with soft edges before a gradient: picture, true opacity, backdrop."""
    shape = np.zeros((4 * HEIGHT, 4 * WIDTH), np.uint8)
    cv2.ellipse(shape, (4 * (100 + shift), 360), (200, 260), 0, 0, 360, 255, -1)
    cv2.ellipse(shape, (4 * (100 + shift), 1000), (380, 420), 0, 0, 360, 255, -1)
    opacity = cv2.resize(cv2.GaussianBlur(shape, (0, 0), 4), (WIDTH, HEIGHT)) / np.float32(255)
    down = np.linspace(150, 220, HEIGHT, dtype=np.float32)[:, None, None]
    tint = np.array([0.8, 0.95, 1.0], np.float32)
    backdrop = np.broadcast_to(down * tint, (HEIGHT, WIDTH, 3))
    draw = np.random.default_rng(4)
    person = np.full((HEIGHT, WIDTH, 3), (90, 60, 50), np.float32)
    person += draw.normal(0, 4, person.shape).astype(np.float32)
    mixed = person * opacity[..., None] + backdrop * (1 - opacity[..., None])
    return mixed.clip(0, 255).round().astype(np.uint8), opacity, backdrop


FACE = np.array([70, 50, 130, 130], np.float32)


def test_the_matte_is_near_the_true_one_before_a_backdrop_that_is_found() -> None:
    pictures = [scene(shift)[0] for shift in (-6, 0, 6)]
    plate = matting.find_plate(pictures, FACE)
    picture, truth, _ = scene()
    inside = matting.shrunk(matting.rough_mask(picture, FACE), 3)
    error = np.abs(matting.matte(picture, plate, inside) - truth) * 255
    edge = (truth > 0.02) & (truth < 0.98)
    assert error.mean() < 2
    assert error[edge].mean() < 25
    assert not error[~plate.reach].any()


def test_the_own_colours_of_an_edge_have_nothing_of_the_backdrop() -> None:
    picture, truth, backdrop = scene()
    colours = matting.own_colours(picture, truth, backdrop)
    away = np.abs(colours - np.array([90, 60, 50], np.float32)).mean(axis=2)
    assert away[(truth > 0.1) & (truth < 0.9)].mean() < 12
    # They go on beyond the edge, where the picture shows the backdrop.
    beyond = cv2.dilate((truth > 0.02).astype(np.uint8), np.ones((9, 9))) > 0
    assert away[beyond & (truth < 0.02)].mean() < 30


def test_a_pattern_like_the_backdrop_is_no_hole_in_the_person() -> None:
    picture, truth, backdrop = scene()
    pattern = slice(200, 212), slice(94, 106)
    picture[pattern] = backdrop[pattern].round().astype(np.uint8)
    person = matting.rough_mask(picture, FACE)
    assert person[pattern].all()
    assert not person[:20].any()
    assert (person == (truth > 0.5)).mean() > 0.97


@pytest.fixture(scope="module")
def cut(tmp_path_factory: pytest.TempPathFactory) -> Avatar:
    """A pack with a cutout: a disc that is opaque, a soft rim, nothing around it."""
    folder = make_pack(tmp_path_factory.mktemp("packs") / "oval")
    avatar = load_avatar(folder)
    rows, columns = np.mgrid[: avatar.height, : avatar.width].astype(np.float32)
    away = np.hypot(rows - avatar.height / 2, columns - avatar.width / 2)
    opacity = np.clip((avatar.height / 3 - away) / 8 + 0.5, 0, 1)
    colours = np.full((avatar.height, avatar.width, 3), 200, np.float32)
    frames = (pack_rgb(colours, opacity) for _ in range(avatar.frame_count))
    write_packed(folder / "cutout.mp4", frames)
    return load_avatar(folder)


def unpacked(picture: ByteArray) -> tuple[ByteArray, ByteArray]:
    rgb = np.asarray(cv2.cvtColor(picture, cv2.COLOR_YUV2RGB_I420), np.uint8)
    half = len(rgb) // 2
    return rgb[:half], rgb[half:, :, 0]


def test_drawn_pictures_are_packed_with_the_opacity_of_their_idle_frame(cut: Avatar) -> None:
    variant = without_background(cut)
    assert variant is not None
    assert variant.cutout is not None
    assert variant.coded_size == (cut.width, 2 * cut.height)
    drawn = cv2.cvtColor(
        np.full((cut.height, cut.width, 3), (20, 120, 60), np.uint8), cv2.COLOR_RGB2YUV_I420
    )
    colours, opacity = unpacked(variant.cutout.packed(3, np.asarray(drawn, np.uint8)))
    middle = cut.height // 2, cut.width // 2
    assert opacity[middle] > 250
    assert np.abs(colours[middle].astype(int) - (20, 120, 60)).max() <= 3
    assert opacity[2, 2] < 4
    assert np.abs(colours[2, 2].astype(int) - 200).max() <= 3


def test_a_presenter_can_stand_before_a_colour_or_a_picture(cut: Avatar, tmp_path: Path) -> None:
    drawn = np.full((cut.height * 3 // 2, cut.width), 128, np.uint8)
    picture = tmp_path / "wall.png"
    cv2.imwrite(str(picture), np.full((50, 90, 3), (40, 30, 220), np.uint8))
    for background, colour in (("green", (0, 177, 64)), (str(picture), (220, 30, 40))):
        shown = before(cut, background)
        assert shown.cutout is not None
        assert shown.coded_size == (cut.width, cut.height)
        rgb = cv2.cvtColor(shown.cutout.packed(0, drawn), cv2.COLOR_YUV2RGB_I420)
        assert np.abs(rgb[3, 3].astype(int) - colour).max() <= 6
        assert np.abs(rgb[cut.height // 2, cut.width // 2].astype(int) - 130).max() <= 4
    assert before(cut, "avatar") is cut
    with pytest.raises(InvalidInput, match="nowhere"):
        before(cut, "nowhere.png")


def test_a_pack_without_a_cutout_says_how_to_make_one(cut: Avatar) -> None:
    plain = replace(cut, cutout_frames=None)
    assert without_background(plain) is None
    with pytest.raises(Unavailable, match="ditto-avatar cutout"):
        before(plain, "green")


def test_a_cutout_of_another_size_is_refused(cut: Avatar, tmp_path: Path) -> None:
    folder = make_pack(tmp_path / "oval")
    (folder / "cutout.mp4").write_bytes((folder / "idle.mp4").read_bytes())
    with pytest.raises(InvalidAvatar, match=r"cutout\.mp4: expected"):
        load_avatar(folder)


def test_a_library_finds_presenters_without_their_background_by_name(cut: Avatar) -> None:
    library = AvatarLibrary([cut], {})
    assert library.cutout_name("oval") == "oval.cutout"
    found = library.find("oval.cutout")
    assert found.drawn is cut
    assert library.find("oval.cutout") is found
    assert [avatar.name for avatar in library] == ["oval"]
    assert library.cutout_name("nobody") == "nobody"
    library.add_unlisted(cut, "their key")
    with pytest.raises(Exception, match="no avatar"):
        library.find_for("oval.cutout", "another key")
    assert library.without_cutouts().cutout_name("oval") == "oval"


def test_cutting_out_that_fails_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    avatar = load_avatar(make_pack(tmp_path / "oval"))

    def stop(done: int, total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_cutout(avatar, progress=stop)
    assert not list(avatar.folder.glob("cutout*"))
