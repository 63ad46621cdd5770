"""Split a form (multipart/form-data, RFC 7578) into its parts as it arrives. No I/O."""

from __future__ import annotations

from typing import Final

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from ditto_avatar.errors import InvalidInput

_LONGEST_HEADER: Final = 4 * 1024


class FormReader:
    """Read one form. It keeps no more than one header of what it was given."""

    def __init__(self, content_type: str, *, most_parts: int = 8) -> None:
        """Read a form with the header `content_type`. Raises `InvalidInput` where that is of no
        form."""
        kind, options = parse_options_header(content_type)
        if kind != b"multipart/form-data" or not options.get(b"boundary"):
            raise InvalidInput("Expected a form (multipart/form-data).")
        self._most_parts = most_parts
        self._names: list[str] = []
        self._name: str | None = None
        self._header, self._value = bytearray(), bytearray()
        self._pieces: list[tuple[str, bytes]] = []
        self._complete = False
        try:
            self._parser = MultipartParser(
                options[b"boundary"],
                {
                    "on_part_begin": self._begin_part,
                    "on_header_begin": self._begin_header,
                    "on_header_field": self._take_header,
                    "on_header_value": self._take_value,
                    "on_header_end": self._end_header,
                    "on_headers_finished": self._begin_body,
                    "on_part_data": self._take_body,
                    "on_end": self._end,
                },
                max_header_size=_LONGEST_HEADER,
            )
        except FormParserError:
            raise InvalidInput("The boundary of the form cannot be used.") from None

    def feed(self, data: bytes) -> list[tuple[str, bytes]]:
        """Return the name of each part that `data` belongs to, and what it has of it: at least once
        for a part, maybe without a byte. Raises `InvalidInput`."""
        self._pieces = []
        try:
            self._parser.write(data)
        except FormParserError:
            raise InvalidInput("The form cannot be read: it is damaged.") from None
        return self._pieces

    def finish(self) -> None:
        """Raise `InvalidInput` where the form is not complete."""
        if not self._complete:
            raise InvalidInput("The form ends in the middle.")

    def _begin_part(self) -> None:
        self._name = None

    def _begin_header(self) -> None:
        self._header.clear()
        self._value.clear()

    def _take_header(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _take_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        if self._header.lower() == b"content-disposition":
            _, options = parse_options_header(bytes(self._value))
            self._name = options.get(b"name", b"").decode(errors="replace") or None

    def _begin_body(self) -> None:
        if self._name is None:
            raise InvalidInput("A part of the form has no name.")
        if self._name in self._names:
            raise InvalidInput("Two parts of the form have the same name.")
        if len(self._names) == self._most_parts:
            raise InvalidInput("The form has too many parts.")
        self._names.append(self._name)
        self._pieces.append((self._name, b""))

    def _take_body(self, data: bytes, start: int, end: int) -> None:
        self._pieces.append((self._names[-1], data[start:end]))

    def _end(self) -> None:
        self._complete = True
