"""The way of a turn from words to media: five tasks joined by bounded queues.

    think ──sentences──▶ voice ──sound──▶ speak ──▶ face stream ──pictures──▶ draw ──▶ keep
                                            └──── or a segment from the cache ────▲

The sound of the next sentence is asked for while the last one is still being spoken: services take
their time to begin. Cancelling `Pipeline.run` cancels all of it and leaves nothing behind: the
iterators of the dialogue and the speech engine are closed, the stream is cancelled, encoders
are freed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import CancelledError, Executor, Future
from contextlib import aclosing
from dataclasses import dataclass, field

from ditto_avatar.clock import Clock
from ditto_avatar.dialogue.base import DialogueEngine, Prompt, Sentence
from ditto_avatar.dialogue.clauses import TextDelta, clauses
from ditto_avatar.errors import DittoAvatarError, outcome_of, public_text
from ditto_avatar.face.avatar import Avatar
from ditto_avatar.face.base import FaceEngine, FaceStream
from ditto_avatar.media.encode import FragmentEncoder, mime_type
from ditto_avatar.media.fragments import Fragment
from ditto_avatar.pipeline import progress
from ditto_avatar.pipeline.answer_length import AnswerLength, AnswerLimits, Cut
from ditto_avatar.pipeline.cache import SHARED, CacheKey, SegmentCache, SegmentMedia, cache_key
from ditto_avatar.pipeline.clips import Clip, ClipFolder
from ditto_avatar.pipeline.notices import cut_text, fallback_text
from ditto_avatar.pipeline.segment import Pace, Segment
from ditto_avatar.pipeline.sentence_audio import SentenceAudio
from ditto_avatar.speech.base import SpeechEngine
from ditto_avatar.speech.voices import voice_for
from ditto_avatar.types import FRAME_RATE_HZ, Fallback, FloatArray, Language, Voice

log = logging.getLogger(__name__)

Notify = Callable[[progress.Progress], object]

# Sentences wait here while the last one is spoken, segments while the last one is drawn. Small:
# what waits was made too early and is lost when the turn is interrupted.
_SENTENCES_AHEAD = 4
_SEGMENTS_AHEAD = 2
# The sentence that is spoken and the one whose sound is made meanwhile.
_VOICED_AT_ONCE = 2


@dataclass(frozen=True, slots=True)
class Job:
    """What one turn performs. `prompt` is answered by the dialogue; without one, `text` is spoken
    as it is. `start_frame` tells, when the face begins, which idle frame the viewer will see;
    `watched` tells at any time whether somebody watches. `scope` is where the cache keeps what is
    drawn: the session's id, or `SHARED`. With `keeps_clips`, finished sentences become clips that
    can be replayed."""

    avatar: Avatar
    language: Language
    text: str
    prompt: Prompt | None
    start_frame: Callable[[], int]
    scope: str
    keeps_clips: bool = True
    watched: Callable[[], bool] = lambda: True


@dataclass(frozen=True, slots=True)
class Engines:
    """Who answers and who speaks in one turn."""

    dialogue: DialogueEngine
    speech: SpeechEngine


# The engines for an avatar's turn; the callback hears when one fails and another takes over.
EngineChoice = Callable[[Avatar, Callable[[Fallback], object]], Engines]


@dataclass(slots=True)
class _Stretch:
    """Consecutive sentences that one stream draws, and how many pictures those have whose
    sound is complete."""

    stream: FaceStream
    frames: int = 0
    segments: asyncio.Queue[Segment] = field(default_factory=lambda: asyncio.Queue(_SEGMENTS_AHEAD))


@dataclass(frozen=True, slots=True)
class _Replay:
    """A sentence that was drawn before."""

    id: str
    index: int
    sentence: Sentence
    media: SegmentMedia


@dataclass(frozen=True, slots=True)
class _Finished:
    """A segment that is complete, on its way to disk."""

    id: str
    index: int
    sentence: Sentence
    media: SegmentMedia

    def as_clip(self, name: str) -> Clip:
        media, said = self.media, self.sentence
        seconds = media.frames / FRAME_RATE_HZ
        frames = media.first_frame, media.last_frame
        return Clip(name, self.index, said.text, said.emotion, seconds, *frames)


@dataclass(slots=True)
class _Run:
    """What the tasks of one turn share."""

    job: Job
    group: asyncio.TaskGroup
    engines: Engines
    notify: Notify
    pace: Pace
    length: AnswerLength
    cut: Cut | None = None
    sentences: asyncio.Queue[Sentence | None] = field(
        default_factory=lambda: asyncio.Queue(_SENTENCES_AHEAD)
    )
    voiced: asyncio.Queue[SentenceAudio | None] = field(
        default_factory=lambda: asyncio.Queue(_VOICED_AT_ONCE)
    )
    voices: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_VOICED_AT_ONCE))
    voiced_any: bool = False
    under_way: asyncio.Event = field(default_factory=asyncio.Event)
    acts: asyncio.Queue[_Stretch | _Replay | None] = field(
        default_factory=lambda: asyncio.Queue(_SEGMENTS_AHEAD)
    )
    finished: asyncio.Queue[_Finished | None] = field(
        default_factory=lambda: asyncio.Queue(_SEGMENTS_AHEAD)
    )
    unfinished: dict[str, Segment] = field(default_factory=dict)
    stretch: _Stretch | None = None
    streams: list[FaceStream] = field(default_factory=list)
    segments: int = 0
    next_frame: int | None = None
    """The idle frame that continues what was spoken so far; None before the first sentence."""
    frames_shown: int = 0
    fallbacks: int = 0

    async def let_go(self) -> None:
        """Free encoders and face streams, and drop all pictures and sound. The task of an
        interrupted turn may be referenced for long, and this object with it."""
        for segment in self.unfinished.values():
            segment.abandon()
        for stream in self.streams:
            await stream.cancel()
        for queue in (self.sentences, self.voiced, self.acts, self.finished):
            while not queue.empty():
                queue.get_nowait()
        self.unfinished.clear()
        self.streams.clear()
        self.stretch = None


class Pipeline:
    """Performs turns with the engines it was given; holds nothing of any turn. `own_sentences`
    come from the server itself: they are cached for everybody, all others for their session."""

    def __init__(
        self,
        *,
        engines: EngineChoice,
        face: FaceEngine,
        clips: ClipFolder,
        cache: SegmentCache,
        executor: Executor,
        clock: Clock,
        lead_s: float,
        limits: AnswerLimits | None = None,
        own_sentences: frozenset[str] = frozenset(),
    ) -> None:
        self._engines = engines
        self._face = face
        self._clips = clips
        self._cache = cache
        self._executor = executor
        self._clock = clock
        self._lead_s = lead_s
        self._limits = limits or AnswerLimits()
        self._own_sentences = own_sentences
        self._discarding: set[Future[None]] = set()

    async def run(self, job: Job, notify: Notify) -> None:
        """Run the turn and tell `notify` what happens; ends with `PipelineEnded` or
        `PipelineFailed`, unless it is cancelled."""

        def tell(fallback: Fallback) -> None:
            run.fallbacks += 1
            notify(progress.Noticed("fallback", fallback_text(fallback, job.language)))

        engines = self._engines(job.avatar, tell)
        group = asyncio.TaskGroup()
        pace, length = Pace(self._clock, self._lead_s), AnswerLength(self._limits, job.watched)
        run = _Run(job, group, engines, notify, pace, length)
        try:
            async with group:
                group.create_task(self._think(run))
                group.create_task(self._voice(run))
                group.create_task(self._speak(run))
                group.create_task(self._draw(run))
                group.create_task(self._keep(run))
        except ExceptionGroup as errors:
            notify(self._failure(errors))
        else:
            notify(progress.PipelineEnded(self._clock.now()))
        finally:
            await run.let_go()

    def _failure(self, errors: ExceptionGroup[Exception]) -> progress.PipelineFailed:
        known = errors.subgroup(DittoAvatarError)
        error = _first(known or errors)
        if known is None:
            log.error("a turn failed", exc_info=errors)
        return progress.PipelineFailed(
            outcome_of(error).code, public_text(error), self._clock.now()
        )

    async def discarded(self) -> None:
        """Return once nothing is left on disk of the clips that cancelled turns were storing.
        Cancelling is safe."""
        if waiting := [asyncio.wrap_future(future) for future in self._discarding.copy()]:
            await asyncio.wait(waiting)

    async def _think(self, run: _Run) -> None:
        """Words to viewers, sentences to the speaker."""
        tagged = run.job.prompt is not None
        async with aclosing(clauses(self._pieces(run), tagged=tagged)) as stream:
            async for item in stream:
                now = self._clock.now()
                if isinstance(item, TextDelta):
                    run.notify(progress.TextArrived(item.text, now))
                    run.length.shown(item.text)
                    cut = run.length.mute
                else:
                    run.notify(progress.Reached(progress.Stage.FIRST_SENTENCE, now))
                    run.length.queued(item.text)
                    await run.sentences.put(item)
                    cut = run.length.filled
                if cut is not None:
                    self._cut(run, cut)
                    break
        await run.sentences.put(None)

    def _cut(self, run: _Run, cut: Cut) -> None:
        """Tell once that the answer ends here."""
        if run.cut is None:
            run.cut = cut
            run.notify(progress.Noticed("answer_cut", cut_text(cut, run.job.language)))
            self._limits.on_cut(cut)

    async def _pieces(self, run: _Run) -> AsyncGenerator[str, None]:
        job = run.job
        if job.prompt is None:
            yield job.text
            return
        async with aclosing(run.engines.dialogue.reply(job.prompt)) as pieces:
            async for piece in pieces:
                yield piece

    async def _voice(self, run: _Run) -> None:
        """Begin the sound of sentences that were not drawn before, one ahead of the speaker."""
        while (sentence := await run.sentences.get()) is not None:
            await run.voices.acquire()
            speech, avatar = run.engines.speech, run.job.avatar
            voice = voice_for(speech, sentence.text, run.job.language, avatar.voices)
            key = self._key(run.job, sentence, voice, speech.fingerprint)
            voiced = SentenceAudio(sentence, voice, key, run.fallbacks)
            if not await asyncio.to_thread(self._cache.has, key):
                if run.voiced_any:
                    # The first picture of the turn has the machine to itself.
                    await run.under_way.wait()
                run.voiced_any = True
                voiced.begin(run.group, run.engines.speech)
            await run.voiced.put(voiced)
        await run.voiced.put(None)

    async def _speak(self, run: _Run) -> None:
        """Sound to the face; or sound and pictures from the cache."""
        while (voiced := await run.voiced.get()) is not None:
            if (cut := run.length.over) is not None:
                self._cut(run, cut)
                voiced.abandon()
            elif (media := await self._find_cached(run, voiced.key)) is not None:
                voiced.abandon()
                await self._end_stretch(run)
                await self._replay(run, voiced.sentence, media)
            else:
                voiced.begin(run.group, run.engines.speech)
                await self._speak_sentence(run, voiced)
            run.under_way.set()
            run.voices.release()
        await self._end_stretch(run)
        await run.acts.put(None)

    def _key(self, job: Job, sentence: Sentence, voice: Voice, speech: str) -> CacheKey:
        own = sentence.text in self._own_sentences
        avatar = job.avatar
        return cache_key(
            SHARED if own else job.scope,
            text=sentence.text,
            emotion=sentence.emotion,
            voice=f"{voice.engine}/{voice.id}",
            speech=speech,
            avatar=f"{avatar.name}/{avatar.fingerprint}",
            face=f"{self._face.name}/{self._face.fingerprint}",
        )

    async def _find_cached(self, run: _Run, key: CacheKey) -> SegmentMedia | None:
        first = run.next_frame is None
        near = run.job.start_frame() if run.next_frame is None else run.next_frame
        loop = run.job.avatar.frame_count
        return await asyncio.to_thread(self._cache.find, key, loop, near, exact=not first)

    async def _replay(self, run: _Run, sentence: Sentence, media: SegmentMedia) -> None:
        run.notify(progress.Reached(progress.Stage.FIRST_AUDIO, self._clock.now()))
        await run.acts.put(_Replay(secrets.token_hex(8), run.segments, sentence, media))
        run.segments += 1
        run.length.spoken(sentence.text, media.frames / FRAME_RATE_HZ)
        run.next_frame = (media.last_frame + 1) % run.job.avatar.frame_count

    async def _speak_sentence(self, run: _Run, voiced: SentenceAudio) -> None:
        segment: Segment | None = None
        sentence = voiced.sentence
        async with aclosing(voiced.sound()) as chunks:
            async for chunk in chunks:
                run.notify(progress.Reached(progress.Stage.FIRST_AUDIO, self._clock.now()))
                stretch = run.stretch or await self._begin_stretch(run)
                if segment is None:
                    segment = self._new_segment(run, sentence, voiced.key)
                    await stretch.segments.put(segment)
                segment.add_audio(chunk.samples)
                await stretch.stream.push(chunk.samples, chunk.phonemes, sentence.emotion)
        if segment is None or run.stretch is None:
            run.length.spoken(sentence.text, 0.0)
            return  # nothing in it can be spoken, a lone emoji for instance
        if run.fallbacks > voiced.fallbacks:
            segment.key = None  # perhaps another voice spoke than the one that the key names
        frames = segment.close()
        run.stretch.frames += frames
        run.next_frame = run.stretch.stream.idle_frame(run.stretch.frames)
        run.length.spoken(sentence.text, frames / FRAME_RATE_HZ)
        await run.stretch.stream.flush()
        await self._complete(run, segment)

    async def _begin_stretch(self, run: _Run) -> _Stretch:
        if run.next_frame is None:
            run.next_frame = run.job.start_frame()
        stream = await self._face.open(run.job.avatar, run.next_frame)
        run.streams.append(stream)
        run.stretch = _Stretch(stream)
        await run.acts.put(run.stretch)
        return run.stretch

    async def _end_stretch(self, run: _Run) -> None:
        if run.stretch is not None:
            await run.stretch.stream.finish()
            run.stretch = None

    def _new_segment(self, run: _Run, sentence: Sentence, key: CacheKey) -> Segment:
        avatar = run.job.avatar
        encoder = FragmentEncoder(avatar.width, avatar.height)
        segment = Segment(
            secrets.token_hex(8), run.segments, sentence, key, encoder, self._executor
        )
        run.segments += 1
        run.unfinished[segment.id] = segment
        return segment

    async def _draw(self, run: _Run) -> None:
        """Stretches and replays to fragments, in order."""
        while (act := await run.acts.get()) is not None:
            if isinstance(act, _Replay):
                await self._show_again(run, act)
            else:
                await self._draw_stretch(run, act)
        await run.finished.put(None)

    async def _draw_stretch(self, run: _Run, stretch: _Stretch) -> None:
        """Pictures to fragments; each picture belongs to the segment whose sound it shows."""
        segment: Segment | None = None
        async for frame in stretch.stream:
            run.notify(progress.Reached(progress.Stage.FIRST_FRAME, self._clock.now()))
            if segment is None or segment.complete:
                segment = await stretch.segments.get()
            await self._keep_pace(run, 1)
            made = await segment.draw(frame)
            if segment.drawn == 1:
                run.notify(
                    self._began(
                        run.job.avatar,
                        segment.id,
                        segment.index,
                        segment.sentence,
                        segment.first_frame,
                        segment.sound.so_far,
                    )
                )
            self._tell_fragments(run, segment.id, made)
            await self._complete(run, segment)

    async def _show_again(self, run: _Run, act: _Replay) -> None:
        media = act.media
        run.notify(progress.Reached(progress.Stage.FIRST_FRAME, self._clock.now()))
        await self._keep_pace(run, media.frames)
        run.notify(
            self._began(
                run.job.avatar,
                act.id,
                act.index,
                act.sentence,
                media.first_frame,
                lambda: media.audio,
            )
        )
        self._tell_fragments(run, act.id, media.fragments, end=len(media.fragments))
        run.notify(progress.SegmentDrawn(act.id, media.frames / FRAME_RATE_HZ))
        await run.finished.put(_Finished(act.id, act.index, act.sentence, media))

    async def _keep_pace(self, run: _Run, frames: int) -> None:
        await run.pace.wait(run.frames_shown / FRAME_RATE_HZ)
        run.frames_shown += frames

    def _began(
        self,
        avatar: Avatar,
        segment: str,
        index: int,
        sentence: Sentence,
        frame: int,
        sound: Callable[[], FloatArray],
    ) -> progress.SegmentBegan:
        now = self._clock.now()
        text, emotion = sentence.text, sentence.emotion
        mime = mime_type(avatar.width, avatar.height)
        return progress.SegmentBegan(segment, index, text, emotion, frame, mime, now, sound)

    async def _complete(self, run: _Run, segment: Segment) -> None:
        """Finish `segment` if its last picture has been drawn. Whoever comes last does it: the
        speaker when the pictures were faster, else the drawer."""
        if not segment.complete or segment.id not in run.unfinished:
            return
        del run.unfinished[segment.id]
        made = await segment.finish()
        self._tell_fragments(run, segment.id, made, end=len(segment.fragments))
        run.notify(progress.SegmentDrawn(segment.id, segment.seconds))
        media = segment.media()
        if segment.key is not None and not self._face.strained:
            await asyncio.to_thread(self._cache.keep, segment.key, media)
        await run.finished.put(_Finished(segment.id, segment.index, segment.sentence, media))

    def _tell_fragments(
        self, run: _Run, segment: str, made: Sequence[Fragment], *, end: int | None = None
    ) -> None:
        """Send fragments on; with `end`, the number of all, the last one is marked as the last."""
        now = self._clock.now()
        if made:
            run.under_way.set()
        for fragment in made:
            last = end is not None and fragment.index == end - 1
            run.notify(progress.FragmentMade(segment, fragment.index, fragment.data, last, now))
        if end is not None and not made:
            run.notify(progress.FragmentMade(segment, end, b"", True, now))

    async def _keep(self, run: _Run) -> None:
        """Finished segments to clips on disk, in order."""
        while (finished := await run.finished.get()) is not None:
            if not run.job.keeps_clips:
                continue
            try:
                name = await self._store(finished.media)
            except DittoAvatarError as error:
                # The person has seen it live; only its replay is lost.
                run.notify(progress.Troubled(outcome_of(error).code, str(error)))
                continue
            run.notify(progress.ClipStored(finished.id, finished.as_clip(name)))

    async def _store(self, media: SegmentMedia) -> str:
        """Store `media` as a clip; its name. A thread cannot be stopped: a clip that it still
        writes after a cancellation is removed, behind it and without being waited for."""
        storing = self._executor.submit(self._clips.store, media.stream, media.audio)
        try:
            return await asyncio.wrap_future(storing)
        except asyncio.CancelledError:
            discarding = self._executor.submit(self._discard, storing)
            self._discarding.add(discarding)
            discarding.add_done_callback(self._discarding.discard)
            raise

    def _discard(self, storing: Future[str]) -> None:
        with contextlib.suppress(CancelledError, DittoAvatarError):
            self._clips.remove([storing.result()])


def _first(errors: BaseExceptionGroup[Exception]) -> Exception:
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, Exception)
    return error
