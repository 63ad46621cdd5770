"""The folder of finished clips: unguessable names, bounded by age and by total size.

A clip is ``<name>.mp4`` and ``<name>.wav``. The name has 128 random bits and is told to its own
session only, so knowing it is the right to see it.
"""

from __future__ import annotations

import contextlib
import logging
import re
import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ditto_avatar.errors import NotFound
from ditto_avatar.media.clip import write_mp4, write_wav
from ditto_avatar.types import FloatArray

log = logging.getLogger(__name__)

_NAME = re.compile(r"[A-Za-z0-9_-]{22}")
_KINDS = {"video": ".mp4", "audio": ".wav"}


@dataclass(frozen=True, slots=True)
class Clip:
    """A finished sentence on disk, with the URLs it is served under."""

    name: str

    @property
    def video_url(self) -> str:
        return f"/video/{self.name}.mp4"

    @property
    def audio_url(self) -> str:
        return f"/audio/{self.name}.wav"


class ClipFolder:
    """Stores, finds and removes clips. Blocking: call it off the event loop."""

    def __init__(self, folder: Path, *, max_age_s: float, max_bytes: int) -> None:
        self._folder = folder
        self._max_age_s = max_age_s
        self._max_bytes = max_bytes

    def store(self, stream: bytes, audio: FloatArray) -> Clip:
        """Write a complete fragmented MP4 and its samples as a clip. Raises `StorageFull`."""
        clip = Clip(secrets.token_urlsafe(16))
        try:
            write_mp4(stream, self._folder / f"{clip.name}.mp4")
            write_wav(audio, self._folder / f"{clip.name}.wav")
        except BaseException:
            with contextlib.suppress(OSError):
                self.remove([clip.name])
            raise
        return clip

    def find(self, kind: str, file_name: str) -> Path:
        """The file behind ``/video/<file_name>`` or ``/audio/<file_name>``. Raises `NotFound` for
        anything that is not the name of a clip that exists."""
        suffix = _KINDS[kind]
        stem = file_name.removesuffix(suffix)
        path = self._folder / f"{stem}{suffix}"
        if not file_name.endswith(suffix) or not _NAME.fullmatch(stem) or not path.is_file():
            raise NotFound(f"There is no {kind} clip of that name.")
        return path

    def remove(self, names: Iterable[str]) -> None:
        """Delete clips by name; those that are gone already are no error."""
        for name in names:
            for suffix in _KINDS.values():
                (self._folder / f"{name}{suffix}").unlink(missing_ok=True)

    def sweep(self) -> int:
        """Remove what is too old, and the oldest clips beyond the total size; how many files
        went."""
        if not self._folder.is_dir():
            return 0
        removed = 0
        oldest_allowed = time.time() - self._max_age_s
        files = []
        for path in self._folder.iterdir():
            stat = path.stat()
            if stat.st_mtime < oldest_allowed:
                path.unlink(missing_ok=True)
                removed += 1
            else:
                files.append((stat.st_mtime, stat.st_size, path))
        total = sum(size for _, size, _ in files)
        for _, size, path in sorted(files):
            if total <= self._max_bytes:
                break
            path.unlink(missing_ok=True)
            total -= size
            removed += 1
        if removed:
            log.info("removed %d clip files by age or size", removed)
        return removed

    def clear_unfinished(self) -> None:
        """Remove the temporary files of a process that was killed; call before serving."""
        if self._folder.is_dir():
            for path in self._folder.glob(".*.part"):
                path.unlink(missing_ok=True)
