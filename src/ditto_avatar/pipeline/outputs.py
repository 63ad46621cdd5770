"""Hand on the segments of a live turn: to its viewers, to the cache, and to clips."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

from ditto_avatar.clock import Clock
from ditto_avatar.credentials.statement import Statement
from ditto_avatar.errors import DittoAvatarError, outcome_of, public_text
from ditto_avatar.face.avatar import Avatar
from ditto_avatar.face.base import FaceEngine
from ditto_avatar.media.encode import mime_type
from ditto_avatar.media.fragments import Fragment
from ditto_avatar.media.packets import SegmentPackets
from ditto_avatar.pipeline import progress
from ditto_avatar.pipeline.cache import SegmentCache, SegmentMedia
from ditto_avatar.pipeline.clip_signing import statement_of
from ditto_avatar.pipeline.clip_writer import ClipWriter
from ditto_avatar.pipeline.clips import Clip
from ditto_avatar.pipeline.encoding import Encoded, EncodingSink, Output
from ditto_avatar.pipeline.packets import PacketFeed
from ditto_avatar.pipeline.request import Notify, TurnRequest
from ditto_avatar.pipeline.segment import Segment

# Finished segments that wait for the disk; then the drawing waits.
_CLIPS_WAITING = 2


class ViewerOutput(Output):
    """Tell of each segment when its first picture is encoded, then of its fragments; hand it on as
    single packets where viewers take them."""

    def __init__(
        self, avatar: Avatar, notify: Notify, clock: Clock, packets: PacketFeed | None = None
    ) -> None:
        self._packets = packets or PacketFeed(lambda: False)
        self._mime = mime_type(*avatar.coded_size)
        self._notify = notify
        self._clock = clock
        self._begun: str | None = None

    def add(self, segment: Segment, encoded: Encoded) -> None:
        """Tell of the fragments that the picture completed."""
        now = self._clock.now()
        is_new = self._begun != segment.id
        packets = self._packets.begin(segment) if is_new else None
        # Before it is told: whoever sends packets looks for the first picture at once.
        self._packets.add(segment, encoded)
        if is_new:
            self._tell_begin(segment, packets, now)
        self._tell(segment, encoded.fragments, now)

    def _tell_begin(self, segment: Segment, packets: SegmentPackets | None, now: float) -> None:
        """Tell of the segment before its first fragments."""
        self._begun = segment.id
        sentence = segment.sentence
        self._notify(
            progress.SegmentBegan(
                segment.id,
                segment.index,
                sentence.text,
                sentence.emotion,
                segment.first_frame,
                self._mime,
                now,
                segment.sound,
                packets,
            )
        )

    async def end(self, segment: Segment, last: Sequence[Fragment], media: SegmentMedia) -> None:
        """Tell of the last fragments, the very last one marked; an empty one where none is left."""
        now = self._clock.now()
        if self._begun != segment.id:
            self._tell_begin(segment, self._packets.begin(segment), now)
        nothing = Fragment(len(media.fragments), b"")
        self._tell(segment, last or [nothing], now, ends=True)
        await self._packets.end(segment, last, media)
        self._notify(progress.SegmentDrawn(segment.id, segment.seconds))

    def _tell(
        self, segment: Segment, made: Sequence[Fragment], now: float, *, ends: bool = False
    ) -> None:
        for fragment in made:
            last = ends and fragment is made[-1]
            self._notify(
                progress.FragmentMade(segment.id, fragment.index, fragment.data, last, now)
            )


class CacheOutput(Output):
    """Keep segments in the cache, unless the face draws with less than full quality."""

    def __init__(self, cache: SegmentCache, face: FaceEngine) -> None:
        self._cache = cache
        self._face = face

    async def end(self, segment: Segment, last: Sequence[Fragment], media: SegmentMedia) -> None:
        """Keep a segment that has a key."""
        if segment.key is not None and not self._face.strained:
            await asyncio.to_thread(self._cache.keep, segment.key, media)


class ClipOutput(Output):
    """Store segments as clips, in order, and tell of each."""

    def __init__(self, writer: ClipWriter, statement: Statement, notify: Notify) -> None:
        self._writer = writer
        self._statement = statement
        self._notify = notify
        self._waiting: asyncio.Queue[tuple[Segment, SegmentMedia] | None] = asyncio.Queue(
            _CLIPS_WAITING
        )

    async def run(self) -> None:
        """Store what has ended; return after `finish`."""
        while (waiting := await self._waiting.get()) is not None:
            segment, media = waiting
            try:
                name = await self._writer.store(media, self._statement)
            except DittoAvatarError as error:
                # The viewers have seen the segment live; only its replay is lost.
                self._notify(progress.Troubled(outcome_of(error).code, public_text(error)))
                continue
            self._notify(progress.ClipStored(segment.id, _clip(name, segment)))

    async def end(self, segment: Segment, last: Sequence[Fragment], media: SegmentMedia) -> None:
        """Put the segment in line; waits while two are in it."""
        await self._waiting.put((segment, media))

    async def finish(self) -> None:
        """End the line."""
        await self._waiting.put(None)


@dataclass(frozen=True, slots=True)
class LiveSinks:
    """Make the sinks of live turns: what all turns of a server share."""

    clips: ClipWriter
    cache: SegmentCache
    face: FaceEngine
    executor: Executor
    clock: Clock
    encodes: bool = True
    """False where the face's pictures come encoded, from workers."""

    def __call__(self, request: TurnRequest, notify: Notify) -> EncodingSink:
        """Make the sink of one turn."""
        outputs: list[Output] = [
            ViewerOutput(request.avatar, notify, self.clock, PacketFeed(request.takes_packets)),
            CacheOutput(self.cache, self.face),
        ]
        if request.keeps_clips:
            statement = statement_of(request.avatar, self.face)
            outputs.append(ClipOutput(self.clips, statement, notify))
        return EncodingSink(request.avatar, self.executor, outputs, encodes=self.encodes)


def _clip(name: str, segment: Segment) -> Clip:
    said = segment.sentence
    frames = segment.first_frame, segment.last_frame
    return Clip(name, segment.index, said.text, said.emotion, segment.seconds, *frames)
