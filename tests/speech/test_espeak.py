"""The embedded voice: real sound, and where every phoneme is in it."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import numpy as np
import pytest

from ditto_avatar.errors import InvalidInput
from ditto_avatar.speech.espeak import EspeakEngine
from ditto_avatar.types import Emotion, Language, SpeechChunk, Voice, joined

ENGINE = EspeakEngine()
ENGLISH = next(voice for voice in ENGINE.voices() if voice.language is Language.ENGLISH)
KOREAN = next(voice for voice in ENGINE.voices() if voice.language is Language.KOREAN)


async def say(
    text: str, voice: Voice = ENGLISH, emotion: Emotion = Emotion.NEUTRAL
) -> list[SpeechChunk]:
    return [chunk async for chunk in ENGINE.speak(text, voice, emotion)]


@pytest.mark.parametrize("voice", ENGINE.voices(), ids=lambda voice: str(voice.id))
async def test_every_voice_speaks_without_clipping(voice: Voice) -> None:
    text = (
        "Hello, how are you today?"
        if voice.language is Language.ENGLISH
        else "안녕하세요, 반가워요."
    )
    speech = joined(await say(text, voice))
    assert speech.samples.dtype == np.float32
    assert 1.0 < len(speech.samples) / 16_000 < 4.0
    assert 0.2 < float(np.abs(speech.samples).max()) < 0.99
    assert 0.03 < float(np.sqrt(np.mean(speech.samples**2))) < 0.3
    assert len(speech.phonemes) > 10


async def test_phonemes_are_the_words_sounds_in_order() -> None:
    speech = joined(await say("Beautiful moon."))
    assert "".join(p.symbol for p in speech.phonemes) == "bjuːɾifəlmuːn"
    assert [p.symbol for p in speech.phonemes if p.stressed] == ["uː", "uː"]
    ends = 0
    for phoneme in speech.phonemes:
        assert ends <= phoneme.start < phoneme.end <= len(speech.samples)
        ends = phoneme.end


async def test_a_vowel_is_loud_where_its_phoneme_says() -> None:
    speech = joined(await say("ah, ah."))
    vowels = [p for p in speech.phonemes if p.symbol.startswith("ɑ")]
    assert len(vowels) == 2
    gap = speech.samples[vowels[0].end + 400 : vowels[1].start - 400]
    inside = [speech.samples[v.start : v.end] for v in vowels]
    assert min(float(np.std(part)) for part in inside) > 20 * float(np.std(gap))


async def test_korean_has_no_signs_of_the_library_in_its_phonemes() -> None:
    speech = joined(await say("학교에 가서 OpenAI를 배워요.", KOREAN))
    symbols = [p.symbol for p in speech.phonemes]
    assert all(symbol and not set(symbol) & set("()-_ˈˌq") for symbol in symbols)


async def test_no_chunk_cuts_a_phoneme_and_the_first_is_short() -> None:
    chunks = await say("This is a sentence of more than two seconds, isn't it?")
    assert len(chunks) > 5
    assert len(chunks[0].samples) <= 16_000 // 2
    for chunk in chunks:
        assert all(p.end <= len(chunk.samples) for p in chunk.phonemes)


async def test_sentences_at_the_same_time_do_not_mix() -> None:
    texts = ["one", "a longer sentence about boats", "three"] * 4
    alone = [joined(await say(text)).samples for text in texts[:3]]
    together = await asyncio.gather(*(say(text) for text in texts))
    for index, chunks in enumerate(together):
        assert len(joined(chunks).samples) == len(alone[index % 3])


async def test_a_reader_who_leaves_stops_the_work() -> None:
    async with aclosing(ENGINE.speak("word " * 20_000, ENGLISH)) as speech:
        async for _ in speech:
            break
    # The next one waits for the library's thread: minutes if the first had gone on to its end.
    async with asyncio.timeout(2):
        assert await say("next")


async def test_emotion_changes_the_voice() -> None:
    sad, happy = [joined(await say("I saw it.", ENGLISH, e)) for e in (Emotion.SAD, Emotion.HAPPY)]
    assert len(sad.samples) > 1.1 * len(happy.samples)


async def test_an_unknown_voice_is_refused() -> None:
    with pytest.raises(InvalidInput, match="no voice 'xx-yy'"):
        await say("hello", Voice("xx-yy", Language.ENGLISH, "espeak", ""))


def test_a_rate_beyond_the_library_is_refused() -> None:
    with pytest.raises(InvalidInput, match="80 to 450"):
        EspeakEngine(rate_wpm=1000)


async def test_a_zero_byte_ends_nothing() -> None:
    assert len(joined(await say("one\0two")).phonemes) > 4


async def test_the_check_names_the_version() -> None:
    assert "espeak-ng 1." in await ENGINE.check()
