"""Recognise the names of emotions in tags, also those that a model misspelt or invented."""

from __future__ import annotations

import re
from difflib import get_close_matches

from ditto_avatar.dialogue.directions import is_direction
from ditto_avatar.types import Emotion

_ALIASES = {
    "anger": Emotion.ANGRY,
    "mad": Emotion.ANGRY,
    "화남": Emotion.ANGRY,
    "분노": Emotion.ANGRY,
    "disgusted": Emotion.DISGUST,
    "혐오": Emotion.DISGUST,
    "afraid": Emotion.FEAR,
    "fearful": Emotion.FEAR,
    "scared": Emotion.FEAR,
    "두려움": Emotion.FEAR,
    "공포": Emotion.FEAR,
    "happiness": Emotion.HAPPY,
    "joy": Emotion.HAPPY,
    "joyful": Emotion.HAPPY,
    "기쁨": Emotion.HAPPY,
    "행복": Emotion.HAPPY,
    "중립": Emotion.NEUTRAL,
    "sadness": Emotion.SAD,
    "슬픔": Emotion.SAD,
    "surprised": Emotion.SURPRISE,
    "놀람": Emotion.SURPRISE,
    "contemptuous": Emotion.CONTEMPT,
    "경멸": Emotion.CONTEMPT,
} | {emotion.value: emotion for emotion in Emotion}

# How much of its letters a misspelt name shares with the name (`difflib`).
_ALIKE = 0.72


def find_emotion(inside: str) -> Emotion | None:
    """Return the emotion that the words between brackets name exactly; None for other words."""
    return _ALIASES.get(_normalized(inside))


def is_tag(inside: str) -> bool:
    """Return whether words in square brackets were meant as a tag: one to three words with a name
    among them, or nearly one, or a stage direction. Other words are a part of the sentence."""
    words = re.findall(r"[^\W\d_]+", _normalized(inside))
    if not words or len(words) > 3:
        return is_direction(inside)
    named = any(word in _ALIASES for word in words)
    # A name of a person is written with a capital letter; so is a tag that shouts.
    misspelt = len(words) == 1 and bool(
        get_close_matches(words[0], _ALIASES, n=1, cutoff=_ALIKE) and len(words[0]) >= 3
    )
    return named or misspelt or is_direction(inside)


def named_anywhere(inside: str) -> Emotion:
    """Return the one emotion that a malformed tag names; neutral for none and for several."""
    named = {_ALIASES[word] for word in re.findall(r"\w+", inside.lower()) if word in _ALIASES}
    return named.pop() if len(named) == 1 else Emotion.NEUTRAL


def may_become_known(inside: str) -> bool:
    """Return whether `inside` is the beginning of an emotion's name."""
    return any(name.startswith(inside.lower().lstrip()) for name in _ALIASES)


def leading_name(inside: str) -> str:
    """Return the emotion's name that `inside` begins with; empty where it begins otherwise."""
    word = re.match(r"\s*(\w+)", inside)
    return word[1].lower() if word and word[1].lower() in _ALIASES else ""


def _normalized(inside: str) -> str:
    name = inside.strip().lower()
    return re.sub(r"^(?:emotion|감정|tone|mood)\s*[:=]\s*", "", name)
