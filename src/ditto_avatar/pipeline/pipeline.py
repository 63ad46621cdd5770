"""Run a turn from words to media: four stages joined by bounded queues, and a sink.

    think ──sentences──▶ voice ──sound──▶ speak ──▶ face stream ──pictures──▶ draw ──▶ sink
                                            └──── or a segment from the cache ────▲

The sound of the next sentence is asked for while the last one is still being spoken: services take
their time to begin. Cancelling `Pipeline.run` cancels all of it and leaves nothing behind: the
iterators of the dialogue and the speech engine are closed, the streams are cancelled, encoders
are freed.
"""

from __future__ import annotations

import asyncio

from ditto_avatar.clock import Clock
from ditto_avatar.errors import DittoAvatarError
from ditto_avatar.face.base import FaceEngine
from ditto_avatar.pipeline import progress
from ditto_avatar.pipeline.answer_length import AnswerLength, AnswerLimits
from ditto_avatar.pipeline.cache import SegmentCache
from ditto_avatar.pipeline.drawing import Drawing
from ditto_avatar.pipeline.flow import Flow
from ditto_avatar.pipeline.lookup import SegmentLookup
from ditto_avatar.pipeline.notices import fallback_text
from ditto_avatar.pipeline.pace import Pace, SpeakingTurns
from ditto_avatar.pipeline.request import EngineChoice, Notify, TurnRequest
from ditto_avatar.pipeline.sinks import SinkChoice
from ditto_avatar.pipeline.speaking import Speaking
from ditto_avatar.pipeline.words import play_recordings, think, voice
from ditto_avatar.types import Fallback


class Pipeline:
    """Run turns with the engines it was given; holds nothing of any turn.

    `sinks` take the pictures and the sound. Without a `cache` every sentence is drawn anew;
    `own_sentences` come from the server itself and are cached for everybody. Drawing keeps at most
    `lead_s` seconds ahead of the viewers.
    """

    def __init__(
        self,
        *,
        engines: EngineChoice,
        face: FaceEngine,
        sinks: SinkChoice,
        cache: SegmentCache | None,
        clock: Clock,
        lead_s: float,
        limits: AnswerLimits | None = None,
        own_sentences: frozenset[str] = frozenset(),
    ) -> None:
        self._engines = engines
        self._face = face
        self._sinks = sinks
        self._lookup = None if cache is None else SegmentLookup(cache, face, own_sentences)
        self._clock = clock
        self._lead_s = lead_s
        self._limits = limits or AnswerLimits()
        self._turns = SpeakingTurns()

    async def run(self, request: TurnRequest, notify: Notify) -> None:
        """Run a turn and tell `notify` of its progress. Raises the first error of its stages.
        Cancelling is safe."""

        def failed(fallback: Fallback) -> None:
            for audio in flow.chosen:
                audio.voice_is_sure = False
            notify(progress.Noticed("fallback", fallback_text(fallback, request.language)))

        def tell(happened: progress.Progress) -> None:
            match happened:
                case progress.Reached(progress.Milestone.FIRST_SENTENCE):
                    if not flow.under_way.is_set():
                        self._turns.begin(flow)
                case progress.FragmentMade():
                    flow.under_way.set()
                    self._turns.shown(flow)
            notify(happened)

        flow = Flow(
            request,
            self._engines(request.avatar, failed),
            tell,
            self._clock,
            self._sinks(request, tell),
            AnswerLength(self._limits, request.watched),
            self._limits.on_cut,
        )
        try:
            async with asyncio.TaskGroup() as group:
                self._start(flow, group)
        except ExceptionGroup as errors:
            raise _first(errors.subgroup(DittoAvatarError) or errors) from errors
        finally:
            self._turns.end(flow)
            await flow.let_go()

    def _start(self, flow: Flow, group: asyncio.TaskGroup) -> None:
        """Start all stages of a turn in tasks of `group`."""
        if not flow.request.recordings:
            group.create_task(think(flow))
            group.create_task(voice(flow, group, self._lookup))
        else:
            group.create_task(play_recordings(flow))
        group.create_task(Speaking(flow, self._face, self._lookup).run(group))
        pace = Pace(self._clock, self._lead_s, self._turns, flow)
        group.create_task(Drawing(flow, pace).run())
        group.create_task(flow.sink.run())


def _first(errors: BaseExceptionGroup[Exception]) -> Exception:
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, Exception)
    return error
