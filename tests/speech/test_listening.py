"""A person is heard, understood, and interrupts; the presenter's own sound does not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest

from ditto_avatar.errors import InvalidInput, ProviderFailed, RateLimited
from ditto_avatar.speech.espeak import EspeakEngine
from ditto_avatar.speech.listening import (
    HeardEvent,
    Interrupted,
    Listener,
    ListenMode,
    NothingHeard,
    NotUnderstood,
    Understood,
)
from ditto_avatar.types import FloatArray, Int16Array, Language, joined

PRESENTER = "The kitchen is open until nine, and after that there is only the bar downstairs."


async def speech(text: str, voice: int = 2) -> FloatArray:
    async with EspeakEngine() as engine:
        chunks = [chunk async for chunk in engine.speak(text, engine.voices()[voice])]
    return joined(chunks).samples


def microphone(samples: FloatArray, gain: float = 0.9) -> Int16Array:
    quiet = np.random.default_rng(1).normal(0, 0.0005, 24_000)
    sound = np.concatenate([quiet[:8_000], samples * gain, quiet])
    return (sound * 32_000).astype(np.int16)


async def pieces(samples: Int16Array) -> AsyncIterator[Int16Array]:
    for start in range(0, len(samples), 1_600):
        yield samples[start : start + 1_600]


class Transcripts:
    """Gives the texts in turn; an error is raised."""

    def __init__(self, *texts: str | Exception) -> None:
        self.texts = list(texts)
        self.heard: list[Int16Array] = []

    async def transcribe(self, samples: Int16Array, language: Language) -> str:
        self.heard.append(samples)
        text = self.texts.pop(0)
        if isinstance(text, Exception):
            raise text
        return text

    async def close(self) -> None:
        pass


@dataclass
class Scenery:
    """A presenter who has been playing `sound` and saying `words`."""

    sound: FloatArray = field(default_factory=lambda: np.zeros(0, np.float32))
    words: str = ""
    language: Language = Language.ENGLISH
    admitted: int = 10

    def played(self, seconds: float) -> FloatArray:
        return self.sound

    def spoken(self, seconds: float) -> str:
        return self.words

    def admit_utterance(self) -> None:
        if not self.admitted:
            raise RateLimited("Too many spoken messages; please wait 2 s.")
        self.admitted -= 1


async def hear(
    samples: Int16Array,
    transcripts: Transcripts,
    stage: Scenery | None = None,
    mode: ListenMode = ListenMode.HANDS_FREE,
) -> Sequence[HeardEvent]:
    listening = Listener(transcripts).listen(pieces(samples), mode, stage or Scenery())
    return [event async for event in listening]


async def test_hands_free_a_sentence_is_understood() -> None:
    transcripts = Transcripts("How does this work?")
    events = await hear(microphone(await speech("How does this work?")), transcripts)
    assert events == [Understood("How does this work?")]
    assert 0.8 < len(transcripts.heard[0]) / 16_000 < 3


async def test_two_sentences_are_two_utterances() -> None:
    one = microphone(await speech("Hello, can you hear me?"))
    transcripts = Transcripts("one", "two")
    events = await hear(np.concatenate([one, one]), transcripts)
    assert events == [Understood("one"), Understood("two")]


async def test_speech_over_the_presenter_interrupts() -> None:
    stage = Scenery(await speech(PRESENTER, 0), PRESENTER)
    transcripts = Transcripts("Wait, stop that, please.")
    events = await hear(microphone(await speech("Wait, stop that, please.")), transcripts, stage)
    assert events == [Interrupted(), Understood("Wait, stop that, please.")]


async def test_the_presenters_echo_neither_interrupts_nor_asks() -> None:
    played = await speech(PRESENTER, 0)
    echo = microphone(played[:32_000], gain=0.2)
    events = await hear(echo, Transcripts("the kitchen is open until"), Scenery(played, PRESENTER))
    assert events == []


async def test_silence_is_not_sent_to_anybody() -> None:
    transcripts = Transcripts()
    assert await hear(microphone(np.zeros(48_000, np.float32)), transcripts) == []
    assert transcripts.heard == []


async def test_with_push_to_talk_everything_is_one_utterance() -> None:
    samples = microphone(await speech("Yes. And no."))
    transcripts = Transcripts("Yes. And no.")
    events = await hear(samples, transcripts, mode=ListenMode.PUSH_TO_TALK)
    assert events == [Understood("Yes. And no.")]
    [heard] = transcripts.heard
    # What was said, without the quiet second behind it.
    assert len(heard) < len(samples) - 12_000
    assert heard.tobytes() in samples.tobytes()


async def test_a_button_that_is_only_touched_asks_nothing() -> None:
    transcripts = Transcripts()
    assert await hear(np.zeros(3_000, np.int16), transcripts, mode=ListenMode.PUSH_TO_TALK) == []


async def test_a_transcript_that_fails_is_told_and_the_next_one_comes() -> None:
    one = microphone(await speech("Hello, can you hear me?"))
    transcripts = Transcripts(ProviderFailed("OpenAI is down."), "two")
    events = await hear(np.concatenate([one, one]), transcripts)
    assert told(events) == ["OpenAI is down.", "two"]


async def test_more_utterances_than_are_admitted_are_not_sent() -> None:
    one = microphone(await speech("Hello, can you hear me?"))
    transcripts = Transcripts("one", "two")
    events = await hear(np.concatenate([one, one]), transcripts, Scenery(admitted=1))
    assert told(events) == ["one", "Too many spoken messages; please wait 2 s."]
    assert len(transcripts.heard) == 1


async def test_a_button_held_over_silence_sends_nothing_and_says_so() -> None:
    noise = np.random.default_rng(2).normal(0, 200, 60 * 16_000).astype(np.int16)
    transcripts = Transcripts()
    events = await hear(noise, transcripts, mode=ListenMode.PUSH_TO_TALK)
    assert events == [NothingHeard()]
    assert transcripts.heard == []


async def test_long_pauses_under_the_button_are_not_sent() -> None:
    one = microphone(await speech("Hello, can you hear me?"))
    pause = np.zeros(20 * 16_000, np.int16)
    transcripts = Transcripts("Hello, can you hear me? Hello, can you hear me?")
    await hear(np.concatenate([one, pause, one]), transcripts, mode=ListenMode.PUSH_TO_TALK)
    [heard] = transcripts.heard
    assert len(heard) < 2 * len(one)


async def test_a_short_word_under_the_button_is_understood() -> None:
    transcripts = Transcripts("Yes.")
    samples = microphone(await speech("Yes."))
    events = await hear(samples, transcripts, mode=ListenMode.PUSH_TO_TALK)
    assert events == [Understood("Yes.")]


async def test_an_utterance_is_sent_once_however_long_it_grows() -> None:
    words = await speech("and then we went on and on " * 14)
    transcripts = Transcripts(*["text"] * 9)
    samples = microphone(words)
    await hear(samples, transcripts)
    assert sum(len(heard) for heard in transcripts.heard) <= len(samples)


def told(events: Sequence[HeardEvent]) -> list[str]:
    """What was understood, and why something was not."""
    return [
        str(e.error) if isinstance(e, NotUnderstood) else getattr(e, "text", "") for e in events
    ]


@pytest.mark.parametrize("mode", list(ListenMode))
async def test_leaving_early_leaves_no_task_behind(mode: ListenMode) -> None:
    said = microphone(await speech("Hello, can you hear me?"))
    source: asyncio.Queue[Int16Array] = asyncio.Queue()
    source.put_nowait(said)

    async def endless() -> AsyncIterator[Int16Array]:
        while True:
            yield await source.get()

    listening = Listener(Transcripts("one")).listen(endless(), mode, Scenery())
    if mode is ListenMode.HANDS_FREE:
        assert await anext(listening) == Understood("one")
    await listening.aclose()
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_source_that_fails_is_told() -> None:
    async def broken() -> AsyncIterator[Int16Array]:
        yield np.zeros(1_600, np.int16)
        raise InvalidInput("no microphone")

    listening = Listener(Transcripts()).listen(broken(), ListenMode.HANDS_FREE, Scenery())
    with pytest.raises(ExceptionGroup) as caught:
        await anext(listening)
    assert caught.group_contains(InvalidInput, match="no microphone")
