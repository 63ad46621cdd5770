"""A picture's size is read before it is decoded."""

from __future__ import annotations

import struct
from pathlib import Path

import cv2
import numpy as np
import pytest

from ditto_avatar.errors import InvalidAvatar
from ditto_avatar.face.reading import expecting, read_file, read_picture, webp_size

SHAPE = (30, 41)


@pytest.mark.parametrize(
    ("channels", "quality"), [(3, 80), (3, 101), (4, 80)], ids=["lossy", "lossless", "transparent"]
)
def test_the_size_of_every_kind_of_webp_is_read(channels: int, quality: int) -> None:
    picture = np.random.default_rng(0).integers(0, 255, (*SHAPE, channels), np.uint8)
    _, data = cv2.imencode(".webp", picture, [cv2.IMWRITE_WEBP_QUALITY, quality])
    assert webp_size(data.tobytes()) == (SHAPE[1], SHAPE[0])


def test_another_format_is_refused_whatever_its_name(tmp_path: Path) -> None:
    _, data = cv2.imencode(".png", np.zeros((8, 8, 3), np.uint8))
    (tmp_path / "poster.webp").write_bytes(data.tobytes())
    with pytest.raises(
        InvalidAvatar, match=r"^poster\.webp: expected a WebP picture, came another"
    ):
        read_picture(tmp_path / "poster.webp")


def test_a_file_beyond_its_limit_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "about.json").write_bytes(b"x" * 11)
    assert len(read_file(tmp_path / "about.json", 11)) == 11
    with pytest.raises(InvalidAvatar, match=r"about\.json: expected at most 10 bytes, came 11\."):
        read_file(tmp_path / "about.json", 10)


@pytest.mark.parametrize(
    "error", [MemoryError(), RecursionError("deep"), OverflowError("far"), struct.error("short")]
)
def test_whatever_a_library_raises_is_a_refusal(error: Exception) -> None:
    with (
        pytest.raises(InvalidAvatar, match=r"^a\.bin: expected bytes, came ."),
        expecting("a.bin", "bytes"),
    ):
        raise error
