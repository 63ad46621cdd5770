from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator

import numpy as np
import pytest

from ditto_avatar.errors import ProviderFailed
from ditto_avatar.speech.aligned import AlignedSpeech
from ditto_avatar.speech.alignment import Aligner, aligned
from ditto_avatar.speech.espeak import EspeakEngine
from ditto_avatar.types import Emotion, FloatArray, Language, SpeechChunk, Voice, joined
from tests.fakes.engines import ToneSpeech

SENTENCE = "My mother baked a big apple pie."


@pytest.fixture
async def espeak() -> AsyncIterator[EspeakEngine]:
    engine = EspeakEngine()
    yield engine
    await engine.close()


class Recorded(ToneSpeech):
    """Plays one recording, as a service that knows no phonemes would send it."""

    def __init__(self, samples: FloatArray) -> None:
        super().__init__()
        self._samples = samples

    async def speak(
        self, sentence: str, voice: Voice, emotion: Emotion = Emotion.NEUTRAL
    ) -> AsyncGenerator[SpeechChunk, None]:
        for start in range(0, len(self._samples), 3_200):
            yield SpeechChunk(self._samples[start : start + 3_200])


async def test_a_foreign_voice_gets_the_phonemes_where_they_sound(espeak: EspeakEngine) -> None:
    voice = Voice("en-us", Language.ENGLISH, "espeak", "")
    known = joined([c async for c in espeak.speak(SENTENCE, voice)])
    engine = AlignedSpeech(Recorded(known.samples), espeak)
    got = joined([c async for c in engine.speak(SENTENCE, voice)])
    np.testing.assert_array_equal(got.samples, known.samples)
    assert [p.symbol for p in got.phonemes] == [p.symbol for p in known.phonemes]
    late = [abs(a.start - b.start) for a, b in zip(got.phonemes, known.phonemes, strict=True)]
    assert np.median(late) <= 16_000 * 0.04


async def test_others_have_their_turn_while_a_long_sound_is_aligned(espeak: EspeakEngine) -> None:
    voice = Voice("en-us", Language.ENGLISH, "espeak", "")
    said = joined([c async for c in espeak.speak(" ".join([SENTENCE] * 4), voice)])
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    async def at_once() -> AsyncIterator[SpeechChunk]:
        yield SpeechChunk(said.samples)

    aligner = Aligner(said)
    waiting = asyncio.create_task(others())
    async for _ in aligned(at_once(), aligner):
        pass
    waiting.cancel()
    seconds = len(said.samples) / 16_000
    assert seconds > 5
    assert turns >= 10 * seconds - 2


async def test_sound_that_matches_nothing_still_comes_whole(espeak: EspeakEngine) -> None:
    tone = ToneSpeech()
    voice = tone.voices()[0]
    engine = AlignedSpeech(tone, espeak)
    got = joined([c async for c in engine.speak("Hi.", voice)])
    bare = joined([c async for c in tone.speak("Hi.", voice)])
    np.testing.assert_array_equal(got.samples, bare.samples)
    assert engine.name == "tone"
    assert tone.open_sentences == 0


async def test_closing_early_closes_the_voice_behind(espeak: EspeakEngine) -> None:
    tone = ToneSpeech()
    speech = AlignedSpeech(tone, espeak).speak("A long sentence.", tone.voices()[0])
    await anext(speech)
    await speech.aclose()
    assert tone.open_sentences == 0


async def test_a_failing_service_fails_as_before(espeak: EspeakEngine) -> None:
    class Failing(ToneSpeech):
        async def speak(
            self, sentence: str, voice: Voice, emotion: Emotion = Emotion.NEUTRAL
        ) -> AsyncGenerator[SpeechChunk, None]:
            async for chunk in super().speak(sentence, voice):
                raise ProviderFailed(f"It broke before {len(chunk.samples)} samples.")
                yield

    engine = AlignedSpeech(Failing(), espeak)
    with pytest.raises(ProviderFailed, match="It broke"):
        await anext(engine.speak("Hi.", ToneSpeech().voices()[0]))
