"""Pictures as cameras, phones and editors save them."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from ditto_avatar.errors import InvalidImage
from ditto_avatar.media.films import read_film, steady
from ditto_avatar.media.images import is_picture, is_still, read_animation, read_picture
from ditto_avatar.types import ByteArray

# Made by this project with libheif: 256 by 192 pixels in twelve tiles, red growing downwards and
# green to the right, as an upright phone and a front camera save them.
SAMPLES = Path(__file__).parent / "samples"

RED, GREEN, WHITE, BLACK = (255, 0, 0), (0, 255, 0), (255, 255, 255), (0, 0, 0)


def corners(picture: ByteArray) -> dict[str, tuple[int, ...]]:
    """The colour near each corner, each part rounded to 0 or 255; blue is left out."""
    places = {"top left": (3, 3), "top right": (3, -3), "bottom left": (-3, 3)}
    found = {name: picture[place][:2] for name, place in places.items()}
    return {name: tuple(255 * (colour > 127)) for name, colour in found.items()}


def quarters(width: int = 96, height: int = 64) -> Image.Image:
    """Red grows downwards, green to the right."""
    rows, columns = np.mgrid[0:height, 0:width]
    picture = np.zeros((height, width, 3), np.uint8)
    picture[..., 0] = 255 * (rows >= height // 2)
    picture[..., 1] = 255 * (columns >= width // 2)
    return Image.fromarray(picture)


AS_IT_IS = {"top left": (0, 0), "top right": (0, 255), "bottom left": (255, 0)}
MIRRORED = {"top left": (0, 255), "top right": (0, 0), "bottom left": (255, 255)}
# What each orientation of EXIF says of where the picture's first row and column belong.
ORIENTATIONS = {
    1: AS_IT_IS,
    2: MIRRORED,
    3: {"top left": (255, 255), "top right": (255, 0), "bottom left": (0, 255)},
    4: {"top left": (255, 0), "top right": (255, 255), "bottom left": (0, 0)},
    5: {"top left": (0, 0), "top right": (255, 0), "bottom left": (0, 255)},
    6: {"top left": (255, 0), "top right": (0, 0), "bottom left": (255, 255)},
    7: {"top left": (255, 255), "top right": (0, 255), "bottom left": (255, 0)},
    8: {"top left": (0, 255), "top right": (255, 255), "bottom left": (0, 0)},
}


def test_a_photo_in_tiles_is_whole_upright_and_still() -> None:
    path = SAMPLES / "tiled_turned.heic"
    assert is_still(path)
    picture = read_picture(path)
    assert picture.shape == (256, 192, 3)
    assert corners(picture) == ORIENTATIONS[6]
    # No seam: neighbours of a gradient are never far apart.
    assert np.abs(np.diff(picture[..., :2].astype(int), axis=0)).max() < 12


def test_a_mirrored_photo_in_tiles_is_mirrored_back() -> None:
    assert corners(read_picture(SAMPLES / "tiled_mirrored.heic")) == MIRRORED


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "avif", "tiff"])
def test_every_orientation_is_upright(tmp_path: Path, suffix: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"photo.{suffix}"
    quarters().save(path, exif=exif)
    assert is_still(path)
    assert corners(read_picture(path)) == ORIENTATIONS[orientation]


def test_the_colours_of_a_wide_screen_become_those_of_a_usual_one(tmp_path: Path) -> None:
    # A profile whose red and green are swapped: nothing but obeying it gives green.
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
    picture = Image.new("LAB", (32, 32), (200, 128, 128))
    path = tmp_path / "wide.tiff"
    picture.save(path, icc_profile=lab.tobytes())
    assert np.ptp(read_picture(path)[0, 0].astype(int)) < 12  # a light grey, not the numbers


def test_a_profile_that_does_not_fit_says_nothing(tmp_path: Path) -> None:
    path = tmp_path / "odd.png"
    Image.new("RGB", (32, 32), RED).save(path, icc_profile=b"no profile")
    assert tuple(read_picture(path)[0, 0]) == RED


def test_print_colours_become_those_of_a_screen(tmp_path: Path) -> None:
    path = tmp_path / "print.jpg"
    Image.new("CMYK", (32, 32), (0, 255, 255, 0)).save(path, quality=95)
    red, green, blue = read_picture(path)[0, 0].astype(int)
    assert red > 200
    assert max(green, blue) < 60


@pytest.mark.parametrize("mode", ["I;16", "LA", "P", "1"])
def test_every_depth_becomes_rgb(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "grey.png"
    if mode == "I;16":
        Image.fromarray(np.full((32, 32), 200 * 257, np.uint16)).save(path)
    else:
        Image.new("L", (32, 32), 200).convert(mode).save(path)
    picture = read_picture(path)
    assert picture.shape == (32, 32, 3)
    assert abs(picture.astype(int).mean() - 200) < (60 if mode == "1" else 3)


@pytest.mark.parametrize("suffix", ["gif", "webp", "png", "avif"])
def test_an_animation_is_a_film(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"moving.{suffix}"
    first, *others = [Image.new("RGB", (32, 32), colour) for colour in (RED, GREEN, WHITE)]
    first.save(path, save_all=True, append_images=others, duration=[200, 40, 80], loop=0)
    assert is_picture(path)
    assert not is_still(path)
    shown = list(read_animation(path))
    assert [at for at, _, _ in shown] == [0, Fraction(1, 5), Fraction(6, 25)]
    film = list(steady(read_film(path)))
    assert len(film) == 8  # 320 ms
    assert [tuple(255 * (frame[16, 16] > 127)) for frame in film] == (
        [RED] * 5 + [GREEN] + [WHITE] * 2
    )


def test_one_picture_of_a_gif_is_a_still(tmp_path: Path) -> None:
    path = tmp_path / "one.gif"
    quarters().save(path)
    assert is_still(path)
    assert corners(read_picture(path)) == AS_IT_IS


def test_a_thumbnail_within_a_photo_is_no_second_frame(tmp_path: Path) -> None:
    path = tmp_path / "phone.jpg"
    first, second = quarters(), Image.new("RGB", (32, 32), RED)
    first.save(path, "MPO", save_all=True, append_images=[second])
    assert is_still(path)
    assert corners(read_picture(path)) == AS_IT_IS


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "avif", "gif", "heic"])
def test_a_picture_cut_short_is_refused(tmp_path: Path, suffix: str, kept: float) -> None:
    whole = tmp_path / f"whole.{suffix}"
    if suffix == "heic":
        whole.write_bytes((SAMPLES / "tiled_turned.heic").read_bytes())
    else:
        noise = np.random.default_rng(1).integers(0, 255, (96, 96, 3)).astype(np.uint8)
        Image.fromarray(noise).save(whole)
    cut = tmp_path / f"cut.{suffix}"
    data = whole.read_bytes()
    cut.write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(InvalidImage, match="cut"):
        read_picture(cut)


def test_too_many_pixels_are_refused_unread(tmp_path: Path) -> None:
    data = io.BytesIO()
    Image.new("1", (9_000, 9_000)).save(data, "PNG")
    path = tmp_path / "huge.png"
    path.write_bytes(data.getvalue())
    with pytest.raises(InvalidImage, match="81 megapixels"):
        read_picture(path)
    with pytest.raises(InvalidImage, match="81 megapixels"):
        list(read_animation(path))


def test_a_text_is_no_picture(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_text("%!PS-Adobe EPSF\n")
    assert not is_picture(path)
    assert not is_still(path)
    with pytest.raises(InvalidImage, match=r"photo\.jpg"):
        read_picture(path)
