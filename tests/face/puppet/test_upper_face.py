"""A face that lives: emotions, accents, nods, blinks."""

from __future__ import annotations

import numpy as np
import pytest

from ditto_avatar.face.puppet.arkit import INDEX, indices
from ditto_avatar.face.puppet.upper_face import UpperFace
from ditto_avatar.types import Emotion, FloatArray, Phoneme

SMILE = INDEX["mouthSmileLeft"]
BLINK = INDEX["eyeBlinkLeft"]


def live(
    life: UpperFace,
    frames: range,
    emotion: Emotion = Emotion.NEUTRAL,
    intensity: float = 1.0,
    spoken: tuple[Phoneme, ...] = (),
) -> tuple[FloatArray, FloatArray]:
    """Offsets (n, 52) and head (n, 3), knowing three frames ahead."""
    faces, heads = [], []
    for frame in frames:
        horizon = (frame + 4) * 640
        known = [p for p in spoken if p.start < horizon]
        face, head = life.step(frame, horizon, known, emotion, intensity)
        faces.append(face)
        heads.append(head)
    return np.stack(faces), np.stack(heads)


def test_a_calm_face_is_still() -> None:
    faces, heads = live(UpperFace(), range(200))
    assert not faces.any()
    assert not heads.any()


def test_an_emotion_comes_within_300_ms_and_without_a_jump() -> None:
    faces, _ = live(UpperFace(), range(12), Emotion.HAPPY)
    smile = faces[:, SMILE]
    assert smile[0] < 0.1
    assert smile[8] == pytest.approx(0.5, abs=1e-3)
    assert (np.diff(smile) >= 0).all()
    assert np.diff(smile).max() < 0.12


def test_half_the_intensity_is_half_the_emotion() -> None:
    full, _ = live(UpperFace(), range(20), Emotion.SAD)
    half, _ = live(UpperFace(), range(20), Emotion.SAD, 0.5)
    assert np.allclose(full[-1] / 2, half[-1], atol=1e-5)


def test_one_emotion_turns_into_the_next_smoothly() -> None:
    life = UpperFace()
    happy, _ = live(life, range(5), Emotion.HAPPY)
    sad, _ = live(life, range(5, 20), Emotion.SAD)
    assert np.abs(sad[0] - happy[-1]).max() < 0.15
    assert sad[-1, SMILE] == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize("emotion", [e for e in Emotion if e is not Emotion.NEUTRAL])
def test_every_emotion_shows(emotion: Emotion) -> None:
    faces, _ = live(UpperFace(), range(20), emotion)
    assert faces[-1].max() > 0.3
    assert faces.min() >= 0


def test_brows_and_head_mark_a_stressed_vowel() -> None:
    stressed = Phoneme("a", 12_800, 16_000, stressed=True)
    faces, heads = live(UpperFace(), range(60), spoken=(stressed,))
    assert faces[:, INDEX["browInnerUp"]].argmax() == pytest.approx(20 + 4, abs=3)
    assert heads[:, 0].max() > 0.5
    assert faces[-1].max() == pytest.approx(0, abs=1e-6)


def test_not_every_stress_is_marked() -> None:
    stresses = tuple(Phoneme("a", k * 4_800, k * 4_800 + 3_000, True) for k in range(1, 10))
    faces, _ = live(UpperFace(), range(90), spoken=stresses)
    brows = faces[:, INDEX["browInnerUp"]]
    assert (
        (brows[1:-1] > brows[:-2]) & (brows[1:-1] >= brows[2:]) & (brows[1:-1] > 0.1)
    ).sum() <= 4


def test_the_head_dips_at_the_end_of_a_sentence_and_is_back_in_its_tail() -> None:
    spoken = tuple(Phoneme("a", 3_200 + k * 3_200, 6_400 + k * 3_200) for k in range(10))
    _, heads = live(UpperFace(), range(62), spoken=spoken)
    end = 6_400 + 9 * 3_200
    assert heads[end // 640 - 3 : end // 640 + 2, 0].max() > 0.5
    assert heads[end // 640 + 3 :, 0].max() == pytest.approx(0, abs=1e-6)


def test_added_blinks_are_short_and_a_few_seconds_apart() -> None:
    faces, _ = live(UpperFace(eyes=True), range(1_500))
    shut = faces[:, BLINK] > 0.8
    begins = np.flatnonzero(shut[1:] & ~shut[:-1])
    assert 10 <= len(begins) <= 25
    assert np.diff(begins).min() > 50
    assert shut.sum() <= 3 * len(begins) + 3


def test_added_glances_are_small_and_both_eyes_agree() -> None:
    faces, _ = live(UpperFace(eyes=True), range(600))
    looks = [*indices("eyeLookIn"), *indices("eyeLookOut")]
    assert 0 < faces[:, looks].max() < 0.2
    left = faces[:, INDEX["eyeLookOutLeft"]] - faces[:, INDEX["eyeLookInLeft"]]
    right = faces[:, INDEX["eyeLookInRight"]] - faces[:, INDEX["eyeLookOutRight"]]
    assert np.allclose(left, right)
