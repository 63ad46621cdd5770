"""Keep drawn segments: the same words, voice, emotion, face and engine again cost nothing.

A segment is kept under the hash of what made it. The same sentence may be kept several times with
different first pictures: a sentence in the middle of an answer has to continue the pose of the one
before it exactly, the first sentence of an answer may begin anywhere, since the page fades into it.

Each session has a folder of its own, and only the server's own sentences are in `SHARED`, which
all sessions read. A shared cache would tell by its speed whether somebody else said a sentence;
and the sentences of one session could not be removed when that session is erased.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import re
import shutil
import threading
import wave
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ditto_avatar import __version__
from ditto_avatar.clock import AgeClock
from ditto_avatar.errors import StorageFull
from ditto_avatar.media.clip import write_wav, write_whole
from ditto_avatar.media.fragments import Fragment, FragmentSplitter
from ditto_avatar.types import SAMPLES_PER_FRAME, FloatArray

log = logging.getLogger(__name__)

SHARED = "shared"
"""The scope of sentences that come from the server itself, never from a person."""

_NAME = re.compile(r"([0-9a-f]{40})\.(\d+)\.(\d+)\.m4s")
# A cancelled turn may still be writing a segment when its session is erased: erased scopes are
# remembered for longer than any write takes.
_ERASED_REMEMBERED = 10_000


@dataclass(frozen=True, slots=True)
class SegmentMedia:
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


@dataclass(frozen=True, slots=True)
class CacheKey:
    """The name of a segment: whose it is (a session's id, or `SHARED`), and the hash of what made
    it."""

    scope: str
    digest: str


def cache_key(scope: str, **made_from: str) -> CacheKey:
    """Name what this version of the package makes from these values."""
    text = json.dumps({"version": __version__, **made_from}, sort_keys=True, ensure_ascii=False)
    return CacheKey(scope, hashlib.sha256(text.encode()).hexdigest()[:40])


@dataclass(slots=True, eq=False)
class _Entry:
    """A segment on disk. `path` is its pictures, `used_at` when it was read last, in seconds."""

    path: Path
    first_frame: int
    last_frame: int
    size: int
    used_at: float

    @property
    def shared(self) -> bool:
        return self.path.parent.name == SHARED


class SegmentCache:
    """Keep segments on disk, in one folder for each scope: a session's id, or `SHARED`.

    Beyond `max_bytes` (0 keeps none) segments of sessions are removed before shared ones, the least
    recently used first. The folder is read once; after that an index in memory answers. Safe to
    use from several threads; blocking, so call it off the event loop.
    """

    def __init__(self, folder: Path, max_bytes: int, clock: AgeClock | None = None) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._clock = clock or AgeClock()
        # Held while files change: erasing a scope waits for a segment that is being written.
        self._changing = threading.Lock()
        # Held for moments only: a lookup does not wait for the files of another segment.
        self._indexing = threading.Lock()
        self._index: dict[CacheKey, list[_Entry]] = {}
        self._bytes = 0
        self._loaded = False
        self._erased: deque[str] = deque(maxlen=_ERASED_REMEMBERED)

    def find(
        self, key: CacheKey, loop_frames: int, near: int, *, exact: bool
    ) -> SegmentMedia | None:
        """Return the segment of `key` whose first picture is nearest to idle frame `near` of a loop
        with `loop_frames`; with `exact`, only one that begins there. None if there is none."""

        def distance(entry: _Entry) -> int:
            ahead = (entry.first_frame - near) % loop_frames
            return min(ahead, loop_frames - ahead)

        for entry in sorted(self._entries(key), key=distance):
            if exact and distance(entry):
                break
            try:
                media = _read(entry)
            except (OSError, ValueError, EOFError, wave.Error):
                self._discard(key, entry)  # gone or damaged: it is drawn again
            else:
                entry.used_at = self._clock.now()
                return media
        return None

    def has(self, key: CacheKey) -> bool:
        """Return whether there is any segment of `key`, wherever it begins."""
        return bool(self._entries(key))

    def keep(self, key: CacheKey, media: SegmentMedia) -> None:
        """Store a segment, then make room. A full disk only means that it will be drawn again; a
        scope that was erased keeps nothing more."""
        if not self._max_bytes:
            return
        self._load()
        name = f"{key.digest}.{media.first_frame}.{media.last_frame}.m4s"
        path = self._folder / key.scope / name
        with self._changing:
            if key.scope in self._erased:
                return
            try:
                # The sound first: what has pictures is whole.
                write_wav(media.audio, path.with_suffix(".wav"))
                write_whole(path, lambda target: _write(target, media.stream))
                self._add(key, self._entry(path, media.first_frame, media.last_frame))
            except (StorageFull, OSError) as error:
                log.warning("a drawn sentence was not kept: %s", error)
            self._make_room()

    def erase(self, scope: str) -> None:
        """Remove all segments of a session, and keep none of it from now on. Returns when no file
        of it is left. Raises `OSError` when one cannot be removed."""
        self._load()
        with self._changing:
            self._erased.append(scope)
            with self._indexing:
                for key in [key for key in self._index if key.scope == scope]:
                    self._bytes -= sum(entry.size for entry in self._index.pop(key))
            with contextlib.suppress(FileNotFoundError):
                shutil.rmtree(self._folder / scope)

    def expire(self, age_s: float) -> None:
        """Remove segments of sessions that were not used for `age_s` seconds."""
        self._load()
        oldest = self._clock.now() - age_s
        with self._changing:
            self._remove_while(lambda entry: not entry.shared and entry.used_at < oldest)

    def clear_unfinished(self) -> None:
        """Remove what a process that was killed had not finished: temporary files, and sounds
        without their pictures; call before serving. Files outside any scope go as well: earlier
        versions kept everybody's segments together."""
        with self._changing:
            for path in _files(self._folder):
                if path.is_dir() and not path.is_symlink():
                    _clear_scope(path)
                else:
                    _remove(path)
        self._load()
        with self._changing:
            self._make_room()

    def _entries(self, key: CacheKey) -> list[_Entry]:
        self._load()
        with self._indexing:
            return list(self._index.get(key, ()))

    def _load(self) -> None:
        """Read the folder, the first time."""
        with self._indexing:
            if self._loaded:
                return
            self._loaded = True
            for path in self._folder.glob("*/*.m4s") if self._folder.is_dir() else ():
                if (match := _NAME.fullmatch(path.name)) is not None:
                    with contextlib.suppress(OSError):  # half of a segment, or a link to nowhere
                        entry = self._entry(path, int(match[2]), int(match[3]))
                        key = CacheKey(path.parent.name, match[1])
                        self._index.setdefault(key, []).append(entry)
                        self._bytes += entry.size

    def _entry(self, path: Path, first_frame: int, last_frame: int) -> _Entry:
        pictures, sound = path.stat(), path.with_suffix(".wav").stat()
        size = pictures.st_size + sound.st_size
        return _Entry(path, first_frame, last_frame, size, pictures.st_mtime)

    def _add(self, key: CacheKey, entry: _Entry) -> None:
        with self._indexing:
            others = self._index.setdefault(key, [])
            for known in [known for known in others if known.path == entry.path]:
                others.remove(known)  # the same sentence from the same pose, written over
                self._bytes -= known.size
            others.append(entry)
            self._bytes += entry.size

    def _drop(self, key: CacheKey, entry: _Entry) -> bool:
        """Take `entry` out of the index; whether it was there."""
        with self._indexing:
            others = self._index.get(key, [])
            if entry not in others:
                return False
            others.remove(entry)
            self._bytes -= entry.size
            if not others:
                del self._index[key]
            return True

    def _discard(self, key: CacheKey, entry: _Entry) -> None:
        with self._changing:
            if self._drop(key, entry):
                _remove_files(entry)

    def _make_room(self) -> None:
        if self._bytes > self._max_bytes:
            self._remove_while(lambda _: self._bytes > self._max_bytes)

    def _remove_while(self, wanted: Callable[[_Entry], bool]) -> None:
        """Remove segments that are `wanted` away, asked for one by one: those of sessions first,
        the least recently used first."""
        with self._indexing:
            known = [(key, entry) for key, entries in self._index.items() for entry in entries]
        known.sort(key=lambda found: (found[1].shared, found[1].used_at))
        for key, entry in known:
            if wanted(entry) and _remove_files(entry):
                self._drop(key, entry)


def _files(folder: Path) -> Iterable[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []


def _clear_scope(folder: Path) -> None:
    for path in _files(folder):
        half = path.suffix == ".wav" and not path.with_suffix(".m4s").exists()
        if path.suffix == ".part" or half:
            _remove(path)
    with contextlib.suppress(OSError):  # it has segments
        folder.rmdir()


def _remove_files(entry: _Entry) -> bool:
    """Remove both files of a segment; return whether they are gone. The pictures go first: a
    segment is found by them."""
    gone = all([_remove(path) for path in (entry.path, entry.path.with_suffix(".wav"))])
    with contextlib.suppress(OSError):  # others are in it
        entry.path.parent.rmdir()
    return gone


def _remove(path: Path) -> bool:
    """Remove a file; return whether it is gone. The log says why not."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        log.warning("a drawn sentence could not be removed: %s", error)
        return False
    return True


def _read(entry: _Entry) -> SegmentMedia:
    splitter = FragmentSplitter()
    fragments = splitter.feed(entry.path.read_bytes(), end=True)
    with wave.open(str(entry.path.with_suffix(".wav"))) as file:
        pcm = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    os.utime(entry.path)  # used now
    audio = pcm.astype(np.float32) / np.float32(32767)
    return SegmentMedia(tuple(fragments), audio, entry.first_frame, entry.last_frame)


def _write(path: Path, data: bytes) -> None:
    path.write_bytes(data)
