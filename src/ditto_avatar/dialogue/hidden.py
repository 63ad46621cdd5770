"""Remove from a streamed answer what a model wrote for programs and not for people.

These are thoughts, the tokens of chat templates, turns that the model made up for others, calls of
tools, and marks of citations. Servers should keep them back; many do not, or lose only a part of
the marks.
"""

from __future__ import annotations

import re

from ditto_avatar.dialogue import hidden_marks as marks
from ditto_avatar.dialogue.code_marks import CodeMarks
from ditto_avatar.dialogue.hidden_ends import State, find_end

# What is held back at most because it is probably a thought that was never opened.
_MOST_HELD = 20_000
# A line that has more in it than the tag of its sentence.
_BEHIND_WORDS = re.compile(r"^\s*(?:\[[^\]]*\]\s*)?[^\s\[]")
# Behind the mark of a citation an index may follow.
_INDEX_BEGINS = re.compile(r"(?:\{[a-z=]*\d*)?")


class HiddenFilter:
    """Filter one answer, fed piece by piece.

    A thought whose opening is missing is known by its closing only. It is held back from the
    beginning where `unmarked` says that this model thinks so, or where it begins as thoughts do;
    otherwise what was given out before stays out, and `unmarked` is set for the next answer.
    Marks within inline code and code fences are kept, but for the tokens of templates.
    """

    def __init__(self, *, unmarked: bool = False) -> None:
        self.unmarked = unmarked
        self._state = State.SHOWN
        self._text = ""
        self._shown: list[str] = []
        self._code = CodeMarks()
        self._said_anything = False
        self._closed_any = False
        # Whether the beginning is held back, as a thought that lacks its opening; None until known.
        self._musing: bool | None = True if unmarked else None
        # Up to here what is held back has no closing: each piece is searched once.
        self._searched = 0
        # What ends the call of a tool, and how many thoughts were opened within a thought.
        self._tool_ends = ""
        self._nested = 0

    def feed(self, piece: str) -> str:
        """Return the text that is certain to be shown after `piece`."""
        self._text += piece
        return self._run(final=False)

    def flush(self) -> str:
        """End the answer; return what was held back, without a thought that was never closed."""
        return self._run(final=True)

    def _run(self, *, final: bool) -> str:
        self._shown = []
        while self._text and self._step(final=final):
            pass
        return "".join(self._shown)

    def _step(self, *, final: bool) -> bool:
        """Decide about the beginning of the text; False when more characters are needed."""
        if self._state is State.SHOWN:
            return self._in_shown(final=final)
        if self._state is State.HEADER:
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
            self._text, self._state = text[bare.end() :], State.BARE
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
        closing = marks.closing_of_thought(text, self._searched)
        if closing is not None:
            self._text, self._searched = text[closing:].lstrip(), 0
            self.unmarked |= not self._closed_any
            self._nested = max(0, self._nested - 1)
            self._closed_any = True
            self._musing = True if self._nested else None
            return True
        # A mark at the end may still be incomplete.
        self._searched = max(0, len(text) - marks.LONGEST_TAG)
        first = text.lstrip()[:1]
        tagged = first == "[" or (first == "<" and marks.opening_of_thought(text))
        if final or tagged or len(text) > _MOST_HELD:
            # It is an answer after all: one with a tag as it was asked for, or an odd beginning.
            self._musing = False
            return None
        return False

    def _at_candidate(self, *, final: bool) -> bool:
        """Decide about a text that begins with a possible mark."""
        if (verdict := self._aside(final=final)) is not None:
            return verdict
        for handle in (self._piped, self._named, self._called, self._bracketed):
            if handle():
                return True
        match = None if self._code.within else marks.CITATION.match(self._text)
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
        """Remove a token such as ``<|im_end|>``."""
        match = marks.PIPED.match(self._text)
        if match is None:
            return False
        name = (match[1] or match[2]).strip("/").lower()
        closes = "/" in (match[1] or match[2])
        self._text = self._text[match.end() :]
        if name.startswith("tool") and name.endswith("begin"):
            self._state, self._tool_ends = State.TOOL, match[0].replace("begin", "end")
        else:
            self._token(name, closes=closes)
        return True

    def _aside(self, *, final: bool) -> bool | None:
        """Remove a line such as ``<status>searching</status>``; None where there is none."""
        match = marks.NAMED.match(self._text)
        if match is None or match[1] or match[2].lower() not in marks.ASIDES:
            return None
        if _BEHIND_WORDS.search(self._code.line) or self._code.within:
            return None
        closing = f"</{match[2]}>"
        end = self._text.find(closing, 0, marks.LONGEST_ASIDE)
        if end < 0:
            return None if final or len(self._text) > marks.LONGEST_ASIDE else False
        self._text = self._text[end + len(closing) :]
        return True

    def _called(self) -> bool:
        """Remove the call of a tool, as Llama and Mistral write it."""
        if self._code.within:
            return False
        if (match := marks.CALLS.match(self._text)) and match[0].endswith("\n"):
            self._text = self._text[match.end() :]
            return True
        if match is not None:
            self._state, self._tool_ends, self._text = State.TOOL, "\n", ""
            return True
        if (match := marks.FUNCTION.match(self._text)) is None:
            return False
        self._state, self._tool_ends = State.TOOL, "</function>"
        self._text = self._text[match.end() :]
        return True

    def _named(self) -> bool:
        """Remove a mark such as ``<think>`` or ``</s>``."""
        match = marks.NAMED.match(self._text)
        if match is None:
            return False
        closing, name, rest = match[1] == "/", marks.plain(match[2]), match[3] or ""
        if marks.NUMBERED.fullmatch(name):
            self._text = self._text[match.end() :]
            return True
        if name not in marks.NAMES or self._code.within:
            return False
        if name == "details" and "reasoning" not in rest:
            return False
        self._text = self._text[match.end() :]
        if match[0].endswith("/>"):
            return True  # opened and closed at once: there is nothing in it
        if name in marks.THOUGHTS or name == "details":
            self._thought(closing=closing)
        elif name in marks.TOOLS and not closing:
            self._state, self._tool_ends = State.TOOL, f"</{match[2]}>"
        elif name in marks.TOKENS:
            self._token(name, closes=closing)
        return True

    def _bracketed(self) -> bool:
        match = marks.BRACKETED.match(self._text)
        triangles = marks.TRIANGLES.match(self._text)
        if match is None and triangles is None:
            return False
        if self._code.within:
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
                self._state = State.SHOWN if closing else State.OTHERS
        return True

    def _token(self, name: str, *, closes: bool) -> None:
        if name in marks.HEADERS and not closes:
            self._state = State.HEADER
        elif name in marks.OPENS_THOUGHT and not closes:
            self._thought(closing=False)
        elif name in marks.CLOSES_THOUGHT or (closes and name in marks.OPENS_THOUGHT):
            self._thought(closing=True)
        elif name == "user":
            self._state = State.OTHERS
        elif name in marks.ENDS_TURN and marks.OTHERS_TURN.match(self._text):
            self._state = State.OTHERS

    def _thought(self, *, closing: bool) -> None:
        if not closing:
            self._state = State.THOUGHT
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
        self._state = State.OTHERS if hidden else State.SHOWN
        return True

    def _in_hidden(self, *, final: bool) -> bool:
        end = find_end(self._text, self._state, self._tool_ends)
        if end is not None:
            self._text, self._state = self._text[end.at :], end.state
            self._nested += end.nests
            if end.closes:
                self._close_thought()
            return True
        # Only what may become the end is kept.
        begin = max(self._text.rfind(mark) for mark in "<[◁")
        if self._state is State.BARE:
            begin = max(0, len(self._text) - len("assistantfinal"))
        kept = self._text[begin:] if begin >= 0 else ""
        self._text = kept if len(kept) <= marks.LONGEST_TAG else ""
        return False

    def _close_thought(self) -> None:
        self._closed_any = True
        if self._nested:
            # A thought within a thought may have ended, or one that only spoke of the mark: what
            # comes is held back until another closing, or the end, tells.
            self._musing, self._said_anything, self._searched = True, False, 0

    # Giving out --------------------------------------------------------------------------------

    def _show(self, count: int) -> None:
        """Give out the first `count` characters; nothing but spaces is no beginning."""
        text, self._text = self._text[:count], self._text[count:]
        if not self._said_anything:
            text = text.lstrip()
        if not text:
            return
        self._said_anything = True
        self._shown.append(text)
        self._code.feed(text)
