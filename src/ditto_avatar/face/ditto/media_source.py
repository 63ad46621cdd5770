"""Pictures and videos of people, as RGB arrays of a useful size at 25 frames a second."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from ditto_avatar.errors import InvalidImage
from ditto_avatar.types import FRAME_RATE_HZ, ByteArray

MAX_PIXELS = 50_000_000
MAX_SECONDS = 60
SMALLEST_SIDE = 64
BEHIND_ALPHA = 127


@dataclass(frozen=True, slots=True)
class Footage:
    """Frames (h, w, 3) RGB of one even size; `still` for a picture, which has one."""

    frames: tuple[ByteArray, ...]
    still: bool


def load_footage(path: Path, max_size: int, max_frames: int = -1) -> Footage:
    """Reads a picture or a video, the longest side at most `max_size` pixels, at most
    `max_frames` frames (-1: all). Raises `InvalidImage` with a sentence that says what to do."""
    if not path.is_file():
        raise InvalidImage(f"{path} does not exist; name a picture or a video.")
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise InvalidImage(f"{path.name} holds no picture; use a photo or a video.")
            stream = container.streams.video[0]
            width, height = stream.codec_context.width, stream.codec_context.height
            if width * height > MAX_PIXELS:
                raise InvalidImage(
                    f"{path.name} has {width * height // 1_000_000} megapixels; use one of "
                    f"at most {MAX_PIXELS // 1_000_000}."
                )
            kind = container.format.name
            if kind.endswith("_pipe") or kind == "image2":
                return Footage((_fitted(_read_picture(path), max_size, path.name),), True)
            frames = _read_video(container, stream, max_size, max_frames, path.name)
    except (av.FFmpegError, ValueError) as error:
        raise InvalidImage(
            f"{path.name} cannot be read as a picture or a video; it may be damaged or cut short."
        ) from error
    if not frames:
        raise InvalidImage(f"{path.name} holds no frames; it may be damaged or cut short.")
    return Footage(tuple(frames), False)


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


def _read_video(
    container: av.container.InputContainer,
    stream: av.VideoStream,
    max_size: int,
    max_frames: int,
    name: str,
) -> list[ByteArray]:
    """Every 40 ms the frame that is on the screen then, turned as the file asks."""
    limit = MAX_SECONDS * FRAME_RATE_HZ if max_frames < 0 else max_frames
    frames: list[ByteArray] = []
    start: Fraction | None = None
    last: ByteArray | None = None
    end = Fraction(0)
    stream.thread_type = "AUTO"
    for frame in container.decode(stream):
        if frame.pts is None or stream.time_base is None:
            continue
        time = frame.pts * stream.time_base
        start = time if start is None else start
        due = (time - start) * FRAME_RATE_HZ
        while last is not None and len(frames) < due and len(frames) < limit:
            frames.append(last)
        if len(frames) >= limit:
            return frames
        end = due + Fraction(frame.duration or 0) * stream.time_base * FRAME_RATE_HZ
        upright = np.rot90(frame.to_ndarray(format="rgb24"), frame.rotation // 90)
        last = _fitted(np.ascontiguousarray(upright), max_size, name)
    while last is not None and len(frames) < limit and (len(frames) < end or not frames):
        frames.append(last)
    return frames
