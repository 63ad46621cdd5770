"""Finds code in an answer while it streams: it is shown, and not read out."""

from __future__ import annotations

import re
from dataclasses import dataclass

_FENCE = re.compile(r"(\s*)(`{3,}|~{3,})")
_MAY_BE_FENCE = re.compile(r"[ \t]*(?:`{0,2}|~{0,2})")
_LONGEST_INFO = 200


@dataclass(frozen=True, slots=True)
class Code:
    """A part of a code block to show, fences included; `begins` with its first part."""

    text: str
    begins: bool = False


class CodeBlocks:
    """Feed it pieces; it tells text (`str`) from `Code`. The name of the language behind an
    opening fence is left out, as it is no word of the answer."""

    def __init__(self) -> None:
        self._held = ""
        self._fence = ""
        self._line_begins = True

    def feed(self, piece: str) -> list[str | Code]:
        """What is certain after `piece`."""
        found: list[str | Code] = []
        self._held += piece
        while self._held and self._step(found):
            pass
        return found

    def flush(self) -> list[str | Code]:
        """The answer has ended: what was held back. A fence that stays open is closed."""
        held, self._held = self._held, ""
        if not self._fence:
            return [held] if held else []
        fence, self._fence = self._fence, ""
        if held.strip() == fence:
            return [Code(held)]
        return [Code(f"{held}\n{fence}")]

    def _step(self, found: list[str | Code]) -> bool:
        """Take the beginning of what is held; False when more characters are needed."""
        if not self._line_begins:
            line, mark, self._held = self._held.partition("\n")
            self._line_begins = bool(mark)
            self._give(line + mark, found)
            return True
        return self._in_fence(found) if self._fence else self._before_fence(found)

    def _before_fence(self, found: list[str | Code]) -> bool:
        match = _FENCE.match(self._held)
        if match is None:
            if _MAY_BE_FENCE.fullmatch(self._held):
                return False
            self._line_begins = False
            return True
        end = self._held.find("\n", match.end())
        info = self._held[match.end() : end if end >= 0 else None]
        if match[2] in info or len(info) > _LONGEST_INFO:
            # ```a = 1``` within a line.
            self._held = self._held[: match.start(2)] + self._held[match.end() :].replace(
                match[2], "", 1
            )
            self._line_begins = False
            return True
        if end < 0:
            return False
        self._fence = match[2]
        self._held = self._held[end + 1 :]
        found.append(Code(f"{match[2]}\n", begins=True))
        return True

    def _in_fence(self, found: list[str | Code]) -> bool:
        line, mark, rest = self._held.partition("\n")
        stripped = line.strip()
        if not mark and self._fence.startswith(stripped[: len(self._fence)]):
            return False  # perhaps the closing fence
        if stripped.startswith(self._fence) and set(stripped) == set(self._fence):
            found.append(Code(f"{self._fence}\n"))
            self._fence, self._held = "", rest
            return True
        self._line_begins = False
        return True

    def _give(self, text: str, found: list[str | Code]) -> None:
        found.append(Code(text) if self._fence else text)
