"""Sentences that were drawn before: the same words, voice, emotion, face and engine again cost
nothing.

A take is kept under the hash of what made it. The same sentence may be kept several times with
different first pictures: a sentence in the middle of an answer has to continue the pose of the one
before it exactly, the first sentence of an answer may begin anywhere, since the page fades into it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import re
import threading
import wave
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ditto_avatar import __version__
from ditto_avatar.errors import StorageFull
from ditto_avatar.media.clip import write_wav, write_whole
from ditto_avatar.media.fragments import Fragment, FragmentSplitter
from ditto_avatar.types import SAMPLES_PER_FRAME, FloatArray

log = logging.getLogger(__name__)

_NAME = re.compile(r"([0-9a-f]{40})\.(\d+)\.(\d+)\.m4s")


@dataclass(frozen=True, slots=True)
class Take:
    """A finished sentence: its fragments, its samples (n,) at 16 kHz, and the idle frames of its
    first and last picture."""

    fragments: tuple[Fragment, ...]
    audio: FloatArray
    first_frame: int
    last_frame: int

    @property
    def frames(self) -> int:
        """How many pictures it has."""
        return len(self.audio) // SAMPLES_PER_FRAME

    @property
    def stream(self) -> bytes:
        """The complete fragmented MP4."""
        return b"".join(fragment.data for fragment in self.fragments)


def take_key(**made_from: str) -> str:
    """The name of what this version of the package makes from these values."""
    text = json.dumps({"version": __version__, **made_from}, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:40]


class TakeCache:
    """Takes on disk, the least recently used removed beyond `max_bytes` (0 keeps none).
    Blocking: call it off the event loop."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        # Several performers keep takes at once, each in its own thread.
        self._changing = threading.Lock()

    def find(self, key: str, loop_frames: int, near: int, *, exact: bool) -> Take | None:
        """The take of `key` whose first picture is nearest to idle frame `near` of a loop with
        `loop_frames`; with `exact`, only one that begins there. None if there is none."""
        found = []
        for path in self._folder.glob(f"{key}.*.m4s") if self._folder.is_dir() else ():
            if (match := _NAME.fullmatch(path.name)) is not None:
                first, last = int(match[2]), int(match[3])
                distance = (first - near) % loop_frames
                found.append((min(distance, loop_frames - distance), first, last, path))
        for distance, first, last, path in sorted(found):
            if exact and distance:
                break
            with contextlib.suppress(OSError, ValueError, EOFError, wave.Error):
                return _read(path, first, last)
        return None

    def has(self, key: str) -> bool:
        """Whether there is any take of `key`, wherever it begins."""
        return any(self._folder.glob(f"{key}.*.m4s"))

    def keep(self, key: str, take: Take) -> None:
        """Store a take, then make room. A full disk only means that it will be drawn again."""
        if not self._max_bytes:
            return
        path = self._folder / f"{key}.{take.first_frame}.{take.last_frame}.m4s"
        with self._changing:
            try:
                # The sound first: a take is found by its pictures, so it is whole when it is found.
                write_wav(take.audio, path.with_suffix(".wav"))
                write_whole(path, lambda target: _write(target, take.stream))
            except StorageFull as error:
                log.warning("a drawn sentence was not kept: %s", error)
            try:
                self._make_room()
            except OSError:
                log.exception("no room could be made for drawn sentences")

    def clear_unfinished(self) -> None:
        """Remove what a process that was killed had not finished: temporary files, and sounds
        without their pictures; call before serving."""
        with self._changing:
            for path in _files(self._folder):
                half = path.suffix == ".wav" and not path.with_suffix(".m4s").exists()
                if path.suffix == ".part" or half:
                    _remove(path)
            self._make_room()

    def _make_room(self) -> None:
        """Remove the takes that were not used for longest, until the rest fits."""
        sizes: dict[str, int] = {}
        used: dict[str, float] = {}
        for path in _files(self._folder):
            with contextlib.suppress(OSError):  # gone meanwhile
                stat = path.stat()
                sizes[path.stem] = sizes.get(path.stem, 0) + stat.st_size
                if path.suffix == ".m4s":
                    used[path.stem] = stat.st_mtime
        total = sum(sizes.values())
        for take in sorted(used, key=lambda name: used[name]):
            if total <= self._max_bytes:
                break
            # The pictures first: a take is found by them.
            if all([_remove(self._folder / f"{take}{suffix}") for suffix in (".m4s", ".wav")]):
                total -= sizes[take]


def _files(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []


def _remove(path: Path) -> bool:
    """Whether it is gone; if not, the log says why."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        log.warning("a drawn sentence could not be removed: %s", error)
        return False
    return True


def _read(path: Path, first_frame: int, last_frame: int) -> Take:
    splitter = FragmentSplitter()
    fragments = splitter.feed(path.read_bytes(), end=True)
    with wave.open(str(path.with_suffix(".wav"))) as file:
        pcm = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    os.utime(path)  # used now
    return Take(
        tuple(fragments), pcm.astype(np.float32) / np.float32(32767), first_frame, last_frame
    )


def _write(path: Path, data: bytes) -> None:
    path.write_bytes(data)
