"""Split a form (multipart/form-data, RFC 7578) into its parts as it arrives. No I/O."""

from __future__ import annotations

from collections.abc import Iterator
from email import message_from_bytes
from email.message import Message
from enum import Enum, auto
from typing import Final

from ditto_avatar.errors import InvalidInput

_LONGEST_HEAD: Final = 4 * 1024
# RFC 2046: a boundary has at most so many characters.
_LONGEST_BOUNDARY: Final = 70
_LINE: Final = b"\r\n"


class _State(Enum):
    BEFORE = auto()
    DELIMITED = auto()
    HEAD = auto()
    BODY = auto()
    AFTER = auto()


class FormReader:
    """Reads one form. It keeps no more than one head, or one boundary, of what it was given."""

    def __init__(self, content_type: str, *, most_parts: int = 8) -> None:
        """Read a form with the header `content_type`. Raises `InvalidInput` where that is of no
        form."""
        self._delimiter = _LINE + b"--" + _boundary(content_type)
        # The first boundary stands at the beginning, without the line's end before it.
        self._held = bytearray(_LINE)
        self._state = _State.BEFORE
        self._name = ""
        self._names: set[str] = set()
        self._most_parts = most_parts

    def feed(self, data: bytes) -> Iterator[tuple[str, bytes]]:
        """Yield the name of each part that `data` belongs to, and what it has of it: at least once
        for a part, maybe without a byte. Raises `InvalidInput`."""
        self._held += data
        while self._state is not _State.AFTER:
            if self._state in (_State.BEFORE, _State.BODY):
                piece, ended = self._until_delimiter()
                if self._state is _State.BODY and (piece or ended):
                    yield self._name, piece
                if not ended:
                    return
                self._state = _State.DELIMITED
            elif not self._read_head():
                return
        self._held.clear()

    def finish(self) -> None:
        """Raise `InvalidInput` where the form is not complete."""
        if self._state is not _State.AFTER:
            raise InvalidInput("The form ends in the middle.")

    def _until_delimiter(self) -> tuple[bytes, bool]:
        at = self._held.find(self._delimiter)
        ended = at >= 0
        if not ended:
            # The beginning of a boundary may lie at the end.
            at = max(len(self._held) - len(self._delimiter) + 1, 0)
        if self._state is _State.BEFORE and at:
            raise InvalidInput("Expected a form that begins with its boundary.")
        piece = bytes(self._held[:at])
        del self._held[: at + (len(self._delimiter) if ended else 0)]
        return piece, ended

    def _read_head(self) -> bool:
        """Read what stands between a boundary and a part; False where more must come first."""
        if self._state is _State.DELIMITED:
            if len(self._held) < len(_LINE):
                return False
            if self._held.startswith(b"--"):
                self._state = _State.AFTER
                return True
            if not self._held.startswith(_LINE):
                raise InvalidInput("Expected the end of a line after a boundary of the form.")
            self._state = _State.HEAD
        end = self._held.find(2 * _LINE)
        if (len(self._held) if end < 0 else end) > _LONGEST_HEAD:
            raise InvalidInput("The head of a part of the form is too long.")
        if end < 0:
            return False
        self._begin(_name(bytes(self._held[len(_LINE) : end])))
        del self._held[: end + 2 * len(_LINE)]
        self._state = _State.BODY
        return True

    def _begin(self, name: str) -> None:
        if name in self._names:
            raise InvalidInput("Two parts of the form have the same name.")
        if len(self._names) == self._most_parts:
            raise InvalidInput("The form has too many parts.")
        self._names.add(name)
        self._name = name


def _boundary(content_type: str) -> bytes:
    head = Message()
    head["Content-Type"] = content_type
    boundary = head.get_boundary()
    if head.get_content_type() != "multipart/form-data" or boundary is None:
        raise InvalidInput("Expected a form (multipart/form-data).")
    if not 1 <= len(boundary) <= _LONGEST_BOUNDARY or not boundary.isascii():
        raise InvalidInput("The boundary of the form cannot be used.")
    return boundary.encode()


def _name(head: bytes) -> str:
    name = message_from_bytes(head).get_param("name", header="content-disposition")
    if not isinstance(name, str):
        raise InvalidInput("A part of the form has no name.")
    return name
