"""What is heard of a voice, and the mouth that it tells of."""

from __future__ import annotations

import numpy as np
import pytest

from ditto_avatar.face.puppet.audio_mouth import (
    CONTEXT,
    SILENCE,
    SoundMeter,
    VoicedFrame,
    mouth_network,
    sounded,
)
from ditto_avatar.face.puppet.visemes import Channel
from ditto_avatar.speech.espeak import EspeakEngine
from ditto_avatar.types import FloatArray, Language, Voice, joined


def measured(samples: FloatArray) -> list[VoicedFrame]:
    meter = SoundMeter()
    whole = samples[: len(samples) // 640 * 640].reshape(-1, 640)
    return [meter.measure(frame) for frame in whole]


def buzz(level: float, seconds: float = 1.0) -> FloatArray:
    time = np.arange(int(seconds * 16_000)) / 16_000
    tones = np.sum([np.sin(2 * np.pi * 130 * k * time) / k for k in range(1, 20)], axis=0)
    return np.asarray(level * tones, np.float32)


def test_silence_and_faint_noise_are_silent() -> None:
    noise = np.random.default_rng(1).normal(0, 0.0005, 16_000).astype(np.float32)
    assert all(voice.loudness == 0 for voice in measured(np.zeros(16_000, np.float32)))
    assert all(voice.loudness == 0 for voice in measured(noise))


@pytest.mark.parametrize("level", [0.02, 0.1, 0.5])
def test_a_voice_is_loud_whatever_its_level(level: float) -> None:
    assert np.mean([voice.loudness for voice in measured(buzz(level))]) > 0.9


def test_a_softer_part_is_softer() -> None:
    voices = measured(np.concatenate([buzz(0.3), buzz(0.03)]))
    assert 0 < voices[40].voiced < 0.7 * voices[20].voiced


def test_a_hiss_does_not_open_the_jaw() -> None:
    noise = np.random.default_rng(2).normal(0, 0.1, 16_000)
    hiss = np.diff(np.diff(np.diff(noise, prepend=0), prepend=0), prepend=0).astype(np.float32)
    voices = measured(np.concatenate([buzz(0.2), hiss * 0.2]))
    assert voices[40].voiced < 0.5 * voices[20].voiced


def test_a_whisper_opens_less_than_a_shout() -> None:
    channels = np.zeros(8, np.float32)
    channels[Channel.JAW] = 0.7
    jaw = [float(sounded(channels, voiced)[Channel.JAW]) for voiced in (0.0, 0.3, 1.0)]
    assert jaw[0] < jaw[1] < jaw[2]


async def test_the_ear_tells_open_closed_and_round_mouths_apart() -> None:
    speaker = Voice("en-us+m2", Language.ENGLISH, "espeak", "")
    async with EspeakEngine(140) as engine:
        chunks = engine.speak("papa, mama, boo, moo, tata, see, me.", speaker)
        spoken = joined([chunk async for chunk in chunks])
    voices = measured(spoken.samples)
    padded = [SILENCE] * CONTEXT + voices + [SILENCE] * CONTEXT
    heard = [mouth_network().channels(padded[i : i + 7]) for i in range(len(voices))]

    def mean(channel: Channel, symbols: str) -> float:
        frames = [
            heard[(p.start + p.end) // 1_280][channel]
            for p in spoken.phonemes
            if p.symbol[0] in symbols and (p.start + p.end) // 1_280 < len(heard)
        ]
        return float(np.mean(frames))

    assert mean(Channel.JAW, "aɑ") > 2 * mean(Channel.JAW, "mp")
    assert mean(Channel.CLOSE, "mb") > mean(Channel.CLOSE, "aɑiu") + 0.4
    assert mean(Channel.ROUND, "u") > mean(Channel.ROUND, "i") + 0.2
