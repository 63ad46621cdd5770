"""The way of a turn: think, speak, draw, keep; four tasks joined by bounded queues.

    think ──sentences──▶ speak ──sound──▶ face engine ──pictures──▶ draw ──segments──▶ keep
                           └─────────────── segments ───────────────▲

Cancelling `Performer.perform` cancels all four and leaves nothing behind: the iterators of the
dialogue and the speech engine are closed, the performance is cancelled, encoders are freed.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import Executor
from contextlib import aclosing
from dataclasses import dataclass, field

from ditto_avatar.clock import Clock
from ditto_avatar.dialogue.base import DialogueEngine, Prompt, Sentence
from ditto_avatar.dialogue.clauses import TextDelta, clauses
from ditto_avatar.errors import DittoAvatarError, outcome_of, public_text
from ditto_avatar.face.avatar import Avatar
from ditto_avatar.face.base import FaceEngine, Performance
from ditto_avatar.media.encode import MIME, FragmentEncoder
from ditto_avatar.media.fragments import Fragment
from ditto_avatar.session import turn as t
from ditto_avatar.session.clips import ClipFolder
from ditto_avatar.session.playout import Pace, Segment
from ditto_avatar.speech.base import SpeechEngine
from ditto_avatar.speech.utterance import utterance
from ditto_avatar.speech.voices import voice_for
from ditto_avatar.types import FRAME_RATE_HZ, Fallback, Language

log = logging.getLogger(__name__)

Notify = Callable[[t.Input], object]

# Sentences wait here while the last one is spoken, segments while the last one is drawn. Small:
# what waits was made too early and is lost when the turn is interrupted.
_SENTENCES_AHEAD = 4
_SEGMENTS_AHEAD = 2


@dataclass(frozen=True, slots=True)
class Job:
    """What one turn performs. `prompt` is answered by the dialogue; without one, `text` is spoken
    as it is. `start_frame` tells, when the face begins, which idle frame the viewer will see."""

    avatar: Avatar
    language: Language
    text: str
    prompt: Prompt | None
    start_frame: Callable[[], int]


@dataclass(frozen=True, slots=True)
class Engines:
    """Who answers and who speaks in one turn."""

    dialogue: DialogueEngine
    speech: SpeechEngine


# The engines for an avatar's turn; the callback hears when one fails and another takes over.
EngineChoice = Callable[[Avatar, Callable[[Fallback], object]], Engines]


@dataclass(slots=True)
class _Run:
    """What the four tasks of one turn share."""

    job: Job
    engines: Engines
    notify: Notify
    pace: Pace
    sentences: asyncio.Queue[Sentence | None] = field(
        default_factory=lambda: asyncio.Queue(_SENTENCES_AHEAD)
    )
    opened: asyncio.Future[Performance | None] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )
    segments: asyncio.Queue[Segment] = field(default_factory=lambda: asyncio.Queue(_SEGMENTS_AHEAD))
    finished: asyncio.Queue[Segment | None] = field(
        default_factory=lambda: asyncio.Queue(_SEGMENTS_AHEAD)
    )
    unfinished: set[str] = field(default_factory=set)
    all_segments: list[Segment] = field(default_factory=list)


class Performer:
    """Performs turns with the engines it was given; holds nothing of any turn."""

    def __init__(
        self,
        *,
        engines: EngineChoice,
        face: FaceEngine,
        clips: ClipFolder,
        executor: Executor,
        clock: Clock,
        lead_s: float,
    ) -> None:
        self._engines = engines
        self._face = face
        self._clips = clips
        self._executor = executor
        self._clock = clock
        self._lead_s = lead_s

    async def perform(self, job: Job, notify: Notify) -> None:
        """Run the turn and tell `notify` what happens; ends with `PerformanceEnded` or
        `PerformanceFailed`, unless it is cancelled."""

        def tell(fallback: Fallback) -> None:
            notify(t.Noticed("fallback", fallback_text(fallback, job.language)))

        engines = self._engines(job.avatar, tell)
        run = _Run(job, engines, notify, Pace(self._clock, self._lead_s))
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._think(run))
                group.create_task(self._speak(run))
                group.create_task(self._draw(run))
                group.create_task(self._keep(run))
        except ExceptionGroup as errors:
            notify(self._failure(errors))
        else:
            notify(t.PerformanceEnded(self._clock.now()))
        finally:
            for segment in run.all_segments:
                if segment.id in run.unfinished:
                    segment.abandon()
            if run.opened.done() and not run.opened.cancelled():
                performance = run.opened.result()
                if performance is not None:
                    await performance.cancel()

    def _failure(self, errors: ExceptionGroup[Exception]) -> t.PerformanceFailed:
        known = errors.subgroup(DittoAvatarError)
        error = _first(known or errors)
        if known is None:
            log.error("a turn failed", exc_info=errors)
        return t.PerformanceFailed(outcome_of(error).code, public_text(error), self._clock.now())

    async def _think(self, run: _Run) -> None:
        """Words to viewers, sentences to the speaker."""
        async with aclosing(clauses(self._pieces(run))) as stream:
            async for item in stream:
                now = self._clock.now()
                if isinstance(item, TextDelta):
                    run.notify(t.TextArrived(item.text, now))
                else:
                    run.notify(t.Reached(t.Mark.FIRST_SENTENCE, now))
                    await run.sentences.put(item)
        await run.sentences.put(None)

    async def _pieces(self, run: _Run) -> AsyncGenerator[str, None]:
        job = run.job
        if job.prompt is None:
            yield job.text
            return
        async with aclosing(run.engines.dialogue.reply(job.prompt)) as pieces:
            async for piece in pieces:
                yield piece

    async def _speak(self, run: _Run) -> None:
        """Sentences to sound, and the sound to the face."""
        performance: Performance | None = None
        while (sentence := await run.sentences.get()) is not None:
            if performance is None:
                performance = await self._face.open(run.job.avatar, run.job.start_frame())
                run.opened.set_result(performance)
            await self._speak_sentence(run, performance, sentence)
        if performance is None:
            run.opened.set_result(None)
        else:
            await performance.finish()

    async def _speak_sentence(
        self, run: _Run, performance: Performance, sentence: Sentence
    ) -> None:
        speech, avatar = run.engines.speech, run.job.avatar
        voice = voice_for(speech, sentence.text, run.job.language, avatar.about.voices)
        segment: Segment | None = None
        sound = utterance(speech, sentence.text, voice, sentence.emotion)
        async with aclosing(sound) as chunks:
            async for chunk in chunks:
                run.notify(t.Reached(t.Mark.FIRST_AUDIO, self._clock.now()))
                if segment is None:
                    segment = self._new_segment(run, sentence)
                    await run.segments.put(segment)
                segment.add_audio(chunk.samples)
                await performance.push(chunk.samples, chunk.phonemes, sentence.emotion)
        if segment is None:
            return  # nothing in it can be spoken, a lone emoji for instance
        segment.close()
        await performance.flush()
        await self._complete(run, segment)

    def _new_segment(self, run: _Run, sentence: Sentence) -> Segment:
        avatar = run.job.avatar
        segment = Segment(
            secrets.token_hex(8),
            len(run.all_segments),
            sentence,
            FragmentEncoder(avatar.width, avatar.height),
            self._executor,
        )
        run.all_segments.append(segment)
        run.unfinished.add(segment.id)
        return segment

    async def _draw(self, run: _Run) -> None:
        """Pictures to fragments; each picture belongs to the segment whose sound it shows."""
        performance = await run.opened
        segment: Segment | None = None
        frames = 0
        if performance is not None:
            async for frame in performance:
                run.notify(t.Reached(t.Mark.FIRST_FRAME, self._clock.now()))
                if segment is None or segment.complete:
                    segment = await run.segments.get()
                await run.pace.wait(frames / FRAME_RATE_HZ)
                made = await segment.draw(frame)
                frames += 1
                if segment.drawn == 1:
                    run.notify(self._began(segment))
                self._tell_fragments(run, segment, made)
                await self._complete(run, segment)
        await run.finished.put(None)

    def _began(self, segment: Segment) -> t.SegmentBegan:
        sentence = segment.sentence
        return t.SegmentBegan(
            segment.id,
            segment.index,
            sentence.text,
            sentence.emotion,
            segment.first_frame,
            MIME,
            self._clock.now(),
        )

    async def _complete(self, run: _Run, segment: Segment) -> None:
        """Finish `segment` if its last picture has been drawn. Whoever comes last does it: the
        speaker when the pictures were faster, else the drawer."""
        if not segment.complete or segment.id not in run.unfinished:
            return
        run.unfinished.remove(segment.id)
        made = await segment.finish()
        self._tell_fragments(run, segment, made, last=True)
        run.notify(t.SegmentDrawn(segment.id, segment.seconds))
        await run.finished.put(segment)

    def _tell_fragments(
        self, run: _Run, segment: Segment, made: list[Fragment], *, last: bool = False
    ) -> None:
        now = self._clock.now()
        for fragment in made:
            is_last = last and fragment is made[-1]
            run.notify(t.FragmentMade(segment.id, fragment.index, fragment.data, is_last, now))
        if last and not made:
            run.notify(t.FragmentMade(segment.id, len(segment.fragments), b"", True, now))

    async def _keep(self, run: _Run) -> None:
        """Finished segments to clips on disk, in order."""
        while (segment := await run.finished.get()) is not None:
            stream = b"".join(fragment.data for fragment in segment.fragments)
            try:
                clip = await asyncio.to_thread(self._clips.store, stream, segment.audio)
            except DittoAvatarError as error:
                # The person has seen it live; only its replay is lost.
                run.notify(t.Troubled(outcome_of(error).code, str(error)))
                continue
            run.notify(
                t.ClipStored(
                    segment.id,
                    clip.name,
                    clip.video_url,
                    clip.audio_url,
                    segment.seconds,
                    segment.last_frame,
                )
            )


def fallback_text(fallback: Fallback, language: Language) -> str:
    """What the person reads when an engine failed and another one took over."""
    part = _PARTS[language][fallback.part]
    if fallback.used is None:
        return _NOBODY[language].format(part=part, reason=fallback.reason)
    return _TAKES_OVER[language].format(part=part, used=fallback.used, reason=fallback.reason)


_PARTS = {
    Language.ENGLISH: {"dialogue": "answers", "speech": "the voice"},
    Language.KOREAN: {"dialogue": "대답", "speech": "목소리"},
}
_TAKES_OVER = {
    Language.ENGLISH: "For {part}, {used} takes over for now: {reason}",
    Language.KOREAN: "지금은 {used} 엔진이 {part}을(를) 대신 맡아요. ({reason})",
}
_NOBODY = {
    Language.ENGLISH: "Nothing can take over for {part}: {reason}",
    Language.KOREAN: "{part}을(를) 대신 맡을 엔진이 없어요. ({reason})",
}


def _first(errors: BaseExceptionGroup[Exception]) -> Exception:
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, Exception)
    return error
