"""Sentences go through the real runtime and come out with phonemes at the network's own times."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from ditto_avatar.speech.espeak import EspeakEngine
from ditto_avatar.speech.neural.engine import ModelSpeech
from ditto_avatar.speech.neural.families.kokoro import encoded
from ditto_avatar.speech.neural.families.piper import PiperVoice, open_piper
from ditto_avatar.speech.neural.families.supertonic import open_supertonic
from ditto_avatar.speech.neural.local import LocalSpeech
from ditto_avatar.speech.neural.phonemes import Clause, clauses, text_takes
from ditto_avatar.types import Emotion, Language, SpeechChunk, Voice, joined
from tests.fakes.voices import HOP, IDS, RATE_HZ, frames_of, write_piper, write_supertonic

ANY = float("inf")
EN, KO = Language.ENGLISH, Language.KOREAN


@pytest.fixture
async def espeak() -> AsyncIterator[EspeakEngine]:
    async with EspeakEngine(children=1) as engine:
        yield engine


@pytest.fixture
async def speech(espeak: EspeakEngine, tmp_path: Path) -> AsyncIterator[ModelSpeech]:
    engine = ModelSpeech(open_piper(write_piper(tmp_path)), "key", espeak)
    yield engine
    await engine.close()


async def said(
    engine: ModelSpeech, text: str, emotion: Emotion = Emotion.NEUTRAL
) -> list[SpeechChunk]:
    return [chunk async for chunk in engine.speak(text, engine.voices()[0], emotion)]


async def test_phonemes_are_espeaks_at_the_networks_own_times(speech: ModelSpeech) -> None:
    sound = joined(await said(speech, "Mama."))
    symbols = [phoneme.symbol for phoneme in sound.phonemes]
    assert symbols == ["m", "ɑː", "m", "ɐ"]
    # Each phoneme takes its ids, a whole empty one between two ids of its own, and half of each
    # empty one at its ends.
    first, second = sound.phonemes[:2]
    pad = frames_of(0)
    frames = [frames_of(IDS[sign][0]) for sign in ("m", "ˈ", "ɑ", "ː")]
    expected = [frames[0] + pad, sum(frames[1:]) + 3 * pad]
    for phoneme, count in zip((first, second), expected, strict=True):
        lasted_s = (phoneme.end - phoneme.start) / 16_000
        # The first one begins before the sound does, for it is moved 30 ms ahead.
        assert lasted_s == pytest.approx(count * HOP / RATE_HZ, abs=0.035)
    assert (second.end - second.start) / 16_000 == pytest.approx(
        expected[1] * HOP / RATE_HZ, abs=0.002
    )


async def test_phonemes_sound_earlier_than_the_network_says(speech: ModelSpeech) -> None:
    """Where the tone of the second phoneme begins tells when the network says it."""
    chunks = await said(speech, "Mama.")
    sound = joined(chunks)
    model = speech.model
    assert isinstance(model, PiperVoice)
    second = sound.phonemes[1]
    hertz = 120 + 3 * IDS["ɑ"][0]
    window = np.arange(320)
    powers = [
        abs(np.dot(sound.samples[at : at + 320], np.exp(-2j * np.pi * hertz * window / 16_000)))
        for at in range(0, len(sound.samples) - 320, 16)
    ]
    loud = np.flatnonzero(np.array(powers) > 0.8 * max(powers))
    begins_s = loud[0] * 16 / 16_000
    stress_s = (frames_of(IDS["ˈ"][0]) + 1.5 * frames_of(0)) * HOP / RATE_HZ
    assert begins_s - stress_s - second.start / 16_000 == pytest.approx(0.03, abs=0.02)


async def test_chunks_are_short_and_never_cut_a_phoneme(speech: ModelSpeech) -> None:
    chunks = await said(speech, "Hello, I am a stand-in for a voice, and I talk for a while.")
    assert len(chunks) > 10
    assert all(p.end <= len(chunk.samples) for chunk in chunks for p in chunk.phonemes)
    longest = max(len(chunk.samples) for chunk in chunks)
    assert longest < 16_000


async def test_silence_is_trimmed_and_the_level_is_that_of_the_other_voices(
    speech: ModelSpeech,
) -> None:
    sound = joined(await said(speech, "Hello there.")).samples
    loud = np.flatnonzero(np.abs(sound) > 0.02)
    assert loud[0] < 0.04 * 16_000
    voiced = sound[np.abs(sound) > 0.02]
    level = 20 * np.log10(np.sqrt((voiced**2).mean()))
    assert -24 < level < -18


async def test_an_emotion_changes_the_tempo(speech: ModelSpeech) -> None:
    lengths = {
        emotion: len(joined(await said(speech, "Hello there, friend.", emotion)).samples)
        for emotion in (Emotion.SAD, Emotion.NEUTRAL)
    }
    assert lengths[Emotion.SAD] > 1.1 * lengths[Emotion.NEUTRAL]


async def test_closing_early_leaves_the_voice_free_for_the_next_sentence(
    speech: ModelSpeech,
) -> None:
    chunks = speech.speak("Hello there, friend.", speech.voices()[0])
    await anext(chunks)
    pids = speech.pids
    await chunks.aclose()
    assert await said(speech, "Again.")
    assert speech.pids == pids


async def test_a_sentence_without_words_gives_nothing(speech: ModelSpeech) -> None:
    assert joined(await said(speech, "…")).samples.size == 0


async def test_without_durations_the_alignment_finds_the_phonemes(
    espeak: EspeakEngine, tmp_path: Path
) -> None:
    write_piper(tmp_path / "voice", durations="/Other_output_0")
    local = LocalSpeech(tmp_path, espeak, slowest=ANY)
    try:
        await local.prepare()
        (voice,) = local.voices()
        sound = joined([chunk async for chunk in local.speak("Mama.", voice)])
        assert [p.symbol for p in sound.phonemes] == ["m", "ɑː", "m", "ɐ"]
    finally:
        await local.close()


async def test_supertonic_speaks_korean_in_any_of_its_styles(
    espeak: EspeakEngine, tmp_path: Path
) -> None:
    engine = ModelSpeech(open_supertonic(write_supertonic(tmp_path / "s")), "key", espeak)
    try:
        assert {voice.language for voice in engine.voices()} == {KO, EN}
        for voice in engine.voices():
            text = "안녕하세요." if voice.language is KO else "Hello there."
            sound = joined([chunk async for chunk in engine.speak(text, voice)])
            assert len(sound.samples) > 16_000
            assert not sound.phonemes
    finally:
        await engine.close()


def test_kokoro_gets_its_own_alphabet_and_whole_words() -> None:
    take = [Clause((("h", "ə", "l", "ˈoʊ"), ("tʃ", "ˈɛɹ")), "!")]
    ids, symbols, first, last = encoded(take)
    assert symbols == ["h", "ə", "l", "ˈoʊ", "tʃ", "ˈɛɹ"]
    assert [ids[a : b + 1] for a, b in zip(first, last, strict=True)][3:5] == [[156, 31], [133]]
    assert (ids[0], ids[-2], ids[-1]) == (0, 5, 0)
    assert 16 in ids


def test_texts_are_cut_at_their_signs_and_not_within_numbers() -> None:
    assert clauses("Well, it costs 3.5, or more!") == [
        ("Well", ","),
        (" it costs 3.5", ","),
        (" or more", "!"),
    ]
    assert text_takes("안녕하세요. 반갑습니다!", KO, 3, 80) == ["안녕하세요.", "반갑습니다!"]


def test_a_voice_that_is_not_listed_is_none(tmp_path: Path) -> None:
    voice = open_piper(write_piper(tmp_path)).voices[0].voice
    assert voice == Voice("en_US-stand-medium", EN, "piper", "en_US-stand-medium")
