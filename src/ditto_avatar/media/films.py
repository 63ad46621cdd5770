"""Read the pictures of a film, from a camera's video or from an animated picture."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import av

from ditto_avatar.errors import InvalidImage
from ditto_avatar.media.images import check_size, is_picture, read_animation
from ditto_avatar.media.source import FILMS, SOUNDS, open_media
from ditto_avatar.media.upright import upright
from ditto_avatar.types import FRAME_RATE_HZ, ByteArray

Timed = tuple[Fraction, Fraction, ByteArray]
"""A picture with the second at which it is shown, and for how many seconds."""


def read_film(path: Path) -> Iterator[Timed]:
    """Yield the pictures of the film at `path`, RGB (h, w, 3), upright. Raises `InvalidImage` where
    there is none, and for too many pixels. Blocks; a guarded child process calls it."""
    return read_animation(path) if is_picture(path) else _read_video(path)


def steady(shown: Iterable[Timed]) -> Iterator[ByteArray]:
    """Yield what is on the screen every 40 ms: a picture is shown until the next one is due."""
    count = 0
    start: Fraction | None = None
    last: ByteArray | None = None
    end = Fraction(0)
    for at, lasts, picture in shown:
        start = at if start is None else start
        due = (at - start) * FRAME_RATE_HZ
        while last is not None and count < due:
            yield last
            count += 1
        end = due + lasts * FRAME_RATE_HZ
        last = picture
    while last is not None and (count < end or not count):
        yield last
        count += 1


def _read_video(path: Path) -> Iterator[Timed]:
    try:
        with open_media(path, (*FILMS, *SOUNDS)) as container:
            if not container.streams.video:
                raise InvalidImage(f"{path.name} holds no picture; use a photo or a video.")
            stream = container.streams.video[0]
            check_size(stream.codec_context.width, stream.codec_context.height, path.name)
            stream.thread_type = "AUTO"
            for frame in container.decode(stream):
                if frame.pts is not None and stream.time_base is not None:
                    lasts = Fraction(frame.duration or 0) * stream.time_base
                    yield frame.pts * stream.time_base, lasts, upright(frame)
    except (av.FFmpegError, ValueError) as error:
        raise InvalidImage(
            f"{path.name} cannot be read as a picture or a video; it may be damaged or cut short."
        ) from error
