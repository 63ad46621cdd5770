"""From microphone samples to what a person said: when they interrupt, and their words.

    async for event in Listener(transcriber).listen(pieces, ListenMode.HANDS_FREE, reference): ...

One task looks for speech, another one has it transcribed, so a person who goes on speaking is
heard while their last sentence is still being understood.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Protocol

import numpy as np

from ditto_avatar.errors import DittoAvatarError
from ditto_avatar.speech.barge_in import barges_in, echoes_words
from ditto_avatar.speech.vad import (
    SpeechBegan,
    SpeechDetector,
    SpeechEnded,
    SpeechSegmenter,
    VadOptions,
)
from ditto_avatar.types import SAMPLE_RATE_HZ, FloatArray, Int16Array, Language

# Utterances that wait for their transcript; a person who says more in that time waits as well.
_UTTERANCES_WAITING = 4
_EVENTS_WAITING = 32
# How far back the presenter's sound is compared: loudspeaker, room and network together.
_ECHO_DELAY_S = 1.0
_LONGEST_PUSH_TO_TALK_S = 60

# A button that was touched for less was not held to say something.
_SHORTEST_HELD_SAMPLES = SAMPLE_RATE_HZ * 3 // 10


class ListenMode(StrEnum):
    """The modes of ``audio.start``."""

    PUSH_TO_TALK = "push_to_talk"
    HANDS_FREE = "hands_free"


class Transcriber(Protocol):
    """Turns speech into text."""

    async def transcribe(self, samples: Int16Array, language: Language) -> str:
        """The words in int16 samples (n,) at 16 kHz, empty when there are none."""

    async def close(self) -> None:
        """Free connections."""


class EchoReference(Protocol):
    """What the presenter is doing, as the session knows it."""

    @property
    def language(self) -> Language:
        """The language that the person probably speaks."""

    def played(self, seconds: float) -> FloatArray:
        """The sound that the page has played in the last `seconds` up to now, float32 (n,) at
        16 kHz; shorter or empty when it has been silent."""

    def spoken(self, seconds: float) -> str:
        """The sentences of which the page has played anything in the last `seconds`, or empty."""

    def admit_utterance(self) -> None:
        """Count something said that is to be transcribed. Raises `RateLimited`."""


@dataclass(frozen=True, slots=True)
class Interrupted:
    """A person speaks while the presenter does, and means to."""


@dataclass(frozen=True, slots=True)
class Understood:
    """What a person said."""

    text: str


@dataclass(frozen=True, slots=True)
class NotUnderstood:
    """A person said something and no transcript came, because of `error`."""

    error: DittoAvatarError


@dataclass(frozen=True, slots=True)
class NothingHeard:
    """The button was held, and no speech was in what came."""


HeardEvent = Interrupted | Understood | NotUnderstood | NothingHeard


@dataclass(frozen=True, slots=True)
class _Utterance:
    samples: Int16Array
    # What the presenter was saying meanwhile, to recognise an echo by its words.
    spoken: str


class Listener:
    """Listens to one microphone after the other. `detector` makes a fresh detector for each."""

    def __init__(
        self,
        transcriber: Transcriber,
        *,
        detector: Callable[[], SpeechDetector] | None = None,
        options: VadOptions | None = None,
    ) -> None:
        self._transcriber = transcriber
        self._detector = detector
        self._options = options or VadOptions()

    async def listen(
        self, pieces: AsyncIterable[Int16Array], mode: ListenMode, reference: EchoReference
    ) -> AsyncGenerator[HeardEvent, None]:
        """Events until `pieces` (int16 samples (n,) at 16 kHz) end and everything is understood.

        Hands-free, speech is found by itself; speech that begins while the presenter speaks is
        an `Interrupted`, unless it is an echo or shorter than 300 ms. With push-to-talk all that
        comes is one utterance: the button has interrupted already. Only speech is transcribed,
        each utterance once and whole.
        """
        events: asyncio.Queue[HeardEvent | None] = asyncio.Queue(_EVENTS_WAITING)
        both = asyncio.create_task(self._both_tasks(pieces, mode, reference, events))
        both.add_done_callback(lambda task: _end(events))
        try:
            while (event := await events.get()) is not None:
                yield event
            await both
        finally:
            both.cancel()
            await asyncio.gather(both, return_exceptions=True)

    async def _both_tasks(
        self,
        pieces: AsyncIterable[Int16Array],
        mode: ListenMode,
        reference: EchoReference,
        events: asyncio.Queue[HeardEvent | None],
    ) -> None:
        utterances: asyncio.Queue[_Utterance | None] = asyncio.Queue(_UTTERANCES_WAITING)
        hear = self._hear_freely if mode is ListenMode.HANDS_FREE else self._hear_all
        async with asyncio.TaskGroup() as group:
            group.create_task(hear(pieces, reference, events, utterances))
            group.create_task(self._understand(reference, events, utterances))

    async def _hear_freely(
        self,
        pieces: AsyncIterable[Int16Array],
        reference: EchoReference,
        events: asyncio.Queue[HeardEvent | None],
        utterances: asyncio.Queue[_Utterance | None],
    ) -> None:
        segmenter = await asyncio.to_thread(self._segmenter, self._options)
        spoken = ""
        async for piece in pieces:
            for found in await asyncio.to_thread(segmenter.push, piece):
                if isinstance(found, SpeechBegan):
                    spoken = reference.spoken(len(found.samples) / SAMPLE_RATE_HZ)
                    if await self._interrupts(found, reference):
                        await events.put(Interrupted())
                else:
                    await utterances.put(self._utterance(found, spoken, reference))
                    spoken = ""
        for left in segmenter.finish():
            if isinstance(left, SpeechEnded):
                await utterances.put(self._utterance(left, spoken, reference))
        await utterances.put(None)

    async def _hear_all(
        self,
        pieces: AsyncIterable[Int16Array],
        reference: EchoReference,
        events: asyncio.Queue[HeardEvent | None],
        utterances: asyncio.Queue[_Utterance | None],
    ) -> None:
        segmenter = await asyncio.to_thread(self._segmenter, _button_held(self._options))
        said: list[Int16Array] = []
        room = _LONGEST_PUSH_TO_TALK_S * SAMPLE_RATE_HZ
        async for piece in pieces:
            # Beyond a minute the rest is not heard: nobody asks for that long.
            if room:
                piece = piece[:room]
                room -= len(piece)
                said += _speech(await asyncio.to_thread(segmenter.push, piece))
        said += _speech(segmenter.finish())
        if said:
            await utterances.put(_Utterance(np.concatenate(said), ""))
        elif _LONGEST_PUSH_TO_TALK_S * SAMPLE_RATE_HZ - room >= _SHORTEST_HELD_SAMPLES:
            await events.put(NothingHeard())
        await utterances.put(None)

    def _segmenter(self, options: VadOptions) -> SpeechSegmenter:
        """Reads the detector's network from a file: not for the event loop."""
        detector = self._detector() if self._detector is not None else None
        return SpeechSegmenter(detector, options)

    def _utterance(self, ended: SpeechEnded, spoken: str, reference: EchoReference) -> _Utterance:
        """`spoken` is what the presenter was saying when it began. What begins in silence is no
        echo: answers often repeat words of the question."""
        if spoken:
            # By now the pause behind it has passed as well.
            seconds = len(ended.samples) / SAMPLE_RATE_HZ + self._options.pause_ms / 1000
            spoken = _both(spoken, reference.spoken(seconds))
        return _Utterance(ended.samples, spoken)

    async def _interrupts(self, began: SpeechBegan, reference: EchoReference) -> bool:
        seconds = len(began.samples) / SAMPLE_RATE_HZ + _ECHO_DELAY_S
        played = reference.played(seconds)
        if not len(played):
            return False
        return await asyncio.to_thread(barges_in, began.samples, played)

    async def _understand(
        self,
        reference: EchoReference,
        events: asyncio.Queue[HeardEvent | None],
        utterances: asyncio.Queue[_Utterance | None],
    ) -> None:
        while (utterance := await utterances.get()) is not None:
            try:
                reference.admit_utterance()
                text = await self._transcriber.transcribe(utterance.samples, reference.language)
            except DittoAvatarError as error:
                await events.put(NotUnderstood(error))
                continue
            echo = bool(utterance.spoken) and echoes_words(text, utterance.spoken)
            if text and not echo:
                await events.put(Understood(text))


def _button_held(options: VadOptions) -> VadOptions:
    """Set the detection for a button that is held: short and soft words count as well."""
    return replace(
        options,
        enter=0.3,
        stay=0.2,
        shortest_ms=96,
        longest_ms=_LONGEST_PUSH_TO_TALK_S * 1000,
    )


def _speech(events: Sequence[SpeechBegan | SpeechEnded]) -> list[Int16Array]:
    return [event.samples for event in events if isinstance(event, SpeechEnded)]


def _end(events: asyncio.Queue[HeardEvent | None]) -> None:
    """Wake the reader for the last time. It reads what is there before; only when its queue is
    full, because it has left or a task failed, the oldest event is lost."""
    if events.full():
        events.get_nowait()
    events.put_nowait(None)


def _both(before: str, after: str) -> str:
    return before if after == before else f"{before} {after}".strip()
