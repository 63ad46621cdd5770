"""Pack files into a ZIP while it is sent."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import zipfile
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any, Self

from ditto_avatar.media.collected import CollectedBytes

_CHUNK_BYTES = 256 * 1024


class Archive:
    """Write a ZIP that is read meanwhile. One caller at a time; every method returns the bytes that
    are ready, and all but `add_file` block."""

    def __init__(self) -> None:
        self._written = CollectedBytes()
        self._zip = zipfile.ZipFile(self._written, "w")
        self._entry: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Give up what was not closed; nobody reads it any more."""
        with contextlib.suppress(ValueError, OSError):
            self.close()

    def begin(self, name: str, compression: int, size: int = 0) -> bytes:
        """End the last entry and begin another one, of `size` bytes where that is known: one of
        more than 2 GB has another head (ZIP64)."""
        self._end_entry()
        info = zipfile.ZipInfo(name)
        info.compress_type, info.file_size = compression, size
        self._entry = self._zip.open(info, "w")
        return self._written.take()

    def write(self, data: bytes) -> bytes:
        """Add to the entry that was begun."""
        self._entry.write(data)
        return self._written.take()

    async def add_file(self, name: str, path: Path) -> AsyncGenerator[bytes, None]:
        """Add the file at `path` as it is, a chunk at a time; nothing when it is gone. Closing the
        generator early is safe."""
        try:
            media = await _opened(path)
        except OSError:
            return  # removed meanwhile
        with media:
            size = os.fstat(media.fileno()).st_size
            yield await asyncio.to_thread(self.begin, name, zipfile.ZIP_STORED, size)
            while part := await asyncio.to_thread(media.read, _CHUNK_BYTES):
                yield await asyncio.to_thread(self.write, part)

    def close(self) -> bytes:
        """End the ZIP with its directory."""
        self._end_entry()
        self._zip.close()
        return self._written.take()

    def _end_entry(self) -> None:
        if self._entry is not None:
            self._entry.close()
            self._entry = None


async def _opened(path: Path) -> io.BufferedReader:
    """Open a file; one that is open when its task is cancelled is closed."""
    opening = asyncio.create_task(asyncio.to_thread(path.open, "rb"))
    try:
        return await asyncio.shield(opening)
    except asyncio.CancelledError:
        opening.add_done_callback(_close)
        raise


def _close(opening: asyncio.Task[io.BufferedReader]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()
