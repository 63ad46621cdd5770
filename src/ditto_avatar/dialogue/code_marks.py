"""Follow inline code and code fences through a text that comes in pieces."""

from __future__ import annotations


class CodeMarks:
    """Feed it what was shown; it knows whether the next character is code."""

    def __init__(self) -> None:
        self.line = ""
        """The last line so far."""
        self._fenced = False

    @property
    def within(self) -> bool:
        """Whether the end of the text is within inline code or a code fence."""
        return self._fenced or self.line.count("`") % 2 == 1

    def feed(self, text: str) -> None:
        """Go on by `text`."""
        *lines, last = (self.line + text).split("\n")
        for line in lines:
            if line.lstrip().startswith(("```", "~~~")):
                self._fenced = not self._fenced
        self.line = last
