"""Cut a fragmented MP4 byte stream into what a player appends at once.

A stream is ``ftyp moov (moof mdat)* [mfra]`` (ISO/IEC 14496-12, box = 32-bit size, type, body).
The first `Fragment` carries the header boxes as well.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

_HEADER = struct.Struct(">I4s")
_HEADER_BYTES = _HEADER.size


@dataclass(frozen=True, slots=True)
class Fragment:
    """Bytes that begin at a keyframe and may be appended on their own."""

    index: int
    data: bytes


def header_of(first: Fragment) -> bytes:
    """Return the header boxes that the first fragment carries: with them in front, every other
    fragment is a stream of its own."""
    at = 0
    while True:
        size, kind = _HEADER.unpack_from(first.data, at)
        if kind == b"moof":
            return first.data[:at]
        at += size


class FragmentSplitter:
    """Take what the muxer wrote, and give whole fragments."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._pending = bytearray()
        self._count = 0

    def feed(self, data: bytes, *, end: bool = False) -> list[Fragment]:
        """Return the complete fragments in `data` and what was left before. At the `end` the index
        of the fragments (``mfra``) is dropped: a live player has no use for it."""
        self._buffer += data
        fragments: list[Fragment] = []
        while (box := self._next_box()) is not None:
            kind, body = box
            if kind == b"mfra":
                continue
            self._pending += body
            if kind == b"mdat":
                fragments.append(Fragment(self._count, bytes(self._pending)))
                self._pending.clear()
                self._count += 1
        if end and self._buffer:
            raise ValueError(f"the stream ends within a box, {len(self._buffer)} bytes are left")
        return fragments

    def _next_box(self) -> tuple[bytes, bytes] | None:
        if len(self._buffer) < _HEADER_BYTES:
            return None
        size, kind = _HEADER.unpack_from(self._buffer)
        if size < _HEADER_BYTES:
            raise ValueError(f"box {kind!r} has the size {size}; 64-bit sizes are not written live")
        if len(self._buffer) < size:
            return None
        body = bytes(self._buffer[:size])
        del self._buffer[:size]
        return kind, body
