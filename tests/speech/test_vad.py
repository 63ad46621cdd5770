"""Speech is found where a voice speaks, not where something else sounds."""

from __future__ import annotations

import numpy as np
import pytest

from ditto_avatar.errors import InvalidInput
from ditto_avatar.speech.espeak import EspeakEngine
from ditto_avatar.speech.vad import (
    STEP_SAMPLES,
    SpeechBegan,
    SpeechEnded,
    SpeechSegmenter,
    VadOptions,
)
from ditto_avatar.types import Int16Array, Language, joined


async def voice(text: str, language: Language = Language.ENGLISH) -> Int16Array:
    async with EspeakEngine() as engine:
        chosen = next(v for v in engine.voices() if v.language is language)
        samples = joined([chunk async for chunk in engine.speak(text, chosen)]).samples
    return (samples * 30_000).astype(np.int16)


def silence(seconds: float) -> Int16Array:
    noise = np.random.default_rng(1).normal(0, 15, round(seconds * 16_000))
    return noise.astype(np.int16)


class Levels:
    """Takes the loudness for the probability: what sounds is speech."""

    def probability(self, step: Int16Array) -> float:
        return float(np.abs(step).max() > 1000)


def beep(ms: int) -> Int16Array:
    return np.full(16 * ms, 8000, np.int16)


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Could you tell me how this works, please?", Language.ENGLISH),
        ("이 프로그램이 어떻게 작동하는지 알려 주세요.", Language.KOREAN),
    ],
)
async def test_a_sentence_between_silence_is_found(text: str, language: Language) -> None:
    said = await voice(text, language)
    stream = np.concatenate([silence(1.0), said, silence(1.5)])
    events = SpeechSegmenter().push(stream)
    assert [type(event) for event in events] == [SpeechBegan, SpeechEnded]
    ended = events[1]
    assert isinstance(ended, SpeechEnded)
    assert abs(ended.start - 16_000) < 8_000
    assert abs(len(ended.samples) - len(said)) < 16_000
    assert np.array_equal(ended.samples, stream[ended.start : ended.start + len(ended.samples)])


@pytest.mark.parametrize(
    "sound",
    [
        silence(3.0),
        (np.sin(np.arange(48_000) / 16_000 * 2 * np.pi * 1000) * 8000).astype(np.int16),
        np.where(np.arange(48_000) % 8_000 < 60, 20_000, 0).astype(np.int16),
        (np.random.default_rng(2).normal(0, 2000, 48_000)).astype(np.int16),
    ],
    ids=["silence", "tone", "clicks", "noise"],
)
def test_what_is_no_voice_is_not_found(sound: Int16Array) -> None:
    assert SpeechSegmenter().push(sound) == []


@pytest.mark.parametrize("size", [100, 512, 1_600, 7_001])
async def test_pieces_of_any_size_give_the_same(size: int) -> None:
    stream = np.concatenate([silence(0.5), await voice("Hello there, presenter."), silence(1.2)])
    whole = SpeechSegmenter().push(stream)
    segmenter = SpeechSegmenter()
    parts = [stream[at : at + size] for at in range(0, len(stream), size)]
    events = [event for part in parts for event in segmenter.push(part)]
    assert [(type(e), e.start) for e in events] == [(type(e), e.start) for e in whole]


def test_less_than_the_shortest_speech_is_none() -> None:
    segmenter = SpeechSegmenter(Levels())
    assert segmenter.push(np.concatenate([beep(256), silence(1.0)])) == []
    (began,) = segmenter.push(beep(352))
    # Told in steps of 32 ms.
    assert abs(began.start - 16 * 1256) <= STEP_SAMPLES
    assert segmenter.speaking


def test_a_pause_within_a_sentence_does_not_end_it() -> None:
    stream = np.concatenate([beep(512), silence(0.5), beep(512), silence(1.0)])
    events = SpeechSegmenter(Levels()).push(stream)
    assert [type(event) for event in events] == [SpeechBegan, SpeechEnded]


def test_endless_speech_is_cut() -> None:
    segmenter = SpeechSegmenter(Levels(), VadOptions(longest_ms=2_000))
    events = segmenter.push(beep(5_000))
    ends = [event for event in events if isinstance(event, SpeechEnded)]
    assert len(ends) == 2
    assert not any(end.whole for end in ends)
    assert sum(len(end.samples) for end in ends) <= 5 * 16_000


def test_switching_the_microphone_off_ends_the_speech() -> None:
    segmenter = SpeechSegmenter(Levels())
    segmenter.push(beep(640))
    (ended,) = segmenter.finish()
    assert isinstance(ended, SpeechEnded)
    assert len(ended.samples) == 16 * 640
    assert segmenter.finish() == []


def test_silence_is_not_kept() -> None:
    segmenter = SpeechSegmenter(Levels(), VadOptions(margin_ms=100))
    segmenter.push(silence(60))
    events = segmenter.push(np.concatenate([beep(480), silence(1)]))
    ended = events[-1]
    assert isinstance(ended, SpeechEnded)
    assert len(ended.samples) < 16_000


def test_samples_of_another_kind_are_refused() -> None:
    with pytest.raises(InvalidInput, match="int16"):
        SpeechSegmenter(Levels()).push(np.zeros(512, np.float32))
