"""Takes off an answer, while it streams, what a model wrote for programs and not for people.

These are thoughts, the tokens of chat templates, turns that the model made up for others, calls of
tools, and marks of citations. Servers should keep them back; many do not, or lose only a part of
the marks.
"""

from __future__ import annotations

import re
from enum import Enum, auto

from ditto_avatar.dialogue import hidden_marks as marks

# What is held back at most because it is probably a thought that was never opened.
_MOST_HELD = 20_000
# A line that has more in it than the tag of its sentence.
_BEHIND_WORDS = re.compile(r"^\s*(?:\[[^\]]*\]\s*)?[^\s\[]")
# Behind the mark of a citation an index may follow.
_INDEX_BEGINS = re.compile(r"(?:\{[a-z=]*\d*)?")


class _State(Enum):
    SHOWN = auto()
    THOUGHT = auto()
    TOOL = auto()
    HEADER = auto()
    OTHERS = auto()
    BARE = auto()


class HiddenFilter:
    """Feed it pieces; it gives back what people may see.

    A thought whose opening is missing is known by its closing only. It is held back from the
    beginning where `unmarked` says that this model thinks so, or where it begins as thoughts do;
    otherwise what was given out before stays out, and `unmarked` is set for the next answer.
    Marks within inline code and code fences are kept, but for the tokens of templates.
    """

    def __init__(self, *, unmarked: bool = False) -> None:
        self.unmarked = unmarked
        self._state = _State.SHOWN
        self._text = ""
        self._shown: list[str] = []
        self._line = ""
        self._said_anything = False
        self._fenced = False
        self._closed_any = False
        # Whether the beginning is held back, as a thought that lacks its opening; None until known.
        self._musing: bool | None = True if unmarked else None
        # What ends the call of a tool, and how many thoughts were opened within a thought.
        self._tool_ends = ""
        self._nested = 0

    def feed(self, piece: str) -> str:
        """What is certain to be shown after `piece`."""
        self._text += piece
        return self._run(final=False)

    def flush(self) -> str:
        """The answer has ended: what was held back, without a thought that was never closed."""
        return self._run(final=True)

    def _run(self, *, final: bool) -> str:
        self._shown = []
        while self._text and self._step(final=final):
            pass
        return "".join(self._shown)

    def _step(self, *, final: bool) -> bool:
        """Decide about the beginning of the text; False when more characters are needed."""
        if self._state is _State.SHOWN:
            return self._in_shown(final=final)
        if self._state is _State.HEADER:
            return self._in_header(final=final)
        return self._in_hidden(final=final)

    # What is shown -----------------------------------------------------------------------------

    def _in_shown(self, *, final: bool) -> bool:
        if not self._said_anything and self._musing is not False:
            verdict = self._at_beginning(final=final)
            if verdict is not None:
                return verdict
        found = marks.CANDIDATE.search(self._text)
        if found is None:
            self._show(len(self._text))
            return False
        if found.start():
            self._show(found.start())
            return True
        return self._at_candidate(final=final)

    def _at_beginning(self, *, final: bool) -> bool | None:
        """Hold back what may be a thought without an opening; None when it is none."""
        text = self._text
        bare = marks.BARE_CHANNEL.match(text)
        if bare is not None:
            self._text, self._state = text[bare.end() :], _State.BARE
            return True
        if self._musing is None and not final:
            start = text.lstrip().lower()
            if any(mark.startswith(start) for mark in marks.BARE_MARKS):
                return False
            muses = marks.MUSING.match(text) is not None
            if not muses and len(start) < marks.MUSING_WITHIN and marks.may_muse(start):
                return False
            self._musing = muses
        if not self._musing:
            self._musing = False
            return None
        closing = marks.closing_of_thought(text)
        if closing is not None:
            self._text = text[closing:].lstrip()
            self.unmarked |= not self._closed_any
            self._nested = max(0, self._nested - 1)
            self._closed_any, self._musing = True, True if self._nested else None
            return True
        first = text.lstrip()[:1]
        tagged = first == "[" or (first == "<" and marks.opening_of_thought(text))
        if final or tagged or len(text) > _MOST_HELD:
            # It is an answer after all: one with a tag as it was asked for, or an odd beginning.
            self._musing = False
            return None
        return False

    def _at_candidate(self, *, final: bool) -> bool:
        """The text begins with a character that opens a mark, perhaps."""
        if (verdict := self._aside(final=final)) is not None:
            return verdict
        for handle in (self._piped, self._named, self._called, self._bracketed):
            if handle():
                return True
        match = None if self._within_code else marks.CITATION.match(self._text)
        if match is not None and (final or not _INDEX_BEGINS.fullmatch(self._text, match.end())):
            self._text = self._text[match.end() :]
            return True
        if match is not None:
            return False  # the mark may go on
        if not final and marks.may_become_mark(self._text):
            return False
        self._show(1)
        return True

    def _piped(self) -> bool:
        """A token such as ``<|im_end|>``."""
        match = marks.PIPED.match(self._text)
        if match is None:
            return False
        name = (match[1] or match[2]).strip("/").lower()
        closes = "/" in (match[1] or match[2])
        self._text = self._text[match.end() :]
        if name.startswith("tool") and name.endswith("begin"):
            self._state, self._tool_ends = _State.TOOL, match[0].replace("begin", "end")
        else:
            self._token(name, closes=closes)
        return True

    def _aside(self, *, final: bool) -> bool | None:
        """A line such as ``<status>searching</status>``; None where there is none."""
        match = marks.NAMED.match(self._text)
        if match is None or match[1] or match[2].lower() not in marks.ASIDES:
            return None
        if _BEHIND_WORDS.search(self._line) or self._within_code:
            return None
        closing = f"</{match[2]}>"
        end = self._text.find(closing, 0, marks.LONGEST_ASIDE)
        if end < 0:
            return None if final or len(self._text) > marks.LONGEST_ASIDE else False
        self._text = self._text[end + len(closing) :]
        return True

    def _called(self) -> bool:
        """The call of a tool, as Llama and Mistral write it."""
        if self._within_code:
            return False
        if (match := marks.CALLS.match(self._text)) and match[0].endswith("\n"):
            self._text = self._text[match.end() :]
            return True
        if match is not None:
            self._state, self._tool_ends, self._text = _State.TOOL, "\n", ""
            return True
        if (match := marks.FUNCTION.match(self._text)) is None:
            return False
        self._state, self._tool_ends = _State.TOOL, "</function>"
        self._text = self._text[match.end() :]
        return True

    def _named(self) -> bool:
        """A mark such as ``<think>`` or ``</s>``."""
        match = marks.NAMED.match(self._text)
        if match is None:
            return False
        closing, name, rest = match[1] == "/", marks.plain(match[2]), match[3] or ""
        if marks.NUMBERED.fullmatch(name):
            self._text = self._text[match.end() :]
            return True
        if name not in marks.NAMES or self._within_code:
            return False
        if name == "details" and "reasoning" not in rest:
            return False
        self._text = self._text[match.end() :]
        if match[0].endswith("/>"):
            return True  # opened and closed at once: there is nothing in it
        if name in marks.THOUGHTS or name == "details":
            self._thought(closing=closing)
        elif name in marks.TOOLS and not closing:
            self._state, self._tool_ends = _State.TOOL, f"</{match[2]}>"
        elif name in marks.TOKENS:
            self._token(name, closes=closing)
        return True

    def _bracketed(self) -> bool:
        match = marks.BRACKETED.match(self._text)
        triangles = marks.TRIANGLES.match(self._text)
        if match is None and triangles is None:
            return False
        if self._within_code:
            return False
        if triangles is not None:
            self._text = self._text[triangles.end() :]
            self._thought(closing=bool(triangles[1]))
        elif match is not None:
            self._text = self._text[match.end() :]
            closing = bool(match[1] or match[3])
            if (match[2] or "").upper() == "THINK":
                self._thought(closing=closing)
            else:
                self._state = _State.SHOWN if closing else _State.OTHERS
        return True

    def _token(self, name: str, *, closes: bool) -> None:
        if name in marks.HEADERS and not closes:
            self._state = _State.HEADER
        elif name in marks.OPENS_THOUGHT and not closes:
            self._thought(closing=False)
        elif name in marks.CLOSES_THOUGHT or (closes and name in marks.OPENS_THOUGHT):
            self._thought(closing=True)
        elif name == "user":
            self._state = _State.OTHERS
        elif name in marks.ENDS_TURN and marks.OTHERS_TURN.match(self._text):
            self._state = _State.OTHERS

    def _thought(self, *, closing: bool) -> None:
        if not closing:
            self._state = _State.THOUGHT
            return
        # The thought had no opening, or it was lost: all before was a part of it.
        if not self._closed_any:
            self.unmarked = True
            self._shown.clear()
            self._said_anything = False
        self._closed_any = True

    # What is not -------------------------------------------------------------------------------

    def _in_header(self, *, final: bool) -> bool:
        end = marks.HEADER_ENDS.search(self._text)
        if end is None and len(self._text) < marks.LONGEST_HEADER and not final:
            return False
        header = self._text[: end.start()] if end else self._text[: marks.LONGEST_HEADER]
        self._text = self._text[end.end() :] if end else ""
        # An empty header before a channel: the channel says what comes.
        hidden = marks.NOT_THE_ANSWER.search(header) is not None
        self._state = _State.OTHERS if hidden else _State.SHOWN
        return True

    def _in_hidden(self, *, final: bool) -> bool:
        end = self._end_of_hidden()
        if end is not None:
            self._text = self._text[end:]
            return True
        # Only what may become the end is kept.
        begin = max(self._text.rfind(mark) for mark in "<[◁")
        if self._state is _State.BARE:
            begin = max(0, len(self._text) - len("assistantfinal"))
        kept = self._text[begin:] if begin >= 0 else ""
        self._text = kept if len(kept) <= marks.LONGEST_TAG else ""
        return False

    def _end_of_hidden(self) -> int | None:
        """Where what is hidden ends in the text, with the state that follows."""
        text = self._text
        if self._state is _State.BARE:
            if match := marks.BARE_FINAL.search(text):
                self._state = _State.SHOWN
                return match.end()
            return None
        if self._state is _State.TOOL:
            if (at := text.find(self._tool_ends)) >= 0:
                self._state = _State.SHOWN
                return at + len(self._tool_ends)
            return None
        for match in re.finditer(r"<|\[|◁", text):
            end = self._hidden_mark(match.start())
            if end is not None:
                return end
        return None

    def _hidden_mark(self, at: int) -> int | None:
        """The end of a mark at `at` that ends a thought or another's turn; None for others."""
        text = self._text
        if piped := marks.PIPED.match(text, at):
            name = (piped[1] or piped[2]).lower()
            if piped[2] and name in marks.HEADERS:
                return self._closed(piped.end())
            if name in marks.HEADERS:
                self._state = _State.HEADER
                return piped.end()
            if name in marks.BEGINS_ANSWER or name in {"assistant", "/assistant"}:
                self._state = _State.SHOWN
                return piped.end()
            if name in marks.CLOSES_THOUGHT or (
                name in marks.ENDS_TURN and self._state is _State.OTHERS
            ):
                return self._closed(piped.end())
            return None
        if self._state is _State.OTHERS:
            match = marks.BRACKETED.match(text, at)
            if match is not None and (match[1] or match[3]):
                self._state = _State.SHOWN
                return match.end()
            return self._header_in_words(at)
        if named := marks.NAMED.match(text, at):
            name = marks.plain(named[2])
            if named[1] and (name in marks.THOUGHTS or name == "details"):
                return self._closed(named.end())
            if name in marks.THOUGHTS and not named[0].endswith("/>"):
                self._nested += 1
                return named.end()
            if not named[1] and name in {"answer", "final", "final_answer"}:
                return self._closed(named.end())
            return None
        for pattern in (marks.BRACKETED, marks.TRIANGLES):
            if (match := pattern.match(text, at)) and match[1]:
                return self._closed(match.end())
        return None

    def _header_in_words(self, at: int) -> int | None:
        opening = "<start_of_turn>"
        if not self._text.startswith(opening, at):
            return None
        self._state = _State.HEADER
        return at + len(opening)

    def _closed(self, end: int) -> int:
        self._state, self._closed_any = _State.SHOWN, True
        if self._nested:
            # A thought within a thought may have ended, or one that only spoke of the mark: what
            # comes is held back until another closing, or the end, tells.
            self._musing, self._said_anything = True, False
        return end

    # Giving out --------------------------------------------------------------------------------

    @property
    def _within_code(self) -> bool:
        return self._fenced or self._line.count("`") % 2 == 1

    def _show(self, count: int) -> None:
        """Give out the first `count` characters; nothing but spaces is no beginning."""
        text, self._text = self._text[:count], self._text[count:]
        if not self._said_anything:
            text = text.lstrip()
        if not text:
            return
        self._said_anything = True
        self._shown.append(text)
        *lines, last = (self._line + text).split("\n")
        for line in lines:
            if line.lstrip().startswith(("```", "~~~")):
                self._fenced = not self._fenced
        self._line = last
