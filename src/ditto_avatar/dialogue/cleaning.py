"""Text that came in pieces from elsewhere, made fit to be shown, stored and sent on."""

from __future__ import annotations

import re

_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_HALVES = re.compile(r"[\ud800-\udfff]")


class TextCleaner:
    """Join UTF-16 halves and drop control characters; only line breaks and tabs stay.

    Servers that cut text by UTF-16 put the halves of one character into two pieces. A half that
    stays alone could not be encoded any more, for no message and no database: it becomes U+FFFD.
    The result does not depend on how the text was cut into pieces.
    """

    def __init__(self) -> None:
        self._held = ""

    def feed(self, piece: str) -> str:
        """Clean what is certain after `piece`."""
        text, self._held = self._held + _CONTROLS.sub("", piece), ""
        if "\ud800" <= text[-1:] <= "\udbff":
            text, self._held = text[:-1], text[-1]
        return joined_halves(text)

    def flush(self) -> str:
        """The text has ended: clean what was held back."""
        held, self._held = self._held, ""
        return joined_halves(held)


def joined_halves(text: str) -> str:
    """Join the UTF-16 halves in `text`; one that is alone becomes U+FFFD."""
    if _HALVES.search(text) is None:
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
