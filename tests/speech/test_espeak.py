"""The embedded voice: real sound, and where every phoneme is in it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import numpy as np
import pytest

from ditto_avatar.errors import InvalidInput
from ditto_avatar.speech.espeak import EspeakEngine
from ditto_avatar.speech.espeak.voices import VOICES
from ditto_avatar.types import Emotion, Language, SpeechChunk, Voice, joined

ENGLISH = next(voice for voice in VOICES if voice.language is Language.ENGLISH)
KOREAN = next(voice for voice in VOICES if voice.language is Language.KOREAN)


@pytest.fixture
async def engine() -> AsyncIterator[EspeakEngine]:
    async with EspeakEngine() as made:
        yield made


async def say(
    engine: EspeakEngine,
    text: str,
    voice: Voice = ENGLISH,
    emotion: Emotion = Emotion.NEUTRAL,
) -> list[SpeechChunk]:
    return [chunk async for chunk in engine.speak(text, voice, emotion)]


async def test_every_voice_speaks_without_clipping(engine: EspeakEngine) -> None:
    for voice in engine.voices():
        text = (
            "Hello, how are you today?"
            if voice.language is Language.ENGLISH
            else "안녕하세요, 반가워요."
        )
        speech = joined(await say(engine, text, voice))
        assert speech.samples.dtype == np.float32
        assert 1.0 < len(speech.samples) / 16_000 < 4.0, voice
        assert 0.2 < float(np.abs(speech.samples).max()) < 0.99, voice
        assert 0.03 < float(np.sqrt(np.mean(speech.samples**2))) < 0.3, voice
        assert len(speech.phonemes) > 10


async def test_phonemes_are_the_words_sounds_in_order(engine: EspeakEngine) -> None:
    speech = joined(await say(engine, "Beautiful moon."))
    assert "".join(p.symbol for p in speech.phonemes) == "bjuːɾifəlmuːn"
    assert [p.symbol for p in speech.phonemes if p.stressed] == ["uː", "uː"]
    ends = 0
    for phoneme in speech.phonemes:
        assert ends <= phoneme.start < phoneme.end <= len(speech.samples)
        ends = phoneme.end


async def test_a_vowel_is_loud_where_its_phoneme_says(engine: EspeakEngine) -> None:
    speech = joined(await say(engine, "ah, ah."))
    vowels = [p for p in speech.phonemes if p.symbol.startswith("ɑ")]
    assert len(vowels) == 2
    gap = speech.samples[vowels[0].end + 400 : vowels[1].start - 400]
    inside = [speech.samples[v.start : v.end] for v in vowels]
    assert min(float(np.std(part)) for part in inside) > 20 * float(np.std(gap))


async def test_korean_has_no_signs_of_the_library_in_its_phonemes(engine: EspeakEngine) -> None:
    speech = joined(await say(engine, "학교에 가서 OpenAI를 배워요.", KOREAN))
    symbols = [p.symbol for p in speech.phonemes]
    assert all(symbol and not set(symbol) & set("()-_ˈˌq") for symbol in symbols)


async def test_no_chunk_cuts_a_phoneme_and_the_first_is_short(engine: EspeakEngine) -> None:
    chunks = await say(engine, "This is a sentence of more than two seconds, isn't it?")
    assert len(chunks) > 5
    assert len(chunks[0].samples) <= 16_000 // 2
    for chunk in chunks:
        assert all(p.end <= len(chunk.samples) for p in chunk.phonemes)


async def test_sentences_at_the_same_time_do_not_mix(engine: EspeakEngine) -> None:
    texts = ["one", "a longer sentence about boats", "three"] * 4
    alone = [joined(await say(engine, text)) for text in texts[:3]]
    together = await asyncio.gather(*(say(engine, text) for text in texts))
    for index, chunks in enumerate(together):
        known, speech = alone[index % 3], joined(chunks)
        assert [p.symbol for p in speech.phonemes] == [p.symbol for p in known.phonemes]
        # The library's sound differs by a few samples from time to time.
        assert abs(len(speech.samples) - len(known.samples)) <= 16


async def test_a_text_longer_than_a_request_is_said_to_its_end(engine: EspeakEngine) -> None:
    sentence = "Every one of these words is said. "
    once = joined(await say(engine, sentence))
    speech = joined(await say(engine, sentence * 60))
    assert len(speech.phonemes) == pytest.approx(60 * len(once.phonemes), rel=0.01)


async def test_emotion_changes_the_voice(engine: EspeakEngine) -> None:
    sad, happy = [
        joined(await say(engine, "I saw it.", ENGLISH, e)) for e in (Emotion.SAD, Emotion.HAPPY)
    ]
    assert len(sad.samples) > 1.1 * len(happy.samples)


async def test_an_unknown_voice_is_refused_and_the_next_one_speaks(engine: EspeakEngine) -> None:
    with pytest.raises(InvalidInput, match="no voice 'xx-yy'"):
        await say(engine, "hello", Voice("xx-yy", Language.ENGLISH, "espeak", ""))
    (pid,) = engine.pids
    assert await say(engine, "hello")
    assert engine.pids == [pid]


def test_a_rate_beyond_the_library_is_refused() -> None:
    with pytest.raises(InvalidInput, match="80 to 450"):
        EspeakEngine(rate_wpm=1000)


@pytest.mark.parametrize("text", ["one\0two", "one \ud83d two"])
async def test_a_character_that_is_none_ends_nothing(engine: EspeakEngine, text: str) -> None:
    assert len(joined(await say(engine, text)).phonemes) > 4


async def test_the_check_names_the_version(engine: EspeakEngine) -> None:
    assert "espeak-ng 1." in await engine.check()
