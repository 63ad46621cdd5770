"""Neighbouring sounds share the mouth."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from ditto_avatar.face.puppet.coarticulation import REACH, blend, gestures, pauses
from ditto_avatar.face.puppet.visemes import VOWELS, Channel
from ditto_avatar.types import FloatArray, Phoneme


def word(*sounds: tuple[str, int]) -> list[Phoneme]:
    """Phonemes one after the other from 200 ms on, lengths in ms."""
    ends = np.cumsum([200, *(length for _, length in sounds)])
    return [
        Phoneme(symbol, int(start) * 16, int(end) * 16)
        for (symbol, _), start, end in zip(sounds, ends[:-1], ends[1:], strict=True)
    ]


def channels(phonemes: list[Phoneme], count: int = 40) -> FloatArray:
    """The channels (count, 8) of the first frames."""
    asked = [gesture for phoneme in phonemes for gesture in gestures(phoneme)]
    asked += pauses(phonemes, -REACH, count * 640 + REACH)
    return np.stack([blend(frame, asked) for frame in range(count)])


@pytest.mark.parametrize("length", [25, 40, 60, 120])
@pytest.mark.parametrize("symbol", ["m", "b", "p", "f", "v"])
@pytest.mark.parametrize("shift", [0, 7, 13, 21, 34])
def test_lips_close_however_short_the_sound(symbol: str, length: int, shift: int) -> None:
    phonemes = word(("a", 130 + shift), (symbol, length), ("a", 160))
    made = channels(phonemes)
    closed = made[:, Channel.CLOSE if symbol in "mbp" else Channel.BITE]
    first, last = phonemes[1].start // 640 - 1, phonemes[1].end // 640
    assert closed[first : last + 1].max() > 0.95
    # And not much longer than the sound lasts.
    assert (closed > 0.5).sum() <= length / 40 + 2.5


def test_the_mouth_opens_between_two_closures() -> None:
    made = channels(word(("b", 70), ("a", 120), ("b", 70)))
    vowel = made[(200 + 70) // 40 : (200 + 190) // 40 + 1]
    assert vowel[:, Channel.CLOSE].min() < 0.1
    assert vowel[:, Channel.JAW].max() > 0.5


def test_lips_round_before_the_round_vowel_sounds() -> None:
    made = channels(word(("s", 100), ("u", 200)))
    at_the_s = int((200 + 50) / 40)
    assert made[at_the_s, Channel.ROUND] > 0.2
    assert channels(word(("s", 100), ("i", 200)))[at_the_s, Channel.ROUND] < 0.05


def test_the_jaw_anticipates_the_vowel() -> None:
    made = channels(word(("t", 90), ("a", 200)))
    alone = channels(word(("t", 90), ("i", 200)))
    at_the_t = int((200 + 60) / 40)
    assert made[at_the_t, Channel.JAW] > alone[at_the_t, Channel.JAW] + 0.05


def test_silence_closes_the_mouth_within_120_ms() -> None:
    made = channels(word(("a", 300)))
    end = 500 // 40
    assert made[end - 3, Channel.JAW] > 0.5
    assert made[end + 3 :, Channel.JAW].max() < 0.08


def test_the_mouth_waits_for_the_first_sound() -> None:
    made = channels(word(("a", 300)))
    assert made[: (200 - 120) // 40, Channel.JAW].max() < 0.05


def test_a_pause_inside_a_sentence_closes_the_mouth() -> None:
    first = word(("a", 200))
    second = [Phoneme("a", 700 * 16, 900 * 16)]
    made = channels([*first, *second])
    assert made[550 // 40, Channel.JAW] < 0.1


@pytest.mark.parametrize("pair", list(itertools.islice(itertools.product("aiuoɯ", "ptksmf"), 30)))
def test_channels_stay_in_range_and_move_without_jumps(pair: tuple[str, str]) -> None:
    vowel, consonant = pair
    made = channels(word((vowel, 120), (consonant, 80), (vowel, 150)))
    assert made.min() >= 0
    assert made.max() <= 1
    smooth = [Channel.JAW, Channel.ROUND, Channel.FUNNEL, Channel.WIDE]
    assert np.abs(np.diff(made[:, smooth], axis=0)).max() < 0.65


def test_nothing_known_is_a_mouth_at_rest() -> None:
    assert not blend(3, []).any()


def test_diphthongs_have_two_targets() -> None:
    made = gestures(Phoneme("aɪ", 0, 3_200))
    assert len(made) == 2
    assert made[0].end < made[1].start
    assert "a" in VOWELS
