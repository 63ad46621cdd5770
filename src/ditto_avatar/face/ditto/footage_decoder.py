"""Decodes pictures and videos of people, into RGB arrays of a useful size at 25 frames a second.

A child process does this: `face.ditto.media_source` starts it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from ditto_avatar.errors import InvalidImage
from ditto_avatar.guard.messages import Answer
from ditto_avatar.media.films import read_film, steady
from ditto_avatar.media.images import is_still, read_picture
from ditto_avatar.types import ByteArray

SMALLEST_SIDE = 64


def check_footage(path: Path, max_size: int, max_frames: int) -> Answer:
    """Decode the picture or video at `path`, the longest side at most `max_size` pixels, at most
    `max_frames` frames. The answer says whether it is ``still``; its arrays are the frames
    (h, w, 3) RGB, of one even size. Raises `InvalidImage` with a sentence that says what to do."""
    if not path.is_file():
        raise InvalidImage(f"{path} does not exist; name a picture or a video.")
    if is_still(path):
        return Answer({"still": True}, [_fitted(read_picture(path), max_size, path.name)])
    return Answer({"still": False}, _frames(path, max_size, max_frames))


def _fitted(picture: ByteArray, max_size: int, name: str) -> ByteArray:
    """At most `max_size` along the longer side, both sides even."""
    height, width = picture.shape[:2]
    if min(height, width) < SMALLEST_SIDE:
        raise InvalidImage(
            f"{name} is {width} by {height} pixels; both sides should have at least "
            f"{SMALLEST_SIDE}."
        )
    zoom = min(1.0, max_size / max(height, width))
    size = [max(round(side * zoom) // 2 * 2, 2) for side in (width, height)]
    if size == [width, height]:
        return picture
    how = cv2.INTER_AREA if zoom < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(picture, size, interpolation=how), np.uint8)


def _frames(path: Path, max_size: int, max_frames: int) -> Iterator[ByteArray]:
    """Every 40 ms the frame that is on the screen then."""
    fitted = (
        (at, lasts, _fitted(picture, max_size, path.name)) for at, lasts, picture in read_film(path)
    )
    count = 0
    for count, frame in enumerate(steady(fitted), start=1):
        yield frame
        if count == max_frames:
            return
    if not count:
        raise InvalidImage(f"{path.name} holds no frames; it may be damaged or cut short.")
