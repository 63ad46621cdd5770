"""Write a whole turn into one film that is transparent where the presenter is not."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Executor
from pathlib import Path

import av

from ditto_avatar.errors import StorageFull
from ditto_avatar.face.avatar import Avatar
from ditto_avatar.media.see_through import SeeThroughFilm
from ditto_avatar.pipeline.cache import SegmentMedia
from ditto_avatar.pipeline.encoding import OneByOne, picture_of
from ditto_avatar.pipeline.segment import Segment
from ditto_avatar.pipeline.sinks import Sink
from ditto_avatar.types import FloatArray, VideoFrame


class SeeThroughSink(Sink):
    """Encode all segments of a turn into the film `path`, which appears when the turn is finished:
    a turn that fails leaves no file. The avatar is one without its background."""

    def __init__(
        self, avatar: Avatar, path: Path, executor: Executor, drawn: Callable[[int], object]
    ) -> None:
        """Call `drawn` after each picture with their number."""
        self._avatar = avatar
        self._path = path
        self._part = path.with_name(f".{path.name}.{os.getpid()}.part")
        self._drawn = drawn
        self._calls = OneByOne(executor)
        self._film: SeeThroughFilm | None = None
        self._complete = False

    @property
    def frames(self) -> int:
        """How many pictures were encoded."""
        return 0 if self._film is None else self._film.frames

    async def add(self, segment: Segment, frame: VideoFrame, samples: FloatArray) -> None:
        """Encode a picture. Raises `StorageFull`."""
        picture = picture_of(frame, self._avatar)

        await self._run(lambda: self._opened().encode(picture(), samples))
        self._drawn(self.frames)

    async def replay(self, segment: Segment, media: SegmentMedia) -> None:
        """Refuse a segment that was encoded before: a film is drawn anew."""
        raise NotImplementedError("a film takes no segments from the cache")

    async def finish(self) -> None:
        """Complete the file; none for a turn without pictures. Raises `StorageFull`."""
        await self._run(self._finish)

    def abandon(self) -> None:
        """Free the encoder of a turn that was not finished, and remove what it wrote."""
        self._calls.at_last(self._discard)

    async def _run(self, work: Callable[[], None]) -> None:
        try:
            await self._calls.run(work)
        except (OSError, av.FFmpegError) as error:
            raise StorageFull(f"The film could not be stored: {error}.") from error

    def _opened(self) -> SeeThroughFilm:
        if self._film is None:
            self._part.parent.mkdir(parents=True, exist_ok=True)
            size = self._avatar.width, self._avatar.height
            self._film = SeeThroughFilm(self._part, self._path.suffix.lower(), *size)
        return self._film

    def _finish(self) -> None:
        if self._film is not None:
            self._film.finish()
            os.replace(self._part, self._path)
            self._complete = True

    def _discard(self) -> None:
        if self._film is None or self._complete:
            return
        try:
            self._film.abandon()
        finally:
            self._part.unlink(missing_ok=True)
