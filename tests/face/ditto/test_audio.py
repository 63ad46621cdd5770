"""Speech features against the reference, and the same however the sound comes."""

from __future__ import annotations

import numpy as np
import pytest

from ditto_avatar.face.ditto.audio import FEATURES, SoundWindows, features, silence, wanted_rows
from tests.face.ditto.reference import FloatArray, distance, golden, normal

SLOPE = np.linspace(0.5, 1.5, FEATURES)


def encode(window: FloatArray) -> FloatArray:
    """Encode like the golden files' stand-in: row i is the mean of 400 samples from 320 i on."""
    means = np.array([window[320 * i : 320 * i + 400].mean() for i in range(20)])
    return wanted_rows((means[:, None] * SLOPE).astype(np.float32))


def rows_of(windows: list[FloatArray], owed: int | None = None) -> FloatArray:
    return np.concatenate([np.zeros((0, FEATURES), np.float32), *map(encode, windows)])[:owed]


def wave(seconds: float) -> FloatArray:
    return 0.1 * normal(f"wave{seconds}", int(16_000 * seconds))


@pytest.mark.parametrize("seconds", [0.9, 3.217])
def test_a_recording_gives_the_reference_features(seconds: float) -> None:
    rows = features(encode, wave(seconds))
    expected = golden("geometry_audio")[f"audio_features_{seconds}"]
    assert len(rows) == len(expected)
    assert distance(rows[:, ::64], expected) < 1e-5


@pytest.mark.parametrize("size", [1, 160, 640, 3_199, 3_200, 20_000, 100_000])
def test_pieces_of_any_size_give_the_same_features(size: int) -> None:
    sound = wave(0.9) if size == 1 else wave(3.217)
    stream = SoundWindows()
    rows = [rows_of(stream.push(sound[i : i + size])) for i in range(0, len(sound), size)]
    rows.append(rows_of(*stream.finish()))
    assert np.array_equal(np.concatenate(rows), features(encode, sound))


def test_a_frame_is_known_two_frames_after_its_window() -> None:
    stream = SoundWindows()
    assert not stream.push(np.zeros(7 * 640 - 1, np.float32))
    assert len(rows_of(stream.push(np.zeros(1, np.float32)))) == 5


def test_looking_ahead_on_a_copy_leaves_the_stream_alone() -> None:
    sound, stream = wave(3.217), SoundWindows()
    rows = [rows_of(stream.push(sound[:20_000]))]
    assert len(rows[0]) + len(rows_of(*stream.copy().finish())) == 32
    rows += [rows_of(stream.push(sound[20_000:])), rows_of(*stream.finish())]
    assert np.array_equal(np.concatenate(rows), features(encode, sound))


def test_no_sound_has_no_features() -> None:
    assert features(encode, np.zeros(0, np.float32)).shape == (0, FEATURES)


def test_silence_has_as_many_rows_as_asked_for() -> None:
    assert silence(encode, 70).shape == (70, FEATURES)
    assert not silence(encode, 7).any()
