"""Let fragments of a stream that was begun anew go on where an earlier one ended.

Boxes and their fields are those of ISO/IEC 14496-12: `moov/trak/tkhd` and `mdia/mdhd` say the
number and the time scale of a track, `moof/traf/tfhd` and `tfdt` the track and the time of a
fragment.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from fractions import Fraction

_HEADER = struct.Struct(">I4s")
_U32 = struct.Struct(">I")
_U64 = struct.Struct(">Q")
_PARENTS = {b"moov", b"trak", b"mdia", b"moof", b"traf"}


class FragmentMover:
    """Move the fragments of one stream to `seconds` later, and leave its header out."""

    def __init__(self, seconds: Fraction) -> None:
        self._seconds = seconds
        self._scales: dict[int, int] = {}

    def move(self, data: bytes) -> bytes:
        """Return fragment `data` moved. The first one must bring the header. Raises `ValueError`
        for anything else than whole boxes."""
        kept = bytearray()
        for kind, start, end in _boxes(data, 0, len(data)):
            box = bytearray(data[start:end])
            if kind == b"moov":
                self._read_scales(box)
            elif kind == b"moof":
                self._move(box)
            if kind not in (b"ftyp", b"moov"):
                kept += box
        return bytes(kept)

    def _read_scales(self, moov: bytearray) -> None:
        track = 0
        for kind, start, _ in _leaves(moov):
            wide = moov[start + 8] == 1
            if kind == b"tkhd":
                track = _U32.unpack_from(moov, start + (28 if wide else 20))[0]
            elif kind == b"mdhd":
                self._scales[track] = _U32.unpack_from(moov, start + (28 if wide else 20))[0]

    def _move(self, moof: bytearray) -> None:
        later = 0
        for kind, start, _ in _leaves(moof):
            if kind == b"tfhd":
                scale = self._scales[_U32.unpack_from(moof, start + 12)[0]]
                later = round(self._seconds * scale)
            elif kind == b"tfdt":
                number = _U64 if moof[start + 8] == 1 else _U32
                number.pack_into(moof, start + 12, number.unpack_from(moof, start + 12)[0] + later)


def _leaves(data: bytes | bytearray) -> Iterator[tuple[bytes, int, int]]:
    """Yield the boxes of a box that hold no others, in order: kind, start, end."""

    def within(start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
        for kind, first, last in _boxes(data, start, end):
            if kind in _PARENTS:
                yield from within(first + _HEADER.size, last)
            else:
                yield kind, first, last

    yield from within(0, len(data))


def _boxes(data: bytes | bytearray, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    while start < end:
        if end - start < _HEADER.size:
            raise ValueError(f"{end - start} bytes are left behind the last box")
        size, kind = _HEADER.unpack_from(data, start)
        if not _HEADER.size <= size <= end - start:
            raise ValueError(f"box {kind!r} has the size {size}, {end - start} bytes are there")
        yield kind, start, start + size
        start += size
