"""A person interrupts; the presenter's own sound from the loudspeaker does not."""

from __future__ import annotations

import numpy as np
import pytest

from ditto_avatar.speech.barge_in import barges_in, echoes_words, is_echo
from ditto_avatar.speech.espeak import EspeakEngine
from ditto_avatar.types import FloatArray, joined


async def speech(text: str, voice: int = 0) -> FloatArray:
    async with EspeakEngine() as engine:
        chunks = [chunk async for chunk in engine.speak(text, engine.voices()[voice])]
    return joined(chunks).samples


PRESENTER = "The kitchen is open until nine, and after that there is only the bar downstairs."


async def heard_echo(
    start: int, length: int, gain: float
) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    """What comes back from the room: late, quiet, with reverberation and noise."""
    played = await speech(PRESENTER)
    room = np.zeros(2400)
    room[[0, 700, 1500, 2300]] = [1.0, 0.4, 0.2, 0.1]
    echo = np.convolve(played, room)[start : start + length] * gain
    noise = np.random.default_rng(3).normal(0, 0.001, len(echo))
    return ((echo + noise) * 32767).astype(np.int16)


@pytest.mark.parametrize("gain", [0.05, 0.3, 1.0])
@pytest.mark.parametrize("start", [3_000, 20_000])
async def test_the_presenters_own_sound_is_an_echo(start: int, gain: float) -> None:
    heard = await heard_echo(start, 16_000, gain)
    played = (await speech(PRESENTER))[max(0, start - 8_000) : start + 20_000]
    assert is_echo(heard, played)
    assert not barges_in(heard, played)


@pytest.mark.parametrize("words", ["Wait, I have another question!", "No no, stop it please."])
async def test_another_voice_barges_in(words: str) -> None:
    person = (await speech(words, voice=2))[:12_800]
    heard = (person * 30_000).astype(np.int16)
    played = (await speech(PRESENTER))[8_000:36_000]
    assert barges_in(heard, played)


async def test_less_than_300_ms_never_does() -> None:
    person = (await speech("No!", voice=2))[:4_700]
    assert not barges_in((person * 30_000).astype(np.int16), np.zeros(0, np.float32))


async def test_when_nothing_plays_nothing_is_an_echo() -> None:
    person = ((await speech("Hello?", voice=2)) * 30_000).astype(np.int16)
    assert not is_echo(person, np.zeros(0, np.float32))
    assert not is_echo(person, np.zeros(64_000, np.float32))


@pytest.mark.parametrize(
    ("transcript", "spoken", "echo"),
    [
        ("is open until nine", PRESENTER, True),
        ("kitchen is hoping until nine and", PRESENTER, True),
        ("Stop, what about breakfast?", PRESENTER, False),
        ("", PRESENTER, True),
        ("그래픽카드도 키도 필요 없어요", "그래픽 카드도 키도 따로 필요 없어요.", True),
        ("잠깐만 기다려 봐", "그래픽 카드도 키도 따로 필요 없어요.", False),
    ],
)
def test_words_that_the_presenter_says_are_an_echo(
    transcript: str, spoken: str, echo: bool
) -> None:
    assert echoes_words(transcript, spoken) is echo
