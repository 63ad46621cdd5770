"""A presenter without what is behind it, as packed pictures: colour above, opacity below.

H.264 has no opacity, and every browser plays it. So a packed picture is twice as high: its upper
half has the person's own colours, which go on beyond the edge: what is smooth takes few bits. The
luma of its lower half is the opacity. `cutout.mp4` of a pack is the idle loop in this form. The
page lays it over anything (`web/core/cutout.js`).
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import replace

import cv2
import numpy as np

from ditto_avatar.face.avatar import Avatar
from ditto_avatar.face.idle import IdleFrames
from ditto_avatar.face.pack import cutout_fingerprint
from ditto_avatar.types import ByteArray, FloatArray

FILE = "cutout.mp4"
SUFFIX = ".cutout"
"""Follows the name of an avatar that is shown without its background; no pack's name has a dot."""
# Luma of what is opaque for sure; 235 is white, and the encoder rounds.
_OPAQUE = 228
_MASKS = 64


class Cutout:
    """Pack drawn pictures with the opacity of their idle frames; any thread may use it.

    The face is drawn within the person, where the opacity is full. There the drawn picture is
    taken; at the edge, where the person and the old background are mixed, the picture of
    `cutout.mp4`, from which the background was taken out.
    """

    rows = 2
    """How many heights of the avatar a picture has."""

    def __init__(self, frames: IdleFrames, width: int, height: int) -> None:
        self._frames = frames
        self._size = (width, height)
        self._masks: OrderedDict[int, tuple[ByteArray, ByteArray]] = OrderedDict()
        self._lock = threading.Lock()

    def packed(self, idle_frame: int, yuv: ByteArray) -> ByteArray:
        """Pack the I420 picture `yuv` (height * 3 / 2, width), which has the pose of `idle_frame`:
        a new I420 picture (height * 3, width)."""
        width, height = self._size
        idle = self._frames[idle_frame]
        picture: ByteArray = idle.copy()
        luma, chroma = self._inside(idle_frame, idle)
        cv2.copyTo(yuv[:height], luma, picture[:height])
        quarter = width * height // 4
        flat, drawn = picture.reshape(-1), yuv.reshape(-1)
        half = (height // 2, width // 2)
        for plane in (0, 1):
            start = 2 * width * height + plane * 2 * quarter
            target = flat[start : start + quarter].reshape(half)
            source = drawn[width * height + plane * quarter :][:quarter].reshape(half)
            cv2.copyTo(source, chroma, target)
        return picture

    def _inside(self, idle_frame: int, idle: ByteArray) -> tuple[ByteArray, ByteArray]:
        """Masks of what is opaque, of the luma and of the chroma."""
        with self._lock:
            found = self._masks.get(idle_frame)
        if found is not None:
            return found
        height = self._size[1]
        opacity = idle[height : 2 * height]
        luma = cv2.threshold(opacity, _OPAQUE, 255, cv2.THRESH_BINARY)[1]
        # A chroma pixel is opaque where its four luma pixels are.
        smallest = cv2.erode(luma, np.ones((2, 2), np.uint8), anchor=(0, 0))[::2, ::2]
        masks = np.asarray(luma, np.uint8), np.ascontiguousarray(smallest, np.uint8)
        with self._lock:
            self._masks[idle_frame] = masks
            if len(self._masks) > _MASKS:
                self._masks.popitem(last=False)
        return masks


def without_background(avatar: Avatar) -> Avatar | None:
    """The avatar as it is shown without its background; None where its pack has no cutout."""
    frames = avatar.cutout_frames
    if frames is None:
        return None
    cutout = Cutout(frames, avatar.width, avatar.height)
    return replace(
        avatar,
        name=avatar.name + SUFFIX,
        fingerprint=f"{avatar.fingerprint}+{cutout_fingerprint(avatar.folder)}",
        drawn=avatar,
        cutout=cutout,
    )


def pack_rgb(colours: FloatArray, opacity: FloatArray) -> ByteArray:
    """Pack colours (h, w, 3) RGB from 0 to 255 and their opacity (h, w) from 0 to 1 as I420
    (h * 3, w)."""
    below = np.repeat((opacity * 255)[..., None], 3, axis=2)
    both = np.clip(np.concatenate([colours, below]).round(), 0, 255).astype(np.uint8)
    return np.asarray(cv2.cvtColor(both, cv2.COLOR_RGB2YUV_I420), np.uint8)
