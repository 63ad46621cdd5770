"""Make `cutout.mp4` for a pack: its idle loop without what is behind the person."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from ditto_avatar.face import matting
from ditto_avatar.face.avatar import Avatar
from ditto_avatar.face.cutout import FILE, pack_rgb
from ditto_avatar.face.register.idle_film import write_idle
from ditto_avatar.types import ByteArray, FloatArray

# Pictures from which the backdrop is found, spread over the loop.
_LOOKS = 10
# The person is found anew in every so many pictures; in between it moves by less than the margin.
_STEP = 10
_MARGIN = 0.01
# Coarser than the loop itself: smaller films come sooner, and the loop has no small details.
_QUALITY = "20"

Progress = Callable[[int, int], object]


def make_cutout(
    avatar: Avatar,
    backdrop: FloatArray | None = None,
    progress: Progress = lambda done, total: None,
) -> Path:
    """Write `cutout.mp4` into the folder of `avatar`; its path. `backdrop` (h, w, 3) RGB is what is
    behind the person, where that is known. Blocks for a minute or two. The file appears when it is
    complete."""
    count = avatar.frame_count
    looks = [_rgb(avatar, index) for index in range(0, count, max(1, count // _LOOKS))]
    plate = matting.find_plate(looks, _face(avatar, 0))
    if backdrop is not None:
        plate = matting.Plate(backdrop.astype(np.float32), plate.reach, known=True)
    path = avatar.folder / FILE
    part = path.with_suffix(".part.mp4")
    try:
        write_idle(part, _packed(avatar, plate, progress), _QUALITY)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    return path


def _packed(avatar: Avatar, plate: matting.Plate, progress: Progress) -> Iterator[ByteArray]:
    count = avatar.frame_count
    margin = round(_MARGIN * avatar.height)

    @lru_cache(maxsize=2)
    def person(index: int) -> matting.BoolArray:
        return matting.rough_mask(_rgb(avatar, index), _face(avatar, index))

    for index in range(count):
        before = index - index % _STEP
        inside = matting.shrunk(person(before) & person((before + _STEP) % count), margin)
        picture = _rgb(avatar, index)
        opacity = matting.matte(picture, plate, inside)
        rest = (1 - opacity)[..., None] * plate.backdrop
        colours = np.clip(picture - rest, 0, 255 * opacity[..., None])
        yield pack_rgb(colours.astype(np.float32), opacity)
        progress(index + 1, count)


def _rgb(avatar: Avatar, index: int) -> ByteArray:
    picture = avatar.idle_frames[index]
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_YUV2RGB_I420), np.uint8)


def _face(avatar: Avatar, index: int) -> FloatArray:
    """Left, top, right and bottom of the face."""
    points = avatar.arrays.landmarks[index, :, :2]
    return np.concatenate([points.min(axis=0), points.max(axis=0)])
