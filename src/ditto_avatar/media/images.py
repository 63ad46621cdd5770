"""Open pictures as cameras, phones and editors save them: stills, and animations as short films.

Decoding is Pillow's, with libheif for HEIC. A guarded child process calls this for files of
strangers.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Final

import numpy as np
import pi_heif
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from ditto_avatar.errors import InvalidImage
from ditto_avatar.types import ByteArray

# Pillow's names. No format is among them that names other files, or is a program (EPS).
FORMATS: Final = ("JPEG", "PNG", "WEBP", "AVIF", "HEIF", "GIF", "BMP", "TIFF")
MAX_PIXELS: Final = 50_000_000
BEHIND_ALPHA: Final = 127
# Formats whose further pictures are a motion; in the others they are thumbnails, depth and bursts.
_ANIMATED: Final = ("PNG", "WEBP", "AVIF", "GIF")
# Browsers show a picture of an animation this long where the file says nothing.
_SHOWN_MS: Final = 100

_BROKEN: Final = (OSError, ValueError, SyntaxError, EOFError, RuntimeError, ImageCms.PyCMSError)

pi_heif.register_heif_opener()
Image.init()


def is_picture(path: Path) -> bool:
    """Return whether the file at `path` begins like a picture of one of `FORMATS`."""
    try:
        with Image.open(path, formats=FORMATS):
            return True
    except (UnidentifiedImageError, Image.DecompressionBombError, *_BROKEN):
        return False


def is_still(path: Path) -> bool:
    """Return whether the file at `path` is a picture without motion."""
    try:
        with Image.open(path, formats=FORMATS) as image:
            return not _moves(image)
    except Image.DecompressionBombError:
        return True  # `read_picture` says what is wrong with it
    except (UnidentifiedImageError, *_BROKEN):
        return False


def read_picture(path: Path) -> ByteArray:
    """Return the picture at `path`, RGB (h, w, 3): upright, as its camera noted, mirrored ones too;
    in the colours of sRGB; mid-grey where it is transparent. Raises `InvalidImage`."""
    try:
        with Image.open(path, formats=FORMATS) as image:
            check_size(image.width, image.height, path.name)
            if image.format == "HEIF":
                _check_whole(path)
            return _rgb(image)
    except Image.DecompressionBombError as error:
        raise _too_large(path.name) from error
    except (UnidentifiedImageError, *_BROKEN) as error:
        raise InvalidImage(
            f"{path.name} cannot be read as a picture; it may be damaged or cut short."
        ) from error


def read_animation(path: Path) -> Iterator[tuple[Fraction, Fraction, ByteArray]]:
    """Yield the pictures of the animation at `path` as `read_picture` gives them, each with the
    second at which it is shown and for how many seconds. Raises `InvalidImage`."""
    at = Fraction(0)
    try:
        with Image.open(path, formats=FORMATS) as image:
            check_size(image.width, image.height, path.name)
            for index in range(getattr(image, "n_frames", 1)):
                image.seek(index)
                picture = _rgb(image)
                shown = Fraction(round(image.info.get("duration") or _SHOWN_MS), 1000)
                yield at, shown, picture
                at += shown
    except Image.DecompressionBombError as error:
        raise _too_large(path.name) from error
    except _BROKEN as error:
        raise InvalidImage(
            f"{path.name} cannot be read as an animation; it may be damaged or cut short."
        ) from error


def check_size(width: int, height: int, name: str) -> None:
    """Refuse what is too large before anything of it is decoded. Raises `InvalidImage`."""
    if width * height > MAX_PIXELS:
        raise _too_large(name, width * height)


def _check_whole(path: Path) -> None:
    """Raise `EOFError` where a box of the file reaches beyond its end (ISO/IEC 14496-12): libheif
    leaves the tiles black that it does not find."""
    end = path.stat().st_size
    at = 0
    with path.open("rb") as file:
        while at < end:
            file.seek(at)
            head = file.read(16).ljust(16, b"\0")
            size = int.from_bytes(head[:4], "big")
            if size == 1:
                size = int.from_bytes(head[8:16], "big")
            if size == 0:  # to the end of the file
                return
            if size < 8 or at + size > end:
                raise EOFError(f"a box at {at} is cut short")
            at += size


def _moves(image: Image.Image) -> bool:
    return image.format in _ANIMATED and getattr(image, "n_frames", 1) > 1


def _too_large(name: str, pixels: int | None = None) -> InvalidImage:
    has = "too many" if pixels is None else f"{pixels // 1_000_000}"
    return InvalidImage(
        f"{name} has {has} megapixels; use one of at most {MAX_PIXELS // 1_000_000}."
    )


def _rgb(image: Image.Image) -> ByteArray:
    # Before the turn: what is turned does not keep it.
    profile = image.info.get("icc_profile")
    upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith(("I", "F")):
        return _of_deep_grey(upright)
    has_alpha = upright.has_transparency_data
    colours = _in_srgb(upright.convert("RGBA" if has_alpha else _plain_mode(upright)), profile)
    if not has_alpha:
        return np.asarray(colours.convert("RGB"), np.uint8)
    behind = Image.new("RGBA", colours.size, (BEHIND_ALPHA, BEHIND_ALPHA, BEHIND_ALPHA, 255))
    return np.asarray(Image.alpha_composite(behind, colours).convert("RGB"), np.uint8)


def _plain_mode(image: Image.Image) -> str:
    """A profile describes the mode that the file has: print colours stay until it is applied."""
    return image.mode if image.mode in ("CMYK", "L", "LAB") else "RGB"


def _of_deep_grey(image: Image.Image) -> ByteArray:
    """Sixteen bits, or floats from 0 to 1, to eight."""
    scale = 255 if image.mode == "F" else 1 / 257
    grey = np.clip(np.round(np.asarray(image, np.float32) * scale), 0, 255).astype(np.uint8)
    return np.repeat(grey[:, :, None], 3, axis=2)


def _in_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Phones save the colours of their wide screens, which would look pale as they are."""
    if profile is None:
        return image
    try:
        wide = ImageCms.getOpenProfile(io.BytesIO(profile))
        mode = "RGBA" if image.mode == "RGBA" else "RGB"
        turned = ImageCms.profileToProfile(image, wide, _SRGB, outputMode=mode)
    except (ImageCms.PyCMSError, OSError, ValueError):
        return image  # a profile that does not fit the picture says nothing
    assert turned is not None
    return turned


_SRGB: Final = ImageCms.createProfile("sRGB")
