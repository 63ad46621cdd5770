"""Every sentence of a voice is as loud as the others, whatever its first word is."""

from __future__ import annotations

import numpy as np
import pytest

from ditto_avatar.speech.neural.sound import Finish, Loudness, Take
from ditto_avatar.types import FloatArray

RATE_HZ = 22_050


def tone(seconds: float, peak: float) -> FloatArray:
    times = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    return (peak * np.sin(2 * np.pi * 200 * times)).astype(np.float32)


def take(sound: FloatArray, *, begins: bool = True, ends: bool = True) -> Take:
    return Take(sound, (), ".", 0.0, begins, ends)


def level(sound: FloatArray) -> float:
    return float(np.sqrt((sound[np.abs(sound) > 1e-3].astype(np.float64) ** 2).mean()))


def test_a_loud_first_word_does_not_make_a_later_sentence_quieter() -> None:
    loudness = Loudness()
    loudness.add(tone(5.0, 0.2), RATE_HZ)
    finish = Finish(RATE_HZ, loudness)
    finish.finish(take(tone(0.5, 0.4)))
    rest, _ = finish.finish(take(tone(3.0, 0.2)))
    # The first word alone would halve it.
    assert level(rest) == pytest.approx(0.099, rel=0.2)


def test_without_anything_said_before_the_first_take_decides() -> None:
    sound, _ = Finish(RATE_HZ).finish(take(tone(1.0, 0.5)))
    assert level(sound) == pytest.approx(0.099, rel=0.05)


def test_pieces_of_a_take_meet_without_a_step_and_only_its_ends_are_trimmed() -> None:
    whole = np.concatenate(
        [np.zeros(9_000, np.float32), tone(2.0, 0.3), np.zeros(9_000, np.float32)]
    )
    finish = Finish(RATE_HZ)
    made = [
        finish.finish(take(whole[:20_000], ends=False))[0],
        finish.finish(take(whole[20_000:40_000], begins=False, ends=False))[0],
        finish.finish(take(whole[40_000:], begins=False))[0],
    ]
    sound = np.concatenate(made)
    expected, _ = Finish(RATE_HZ).finish(take(whole))
    assert len(sound) == pytest.approx(len(expected), abs=RATE_HZ // 100)
    assert len(made[1]) == 20_000
    assert np.abs(np.diff(sound)).max() < 1.5 * np.abs(np.diff(expected)).max()
