"""Join the stages of one turn: the queues between them, and how far the turn is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from ditto_avatar.clock import Clock
from ditto_avatar.dialogue.base import Sentence
from ditto_avatar.face.base import FaceStream
from ditto_avatar.pipeline import progress
from ditto_avatar.pipeline.answer_length import AnswerLength, Cut
from ditto_avatar.pipeline.cache import SegmentMedia
from ditto_avatar.pipeline.notices import cut_text
from ditto_avatar.pipeline.request import Engines, Notify, TurnRequest
from ditto_avatar.pipeline.segment import Segment
from ditto_avatar.pipeline.sentence_audio import SentenceAudio
from ditto_avatar.pipeline.sinks import Sink

# Sentences wait here while the last one is spoken, segments while the last one is drawn. Small:
# what waits was made too early and is lost when the turn is interrupted.
_SENTENCES_AHEAD = 4
_SEGMENTS_AHEAD = 2
# The sentence that is spoken and the one whose sound is made meanwhile.
AUDIOS_AT_ONCE = 2


@dataclass(slots=True)
class StreamSegments:
    """Consecutive segments that one face stream draws, and how many pictures those have whose
    sound is complete."""

    stream: FaceStream
    frames: int = 0
    segments: asyncio.Queue[Segment] = field(default_factory=lambda: asyncio.Queue(_SEGMENTS_AHEAD))


@dataclass(frozen=True, slots=True)
class Replay:
    """A segment that was drawn before."""

    segment: Segment
    media: SegmentMedia


@dataclass(slots=True, eq=False)
class Flow:
    """Join the stages of one turn by bounded queues; None ends each of them."""

    request: TurnRequest
    engines: Engines
    notify: Notify
    clock: Clock
    sink: Sink
    length: AnswerLength
    on_cut: Callable[[Cut], object]
    sentences: asyncio.Queue[Sentence | None] = field(
        default_factory=lambda: asyncio.Queue(_SENTENCES_AHEAD)
    )
    audios: asyncio.Queue[SentenceAudio | None] = field(
        default_factory=lambda: asyncio.Queue(AUDIOS_AT_ONCE)
    )
    drawings: asyncio.Queue[StreamSegments | Replay | None] = field(
        default_factory=lambda: asyncio.Queue(_SEGMENTS_AHEAD)
    )
    audio_places: asyncio.Semaphore = field(
        default_factory=lambda: asyncio.Semaphore(AUDIOS_AT_ONCE)
    )
    under_way: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the first fragment, or the first sentence, is done."""
    chosen: list[SentenceAudio] = field(default_factory=list)
    """Sentences whose voice was chosen and that were not spoken to their end."""
    streams: list[FaceStream] = field(default_factory=list)
    _cut: bool = False

    def reached(self, milestone: progress.Milestone) -> None:
        """Tell that the turn reached `milestone` now."""
        self.notify(progress.Reached(milestone, self.clock.now()))

    def cut(self, cut: Cut) -> None:
        """Tell once that the answer ends here."""
        if not self._cut:
            self._cut = True
            self.notify(progress.Noticed("answer_cut", cut_text(cut, self.request.language)))
            self.on_cut(cut)

    async def end_if_complete(self, segment: Segment) -> None:
        """End `segment` if its last picture has been drawn."""
        if segment.take_end():
            await self.sink.end(segment)

    async def let_go(self) -> None:
        """Free encoders and face streams, and drop all pictures and sound. The task of an
        interrupted turn may be referenced for long, and this object with it."""
        self.sink.abandon()
        for stream in self.streams:
            await stream.cancel()
        for queue in (self.sentences, self.audios, self.drawings):
            while not queue.empty():
                queue.get_nowait()
        self.streams.clear()
        self.chosen.clear()
