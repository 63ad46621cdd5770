"""Decodes pictures and videos of people, into RGB arrays of a useful size at 25 frames a second.

A child process does this: `face.ditto.media_source` starts it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from av.container import InputContainer

from ditto_avatar.errors import InvalidImage
from ditto_avatar.guard.messages import Answer
from ditto_avatar.media.source import FILMS, PICTURES, SOUNDS, open_media
from ditto_avatar.types import FRAME_RATE_HZ, ByteArray

MAX_PIXELS = 50_000_000
SMALLEST_SIDE = 64
BEHIND_ALPHA = 127


def check_footage(path: Path, max_size: int, max_frames: int) -> Answer:
    """Decode the picture or video at `path`, the longest side at most `max_size` pixels, at most
    `max_frames` frames. The answer says whether it is ``still``; its arrays are the frames
    (h, w, 3) RGB, of one even size. Raises `InvalidImage` with a sentence that says what to do."""
    if not path.is_file():
        raise InvalidImage(f"{path} does not exist; name a picture or a video.")
    still = _is_still(path)
    frames: Iterable[ByteArray]
    if still:
        frames = [_fitted(_read_picture(path), max_size, path.name)]
    else:
        frames = _read_video(path, max_size, max_frames)
    return Answer({"still": still}, frames)


def _is_still(path: Path) -> bool:
    """Whether it is a picture. Raises `InvalidImage` where there is neither a picture nor a video,
    and for too many pixels."""
    try:
        with open_media(path, (*PICTURES, *FILMS, *SOUNDS)) as container:
            if not container.streams.video:
                raise InvalidImage(f"{path.name} holds no picture; use a photo or a video.")
            stream = container.streams.video[0]
            width, height = stream.codec_context.width, stream.codec_context.height
            kind = container.format.name
    except (av.FFmpegError, ValueError) as error:
        raise _unreadable(path) from error
    if width * height > MAX_PIXELS:
        raise InvalidImage(
            f"{path.name} has {width * height // 1_000_000} megapixels; use one of "
            f"at most {MAX_PIXELS // 1_000_000}."
        )
    return kind in PICTURES


def _unreadable(path: Path) -> InvalidImage:
    return InvalidImage(
        f"{path.name} cannot be read as a picture or a video; it may be damaged or cut short."
    )


def _read_picture(path: Path) -> ByteArray:
    """RGB (h, w, 3), upright; grey becomes RGB, and what is transparent mid-grey."""
    data = np.fromfile(path, np.uint8)
    raw = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
    if raw is None:
        raise InvalidImage(f"{path.name} cannot be read; it may be damaged or cut short.")
    colour = cv2.imdecode(data, cv2.IMREAD_COLOR_RGB)
    picture = np.asarray(colour, np.uint8)
    if raw.ndim == 3 and raw.shape[2] == 4 and raw.shape[:2] == picture.shape[:2]:
        largest = 65535.0 if raw.dtype == np.uint16 else 255.0
        alpha = raw[:, :, 3:].astype(np.float32) / largest
        picture = (picture * alpha + BEHIND_ALPHA * (1 - alpha)).astype(np.uint8)
    return picture


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


def _read_video(path: Path, max_size: int, max_frames: int) -> Iterator[ByteArray]:
    """Every 40 ms the frame that is on the screen then, turned as the file asks."""
    count = 0
    try:
        with open_media(path, FILMS) as container:
            for count, frame in enumerate(_steady(container, max_size, path.name), start=1):
                yield frame
                if count == max_frames:
                    return
    except (av.FFmpegError, ValueError) as error:
        raise _unreadable(path) from error
    if not count:
        raise InvalidImage(f"{path.name} holds no frames; it may be damaged or cut short.")


def _steady(container: InputContainer, max_size: int, name: str) -> Iterator[ByteArray]:
    """The film at 25 frames a second: a frame is shown until the next one is due."""
    stream = container.streams.video[0]
    stream.thread_type = "AUTO"
    count = 0
    start: Fraction | None = None
    last: ByteArray | None = None
    end = Fraction(0)
    for frame in container.decode(stream):
        if frame.pts is None or stream.time_base is None:
            continue
        time = frame.pts * stream.time_base
        start = time if start is None else start
        due = (time - start) * FRAME_RATE_HZ
        while last is not None and count < due:
            yield last
            count += 1
        end = due + Fraction(frame.duration or 0) * stream.time_base * FRAME_RATE_HZ
        upright = np.rot90(frame.to_ndarray(format="rgb24"), frame.rotation // 90)
        last = _fitted(np.ascontiguousarray(upright), max_size, name)
    while last is not None and (count < end or not count):
        yield last
        count += 1
