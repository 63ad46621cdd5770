"""Write a whole turn into one film."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from pathlib import Path

from ditto_avatar.face.avatar import Avatar
from ditto_avatar.media.clip import write_mp4
from ditto_avatar.media.encode import FragmentEncoder
from ditto_avatar.pipeline.cache import SegmentMedia
from ditto_avatar.pipeline.encoding import ThreadedEncoder, picture_of
from ditto_avatar.pipeline.segment import Segment
from ditto_avatar.pipeline.sinks import Sink
from ditto_avatar.types import FloatArray, VideoFrame


class FileSink(Sink):
    """Encode all segments of a turn as one stream, and write it to `path` when the turn is
    finished: a turn that fails leaves no file."""

    def __init__(
        self, avatar: Avatar, path: Path, executor: Executor, drawn: Callable[[int], object]
    ) -> None:
        """Call `drawn` after each picture with their number."""
        self._avatar = avatar
        self._path = path
        self._drawn = drawn
        self._encoder = ThreadedEncoder(FragmentEncoder(*avatar.coded_size), executor)
        self._open = True

    @property
    def frames(self) -> int:
        """How many pictures were encoded."""
        return self._encoder.frames

    async def add(self, segment: Segment, frame: VideoFrame, samples: FloatArray) -> None:
        """Encode a picture."""
        await self._encoder.encode(picture_of(frame, self._avatar), samples)
        self._drawn(self.frames)

    async def replay(self, segment: Segment, media: SegmentMedia) -> None:
        """Refuse a segment that was encoded before: a film is drawn anew."""
        raise NotImplementedError("a film takes no segments from the cache")

    async def finish(self) -> None:
        """Write the file; none for a turn without pictures. Raises `StorageFull`."""
        if not self.frames:
            return
        self._open = False
        await self._encoder.finish()
        stream = b"".join(fragment.data for fragment in self._encoder.fragments)
        await asyncio.to_thread(write_mp4, stream, self._path)

    def abandon(self) -> None:
        """Free the encoder of a turn that was not finished."""
        if self._open:
            self._encoder.abandon()
