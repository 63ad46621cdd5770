"""Sound files of strangers are decoded in another process."""

from __future__ import annotations

import struct
import wave
from pathlib import Path

import numpy as np
import pytest

from ditto_avatar.errors import InvalidAudio
from ditto_avatar.speech.audio_file import read_audio


def write(path: Path, rate: int, seconds: float) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        file.writeframes((8_000 * np.ones(round(seconds * rate))).astype("<i2").tobytes())
    return path


async def test_sound_comes_back_as_samples(tmp_path: Path) -> None:
    samples = await read_audio(write(tmp_path / "a.wav", 16_000, 2))
    assert samples.dtype == np.float32
    assert samples.shape == (32_000,)
    assert np.allclose(samples, 8_000 / 32_768, atol=1e-3)


async def test_a_limit_of_its_own_is_kept(tmp_path: Path) -> None:
    with pytest.raises(InvalidAudio, match=r"'a\.wav' is longer than 1 seconds"):
        await read_audio(write(tmp_path / "a.wav", 16_000, 2), longest_s=1)


async def test_what_is_no_sound_is_refused_by_its_own_sentence(tmp_path: Path) -> None:
    (tmp_path / "speech.wav").write_text("this is a text and no sound at all" * 9)
    with pytest.raises(InvalidAudio, match=r"^'speech\.wav' cannot be read as audio: "):
        await read_audio(tmp_path / "speech.wav")


async def test_a_second_that_claims_to_last_for_days_fills_no_memory(tmp_path: Path) -> None:
    data = bytearray(write(tmp_path / "slow.wav", 48_000, 20).read_bytes())
    data[24:32] = struct.pack("<II", 1, 2)  # one sample a second, two bytes a second
    (tmp_path / "slow.wav").write_bytes(data)
    with pytest.raises(InvalidAudio, match=r"'slow\.wav'"):
        await read_audio(tmp_path / "slow.wav")
