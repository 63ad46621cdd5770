"""A sentence has silence around it and lasts a whole number of frames."""

from __future__ import annotations

import numpy as np
import pytest

from ditto_avatar.speech.espeak import EspeakEngine
from ditto_avatar.speech.utterance import LEAD_SAMPLES, TAIL_SAMPLES, utterance
from ditto_avatar.types import SAMPLES_PER_FRAME, SpeechChunk, joined

VOICE = EspeakEngine().voices()[0]


async def speak(text: str) -> list[SpeechChunk]:
    async with EspeakEngine() as engine:
        return [chunk async for chunk in utterance(engine, text, VOICE)]


@pytest.mark.parametrize("text", ["Hi.", "One two three.", "A somewhat longer sentence, I think."])
async def test_it_lasts_whole_frames_with_silence_around(text: str) -> None:
    speech = joined(await speak(text))
    assert len(speech.samples) % SAMPLES_PER_FRAME == 0
    assert not speech.samples[:LEAD_SAMPLES].any()
    assert not speech.samples[-TAIL_SAMPLES:].any()
    assert np.abs(speech.samples).max() > 0.2


async def test_phonemes_move_with_the_lead() -> None:
    async with EspeakEngine() as engine:
        alone = joined([chunk async for chunk in engine.speak("Moon.", VOICE)])
    framed = joined(await speak("**Moon.** 😀"))
    assert [p.start for p in framed.phonemes] == [p.start + LEAD_SAMPLES for p in alone.phonemes]


async def test_it_comes_in_several_chunks() -> None:
    assert len(await speak("This is long enough to be heard in parts.")) > 3


@pytest.mark.parametrize("text", ["", "😀", "...", "\n**\n"])
async def test_nothing_to_say_gives_no_sound(text: str) -> None:
    assert await speak(text) == []
