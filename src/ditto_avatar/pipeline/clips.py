"""Keep finished clips in a folder: unguessable names, bounded by age and by total size.

A clip is ``<name>.mp4`` and ``<name>.wav``. The name has 128 random bits and is told to its own
session only, so knowing it is the right to see it. A film that is still to be signed is
``<name>.unsigned``; what credentials state is in ``<name>.json``.
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from ditto_avatar.clock import AgeClock
from ditto_avatar.credentials.statement import Statement
from ditto_avatar.errors import NotFound
from ditto_avatar.media.clip import write_mp4, write_wav, write_whole
from ditto_avatar.types import Emotion, FloatArray

log = logging.getLogger(__name__)

_NAME = re.compile(r"[A-Za-z0-9_-]{22}")
KINDS = {"video": ".mp4", "audio": ".wav"}
FILM, UNSIGNED, STATEMENT = ".mp4", ".unsigned", ".json"
# The unsigned film goes first: see `settle`.
SUFFIXES = (UNSIGNED, STATEMENT, *KINDS.values())


@dataclass(frozen=True, slots=True)
class Clip:
    """A finished segment that can be replayed: the name of its files, its place in the turn, what
    is said in it and how, its length in seconds, and the idle frames of its first and last
    picture."""

    name: str
    index: int
    text: str
    emotion: Emotion
    duration: float
    first_frame: int
    last_frame: int


class ClipFolder:
    """Store, find and remove clips. Blocking: call it off the event loop."""

    def __init__(
        self, folder: Path, *, max_age_s: float, max_bytes: int, clock: AgeClock | None = None
    ) -> None:
        self._folder = folder.absolute()
        self._max_age_s = max_age_s
        self._max_bytes = max_bytes
        self._clock = clock or AgeClock()

    def store(self, stream: bytes, audio: FloatArray, statement: Statement | None = None) -> str:
        """Write a complete fragmented MP4 and its samples under a new name; the name. With a
        `statement` the film waits for its signature. Raises `StorageFull`."""
        name = secrets.token_urlsafe(16)
        try:
            if statement is not None:
                text = json.dumps(asdict(statement))
                write_whole(self._path(name, STATEMENT), lambda path: path.write_text(text))
            write_mp4(stream, self._path(name, FILM if statement is None else UNSIGNED))
            write_wav(audio, self._path(name, KINDS["audio"]))
        except BaseException:
            with contextlib.suppress(OSError):
                self.remove([name])
            raise
        return name

    def find(self, kind: str, file_name: str) -> Path:
        """Return the file behind ``/video/<file_name>`` or ``/audio/<file_name>``. Raises
        `NotFound` for anything that is not the name of a clip that exists."""
        path = self._path(self._stem(kind, file_name), KINDS[kind])
        if not path.is_file():
            raise NotFound(f"There is no {kind} clip of that name.")
        return path

    def has(self, kind: str, file_name: str) -> bool:
        """Return whether `find` finds that file, now or once it is signed."""
        stem = self._stem(kind, file_name)
        suffixes = (FILM, UNSIGNED) if kind == "video" else (KINDS[kind],)
        return any(self._path(stem, suffix).is_file() for suffix in suffixes)

    def unsigned(self, file_name: str) -> tuple[Path, Statement] | None:
        """Return the film that waits for a signature before it becomes ``<file_name>``, with what
        is to be stated; None where none waits. Raises `NotFound` for what is no name."""
        film = self._path(self._stem("video", file_name), UNSIGNED)
        statement = self.statement(file_name)
        return (film, statement) if statement is not None and film.is_file() else None

    def statement(self, file_name: str) -> Statement | None:
        """Return what the credentials of a clip state; None for one without."""
        path = self._path(self._stem("video", file_name), STATEMENT)
        try:
            return Statement(**json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None

    @contextlib.contextmanager
    def temporary(self) -> Iterator[Path]:
        """Name a place for files that are made out of clips, ``<place>…``; they are removed at the
        end of the block, and with what a killed process left unfinished."""
        place = self._folder / f".{secrets.token_urlsafe(16)}"
        try:
            yield place
        finally:
            for path in self._folder.glob(f"{place.name}*"):
                path.unlink(missing_ok=True)

    def target(self, file_name: str) -> Path:
        """Return where a film of that name belongs."""
        return self._path(self._stem("video", file_name), FILM)

    def settle(self, file_name: str, *, signed: bool) -> None:
        """Forget the film that waited, now that the signed one is there; or put it there as it is.
        A clip that was removed meanwhile stays removed."""
        stem = self._stem("video", file_name)
        film, waited = self._path(stem, FILM), self._path(stem, UNSIGNED)
        if not signed:
            with contextlib.suppress(FileNotFoundError):
                waited.replace(film)
        elif not waited.exists():
            film.unlink(missing_ok=True)
        waited.unlink(missing_ok=True)

    def _stem(self, kind: str, file_name: str) -> str:
        suffix = KINDS[kind]
        stem = file_name.removesuffix(suffix)
        if not file_name.endswith(suffix) or not _NAME.fullmatch(stem):
            raise NotFound(f"There is no {kind} clip of that name.")
        return stem

    def _path(self, stem: str, suffix: str) -> Path:
        return self._folder / f"{stem}{suffix}"

    @property
    def folder(self) -> Path:
        """Where the clips are."""
        return self._folder

    def remove(self, names: Iterable[str]) -> None:
        """Delete clips by name; those that are gone already are no error."""
        for name in names:
            for suffix in SUFFIXES:
                self._path(name, suffix).unlink(missing_ok=True)

    def sweep(self) -> int:
        """Remove what is too old, and the oldest clips beyond the total size; how many files
        went. A file that cannot be looked at or removed does not keep the others."""
        oldest_allowed = self._clock.now() - self._max_age_s
        files = sorted(self._files())
        total = sum(size for _, size, _ in files)
        removed = 0
        for made_at, size, path in files:
            if made_at >= oldest_allowed and total <= self._max_bytes:
                break
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                log.warning("an old clip could not be removed: %s", error)
                continue
            total -= size
            removed += 1
        if removed:
            log.info("removed %d clip files by age or size", removed)
        return removed

    def _files(self) -> Iterator[tuple[float, int, Path]]:
        """When each file was made, its size, and where it is."""
        for path in self._folder.iterdir() if self._folder.is_dir() else ():
            with contextlib.suppress(OSError):  # removed meanwhile
                stat = path.stat()
                yield stat.st_mtime, stat.st_size, path

    def clear_unfinished(self, older_than_s: float = 0.0) -> None:
        """Remove the temporary files of a process that was killed; call before serving. Where
        other servers write to the same folder, leave alone what is younger than
        `older_than_s`."""
        newest = self._clock.now() - older_than_s
        for made_at, _, path in list(self._files()):
            if path.name.startswith(".") and (not older_than_s or made_at < newest):
                path.unlink(missing_ok=True)
