"""Collect what a library writes into a file, to be sent while it goes on writing."""

from __future__ import annotations

import io
from typing import Any


class CollectedBytes(io.RawIOBase):
    """A file that only grows, whose bytes are taken out after every step. Not thread-safe."""

    def __init__(self) -> None:
        self._data = bytearray()

    def writable(self) -> bool:
        """Return True: libraries ask."""
        return True

    def write(self, data: Any) -> int:
        """Append bytes, or anything that is a buffer of them."""
        self._data += data
        return len(data)

    def take(self) -> bytes:
        """Return what was written since the last call."""
        taken, self._data = bytes(self._data), bytearray()
        return taken
