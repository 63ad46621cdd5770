"""Reads the files of a pack that a stranger may have made: each within a size, and each damage as
`InvalidAvatar`."""

from __future__ import annotations

import lzma
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import cv2
import numpy as np

from ditto_avatar.errors import InvalidAvatar
from ditto_avatar.types import ByteArray

MAX_PICTURE_PIXELS = 16_000_000
MAX_PICTURE_BYTES = 32 * 1024 * 1024

# All that zipfile, zlib, numpy, json, OpenCV and FFmpeg raise over bytes that are not as expected.
_UNREADABLE = (
    OSError,
    ValueError,
    LookupError,
    TypeError,
    EOFError,
    MemoryError,
    OverflowError,
    RuntimeError,
    SyntaxError,
    struct.error,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    cv2.error,
    av.FFmpegError,
)


@contextmanager
def expecting(file: str, what: str) -> Iterator[None]:
    """Turn whatever a damaged `file` raises inside the block into `InvalidAvatar`."""
    try:
        yield
    except _UNREADABLE as error:
        reason = str(error).strip() or type(error).__name__
        raise InvalidAvatar(f"{file}: expected {what}, came {reason}.") from error


def read_file(path: Path, max_bytes: int) -> bytes:
    """Read a whole file. Raises `InvalidAvatar` for more than `max_bytes`, without reading it."""
    with expecting(path.name, "a file that can be read"):
        size = path.stat().st_size
        if size > max_bytes:
            raise InvalidAvatar(f"{path.name}: expected at most {max_bytes} bytes, came {size}.")
        return path.read_bytes()


def read_picture(path: Path) -> ByteArray:
    """Decode a WebP picture into RGB (height, width, 3). Raises `InvalidAvatar` for another
    format, a damaged picture, and one of more than `MAX_PICTURE_PIXELS`, before it is decoded."""
    data = read_file(path, MAX_PICTURE_BYTES)
    with expecting(path.name, "a WebP picture"):
        width, height = webp_size(data)
        if width * height > MAX_PICTURE_PIXELS:
            raise InvalidAvatar(
                f"{path.name}: expected at most {MAX_PICTURE_PIXELS} pixels, came {width}x{height}."
            )
        # imdecode over our own bytes: imread fails without a reason on names outside ASCII.
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise InvalidAvatar(f"{path.name}: expected a picture, came one that cannot be decoded.")
    return np.ascontiguousarray(image[..., ::-1], np.uint8)


def webp_size(data: bytes) -> tuple[int, int]:
    """Width and height that a WebP file states in its head (RFC 9649, sections 2.5 to 2.7). Raises
    `ValueError` where there is none."""
    if data[:4] != b"RIFF" or data[8:12] != b"WEBP" or len(data) < 30:
        raise ValueError("another format")
    kind, body = data[12:16], data[20:30]
    if kind == b"VP8 " and body[3:6] == b"\x9d\x01\x2a":
        width, height = struct.unpack("<HH", body[6:10])
        return width & 0x3FFF, height & 0x3FFF
    if kind == b"VP8L" and body[0] == 0x2F:
        (bits,) = struct.unpack("<I", body[1:5])
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8X":
        return 1 + int.from_bytes(body[4:7], "little"), 1 + int.from_bytes(body[7:10], "little")
    raise ValueError("a WebP file without a picture")
