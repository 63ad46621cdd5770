"""Show a presenter before another background, in a film that is made here: a colour or a picture.

A page lays the presenter over its own background; for that it gets packed pictures
(`face.cutout`).
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from ditto_avatar.errors import InvalidInput, Unavailable
from ditto_avatar.face.avatar import Avatar
from ditto_avatar.face.cutout import Cutout, without_background
from ditto_avatar.types import ByteArray, FloatArray

OWN, TRANSPARENT = "avatar", "transparent"
# What keying programs expect.
_NAMED = {"green": (0, 177, 64), "white": (255, 255, 255), "black": (0, 0, 0)}
_HEX = re.compile(r"#([0-9a-fA-F]{6})")


class Backed:
    """Lay drawn pictures over `behind` (height, width, 3) RGB; any thread may use it."""

    rows = 1

    def __init__(self, cutout: Cutout, behind: ByteArray) -> None:
        self._cutout = cutout
        self._behind: FloatArray = behind.astype(np.float32)

    def packed(self, idle_frame: int, yuv: ByteArray) -> ByteArray:
        """Lay the I420 picture `yuv` over the background: a new I420 picture of the same size."""
        both = cv2.cvtColor(self._cutout.packed(idle_frame, yuv), cv2.COLOR_YUV2RGB_I420)
        height = len(self._behind)
        opacity = both[height:, :, :1].astype(np.float32) / np.float32(255)
        mixed = opacity * both[:height] + (1 - opacity) * self._behind
        rgb = np.clip(mixed + np.float32(0.5), 0, 255).astype(np.uint8)
        return np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV_I420), np.uint8)


def before(avatar: Avatar, background: str) -> Avatar:
    """The avatar before `background`: `avatar` for its own, `transparent` for packed pictures, a
    colour (`green`, `#00b140`) or the path of a picture. Raises `Unavailable` for an avatar without
    a cutout and `InvalidInput` for anything else. Blocks."""
    if background == OWN:
        return avatar
    variant = without_background(avatar)
    if variant is None or not isinstance(variant.cutout, Cutout):
        raise Unavailable(
            f"The pack {avatar.name!r} has no cutout.mp4; make one with: ditto-avatar cutout PACK."
        )
    if background == TRANSPARENT:
        return variant
    behind = _picture(background, avatar.width, avatar.height)
    return replace(variant, cutout=Backed(variant.cutout, behind))


def _picture(background: str, width: int, height: int) -> ByteArray:
    colour = _NAMED.get(background)
    if colour is None and (found := _HEX.fullmatch(background)):
        colour = tuple(bytes.fromhex(found[1]))  # type: ignore[assignment]
    if colour is not None:
        return np.full((height, width, 3), colour, np.uint8)
    path = Path(background)
    data = np.fromfile(path, np.uint8) if path.is_file() else np.zeros(0, np.uint8)
    picture = cv2.imdecode(data, cv2.IMREAD_COLOR_RGB) if data.size else None
    if picture is None:
        raise InvalidInput(
            f"The background {background!r}: expected avatar, transparent, a colour (green, "
            "#00b140) or a picture's path."
        )
    # Filled, and cut where it is too wide or too high.
    scale = max(width / picture.shape[1], height / picture.shape[0])
    size = (
        max(width, round(picture.shape[1] * scale)),
        max(height, round(picture.shape[0] * scale)),
    )
    large = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    left, top = (size[0] - width) // 2, (size[1] - height) // 2
    return np.ascontiguousarray(large[top : top + height, left : left + width], np.uint8)
