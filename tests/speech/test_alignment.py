"""Phoneme times carried over to another voice."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator

import numpy as np
import pytest

from ditto_avatar.speech.alignment import Aligner, align, aligned
from ditto_avatar.speech.espeak import EspeakEngine
from ditto_avatar.types import FloatArray, Language, Phoneme, SpeechChunk, Voice, joined

SENTENCES = [
    ("Please bring the papers back before Monday morning.", Language.ENGLISH, "en-us"),
    ("The quick brown fox jumps over the lazy dog.", Language.ENGLISH, "en-us"),
    ("오늘 날씨가 정말 좋네요. 같이 산책할까요?", Language.KOREAN, "ko"),
    ("비밀번호를 잊어버리셨나요?", Language.KOREAN, "ko"),
]


async def say(text: str, language: Language, voice: str, words_a_minute: int) -> SpeechChunk:
    async with EspeakEngine(words_a_minute) as engine:
        chunks = engine.speak(text, Voice(voice, language, "espeak", voice))
        return joined([chunk async for chunk in chunks])


def foreign(samples: FloatArray) -> FloatArray:
    """The sound through a thin, noisy line."""
    noise = np.random.default_rng(5).normal(0, 0.002, len(samples))
    thin = np.convolve(samples, [1, -0.4])[: len(samples)]
    return (0.3 * thin + noise).astype(np.float32)


def middles_ms(phonemes: tuple[Phoneme, ...]) -> FloatArray:
    return np.array([(p.start + p.end) / 32 for p in phonemes], np.float32)


@pytest.mark.parametrize(("text", "language", "base"), SENTENCES)
@pytest.mark.parametrize(("variant", "words_a_minute"), [("m3", 165), ("f5", 220), ("m7", 135)])
async def test_another_voice_and_speed_are_followed(
    text: str, language: Language, base: str, variant: str, words_a_minute: int
) -> None:
    reference = await say(text, language, f"{base}+f3", 165)
    sound = await say(text, language, f"{base}+{variant}", words_a_minute)
    found = align(reference, foreign(sound.samples))
    assert [p.symbol for p in found] == [p.symbol for p in sound.phonemes]
    error = np.abs(middles_ms(found) - middles_ms(sound.phonemes))
    assert np.median(error) < 10
    assert (error < 40).mean() > 0.9


async def test_a_pause_in_the_middle_is_a_pause() -> None:
    reference = await say("Good morning, my friend.", Language.ENGLISH, "en-us+f3", 165)
    comma = next(
        p.end
        for p, after in zip(reference.phonemes, reference.phonemes[1:], strict=False)
        if after.start > p.end
    )
    silence = np.zeros(16_000, np.float32)
    sound = np.concatenate([reference.samples[:comma], silence, reference.samples[comma:]])
    gaps = [
        b.start - a.end for found in [align(reference, sound)] for a, b in itertools.pairwise(found)
    ]
    assert max(gaps) > 14_000


async def test_phonemes_come_while_the_sound_comes_and_never_twice() -> None:
    reference = await say(*SENTENCES[0], 165)
    sound = (await say("Please bring the papers back before Monday morning.",
                       Language.ENGLISH, "en-us+m3", 180)).samples  # fmt: skip
    aligner = Aligner(reference)
    found: list[Phoneme] = []
    early = 0
    for start in range(0, len(sound), 1_000):
        found.extend(aligner.push(sound[start : start + 1_000]))
        if start < len(sound) // 2:
            early = len(found)
    found.extend(aligner.finish())
    assert early > len(reference.phonemes) // 4
    assert [p.symbol for p in found] == [p.symbol for p in reference.phonemes]
    assert all(a.start <= b.start for a, b in itertools.pairwise(found))
    assert all(0 <= p.start < p.end <= len(sound) for p in found)


async def test_chunks_keep_their_sound_and_gain_phonemes() -> None:
    reference = await say(*SENTENCES[2], 165)
    sound = foreign((await say(*SENTENCES[2], 190)).samples)

    async def chunks() -> AsyncIterator[SpeechChunk]:
        for start in range(0, len(sound), 2_400):
            yield SpeechChunk(sound[start : start + 2_400])

    made = [chunk async for chunk in aligned(chunks(), Aligner(reference))]
    whole = joined(made)
    assert len(made) > 5
    assert np.array_equal(whole.samples, sound)
    assert [p.symbol for p in whole.phonemes] == [p.symbol for p in reference.phonemes]
    for chunk in made:
        assert all(0 <= p.start < len(chunk.samples) for p in chunk.phonemes)


@pytest.mark.parametrize("sound", [np.zeros(0, np.float32), np.zeros(8_000, np.float32)])
async def test_silence_or_nothing_breaks_nothing(sound: FloatArray) -> None:
    reference = await say(*SENTENCES[0], 165)
    assert all(p.end <= len(sound) for p in align(reference, sound))
    assert align(SpeechChunk(reference.samples), sound) == ()
