"""Takes emotion tags and markup off an answer while it streams.

A model is asked to begin every sentence with a tag such as ``[happy]``. Nobody ever hears or
sees one: a tag that is known sets the emotion, one that is misspelt means neutral.
"""

from __future__ import annotations

import re

from ditto_avatar.dialogue.directions import is_direction
from ditto_avatar.dialogue.emotion_names import (
    find_emotion,
    is_tag,
    leading_name,
    may_become_known,
    named_anywhere,
)
from ditto_avatar.dialogue.sentences import TERMINATORS
from ditto_avatar.types import Emotion

_CLOSING_OF = {"[": "]", "(": ")", "{": "}", "<": ">"}
_LONGEST_TAG = 32
_LONGEST_DIRECTION = 80
_LONGEST_LINK = 300
# Emoji and their joiners may stand beside the name.
_TAG_INSIDE = re.compile(
    r"[ \u2600-\u27bf\U0001f300-\U0001faff\ufe0f]*"
    r"(?:[^\W\d_][\w \-:=,/|'’\u200d\u2600-\u27bf\U0001f300-\U0001faff\ufe0f]*)?"
)
_DIRECTION_MARKS = "*_"
_ENDINGS = TERMINATORS | frozenset("\"'”’)]}»」』\n\r")


class EmotionFilter:
    """Feed it pieces; it gives back clean text (`str`) and, in between, an `Emotion` wherever a
    tag stood. The result does not depend on how the answer was cut into pieces."""

    def __init__(self) -> None:
        self._held = ""
        self._last = ""
        self._line_is_empty = True
        self._sentence_start = True
        self._after_tag = False
        self._tags = 0

    def feed(self, piece: str) -> list[str | Emotion]:
        """What is certain after `piece`, neighbouring text joined."""
        found: list[str | Emotion] = []
        for character in piece:
            self._step(character, found)
        return _joined(found)

    def flush(self) -> list[str | Emotion]:
        """The answer has ended: what was held back, without an unfinished tag."""
        found: list[str | Emotion] = []
        held, self._held = self._held, ""
        if held.startswith("[") and "]" in held:
            self._end_bracket(held, found)
        elif held and held[0] in _CLOSING_OF:
            if not (self._sentence_start and held[0] == "[") and not _unfinished(held):
                self._emit(held, found)
        elif held[:1] in _DIRECTION_MARKS and len(held) > 1 and set(held) != {"*"}:
            self._emit(held[1:], found)
        elif held and not set(held) <= set("*#"):
            self._emit(held, found)
        return _joined(found)

    def _step(self, character: str, found: list[str | Emotion]) -> None:
        if not self._held:
            if self._begins_mark(character):
                self._held = character
            else:
                self._emit(character, found)
            return
        if self._held[0] in _CLOSING_OF:
            self._in_bracket(character, found)
        elif self._held[0] == "#":
            self._in_heading(character, found)
        elif len(self._held) > 1 and set(self._held) != {"*"}:
            self._in_direction(character, found)
        elif self._held == "_":
            self._after_underscore(character, found)
        else:
            self._after_stars(character, found)

    def _begins_mark(self, character: str) -> bool:
        if character in "[*":
            return True
        if character == "_":
            return self._sentence_start or self._after_tag
        # Other brackets hold words of the sentence, unless it begins with them.
        return self._begins_heading(character) or (
            character in _CLOSING_OF and self._sentence_start
        )

    def _begins_heading(self, character: str) -> bool:
        return character == "#" and self._line_is_empty

    def _in_heading(self, character: str, found: list[str | Emotion]) -> None:
        if character == "#" and len(self._held) < 6:
            self._held += character
            return
        held, self._held = self._held, ""
        if character in " \t":
            return
        self._emit(held, found)
        self._step(character, found)

    def _after_stars(self, character: str, found: list[str | Emotion]) -> None:
        """Emphasis goes, as do stars around a tag; a product such as "3 * 4" and a power such as
        "2**3" stay, and one at the beginning of a line is the bullet of a list."""
        stars, last = self._held, self._last
        if character == "*" and len(stars) < 3:
            self._held += character
            return
        if stars == "*" and self._sentence_start and _may_begin_direction(character):
            self._held += character
            return
        self._held = ""
        if len(stars) > 1:
            power = last.isalnum() or last == ")"
            if stars == "**" and power and (character.isdigit() or character in "(-"):
                self._emit(stars, found)
        elif (last.isdigit() or (last == " " and not self._line_is_empty)) and (
            character == " " or character.isdigit()
        ):
            self._emit("*", found)
        elif self._line_is_empty and character == " " and not self._after_tag:
            self._emit("-", found)
        self._step(character, found)

    def _after_underscore(self, character: str, found: list[str | Emotion]) -> None:
        """An underscore around a tag goes; others stay."""
        if self._sentence_start and not self._after_tag and _may_begin_direction(character):
            self._held += character
            return
        self._held = ""
        if not (character == "[" or (self._after_tag and character.isspace())):
            self._emit("_", found)
        self._step(character, found)

    def _in_direction(self, character: str, found: list[str | Emotion]) -> None:
        """``*smiles warmly*`` is no word of the answer; what else stands between marks is."""
        held = self._held
        mark = held[0]
        if character == mark:
            self._held = ""
            if is_direction(held[1:]):
                self._tag(named_anywhere(held[1:]), found)
            else:
                self._emit(held[1:] if mark == "*" else f"{held}_", found)
            return
        if character not in "\n*[" and len(held) < _LONGEST_DIRECTION:
            self._held += character
            return
        self._held = ""
        self._emit(held[1:] if mark == "*" else held, found)
        self._step(character, found)

    def _in_bracket(self, character: str, found: list[str | Emotion]) -> None:
        opening = self._held[0]
        if "]" in self._held:
            self._behind_bracket(character, found)
            return
        if character == _CLOSING_OF[opening]:
            self._close_bracket(found)
            return
        inside = self._held[1:] + character
        if (inside == " " or _TAG_INSIDE.fullmatch(inside)) and len(inside) <= _LONGEST_TAG:
            if opening == "[" or may_become_known(inside):
                self._held += character
                return
        if opening == "(" and _may_begin_direction(inside[:1]) and character not in "\n([{<":
            if len(inside) < _LONGEST_DIRECTION:
                self._held += character
                return
        held, self._held = self._held, ""
        if opening == "[" and self._sentence_start and (name := leading_name(held[1:])):
            # "[happy I am glad": the bracket was never closed; what follows the name is kept.
            self._tag(named_anywhere(name), found)
            held = held[1:].lstrip()[len(name) :]
        for kept in held:
            self._emit(kept, found)
        self._step(character, found)

    def _close_bracket(self, found: list[str | Emotion]) -> None:
        held, self._held = self._held, ""
        emotion = find_emotion(held[1:])
        if emotion is not None:
            self._tag(emotion, found)
        elif held[0] == "(" and is_direction(held[1:]):
            self._tag(named_anywhere(held[1:]), found)
        elif held[0] == "[":
            # The next character tells whether this is a link.
            self._held = held + "]"
        else:
            self._emit(held + _CLOSING_OF[held[0]], found)

    def _behind_bracket(self, character: str, found: list[str | Emotion]) -> None:
        """``[words](address)`` is shown as its words."""
        held = self._held
        if held[-1] == "]" and character == "(":
            self._held = held + "("
            return
        if "](" in held:
            if character == ")":
                self._held = ""
                self._emit(held[1 : held.index("]")], found)
                return
            if not character.isspace() and character != "[" and len(held) < _LONGEST_LINK:
                self._held = held + character
                return
        self._held = ""
        self._end_bracket(held, found)
        self._step(character, found)

    def _end_bracket(self, held: str, found: list[str | Emotion]) -> None:
        """A bracket with something else in it: a misspelt or invented tag where one belongs, or
        text. A model that tags its sentences may invent a tag, in lower case like the others."""
        inside = held[1 : held.index("]")]
        invented = self._tags > 0 and inside.isalpha() and inside == inside.lower()
        if "](" not in held and self._sentence_start and (is_tag(inside) or invented):
            self._tag(named_anywhere(inside), found)
        else:
            self._emit(held, found)

    def _tag(self, emotion: Emotion, found: list[str | Emotion]) -> None:
        found.append(emotion)
        self._after_tag = True
        self._tags += 1

    def _emit(self, text: str, found: list[str | Emotion]) -> None:
        for character in text:
            if character == "`":
                continue
            if self._after_tag:
                if character in " \t:" and (not self._last or self._last.isspace()):
                    continue
                self._after_tag = False
            if character.isspace():
                # A sentence may begin after a space only if something ended before it.
                if character in "\n\r":
                    self._line_is_empty = True
                    self._sentence_start = True
            else:
                self._line_is_empty = False
                self._sentence_start = character in _ENDINGS
            self._last = character
            found.append(character)


def _may_begin_direction(character: str) -> bool:
    return character.islower() or "가" <= character <= "힣"


def _unfinished(held: str) -> bool:
    return len(held) > 1 and may_become_known(held[1:])


def _joined(found: list[str | Emotion]) -> list[str | Emotion]:
    joined: list[str | Emotion] = []
    for item in found:
        if isinstance(item, Emotion) or not joined or isinstance(joined[-1], Emotion):
            joined.append(item)
        else:
            joined[-1] = f"{joined[-1]}{item}"
    return joined
