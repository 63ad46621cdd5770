"""The voices that espeak-ng offers here, and how an emotion changes them."""

from __future__ import annotations

from dataclasses import dataclass

from ditto_avatar.types import Emotion, Language, Voice

NAME = "espeak"

VOICES = (
    Voice("en-us+f3", Language.ENGLISH, NAME, "English (US), female"),
    Voice("en-us+f2", Language.ENGLISH, NAME, "English (US), female, deeper"),
    Voice("en-us+m3", Language.ENGLISH, NAME, "English (US), male"),
    Voice("en+f3", Language.ENGLISH, NAME, "English (UK), female"),
    Voice("en+m3", Language.ENGLISH, NAME, "English (UK), male"),
    Voice("ko+f3", Language.KOREAN, NAME, "한국어, 여성"),
    Voice("ko+f2", Language.KOREAN, NAME, "한국어, 여성, 낮은 목소리"),
    Voice("ko+m3", Language.KOREAN, NAME, "한국어, 남성"),
)


@dataclass(frozen=True, slots=True)
class Prosody:
    """The rate as a factor, espeak's pitch and pitch range (0 to 100)."""

    rate: float = 1.0
    pitch: int = 50
    pitch_range: int = 50


PROSODIES = {
    Emotion.ANGRY: Prosody(1.06, 45, 70),
    Emotion.DISGUST: Prosody(0.95, 42, 45),
    Emotion.FEAR: Prosody(1.08, 58, 60),
    Emotion.HAPPY: Prosody(1.04, 56, 68),
    Emotion.NEUTRAL: Prosody(),
    Emotion.SAD: Prosody(0.9, 43, 32),
    Emotion.SURPRISE: Prosody(1.04, 60, 80),
    Emotion.CONTEMPT: Prosody(0.96, 44, 40),
}
