"""Keep finished clips in a bucket that servers share, with the folder as a cache.

The only module that knows obstore, which is imported when a bucket is opened.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from ditto_avatar.clock import AgeClock
from ditto_avatar.credentials.statement import Statement
from ditto_avatar.errors import InvalidInput, StorageFailed, Unavailable
from ditto_avatar.media.clip import write_whole
from ditto_avatar.pipeline.clips import KINDS, STATEMENT, SUFFIXES, UNSIGNED, ClipFolder
from ditto_avatar.types import FloatArray

log = logging.getLogger(__name__)

# A store of the same region answers in milliseconds; a clip is some hundred kilobytes.
_REQUEST_S = 15
_RETRY_S = 10


class Bucket:
    """Put, get, list and remove the objects below a prefix. Blocking; every method raises
    `StorageFailed` when the store does not answer or refuses."""

    def __init__(
        self,
        url: str,
        *,
        endpoint: str | None = None,
        region: str = "us-east-1",
        key_id: str | None = None,
        secret: str | None = None,
    ) -> None:
        """Raises `InvalidInput` for a URL that names no bucket, and `Unavailable` without the
        extra ``s3``."""
        parts = urlsplit(url)
        if parts.scheme != "s3" or not parts.netloc:
            raise InvalidInput(
                f"DITTO_CLIPS_URL: expected a bucket as s3://bucket/prefix, came {url!r}."
            )
        try:
            import obstore
            from obstore.store import S3Store
        except ImportError as error:
            raise Unavailable(
                "Clips in a bucket need the extra s3: pip install -e '.[s3]'."
            ) from error
        named = {"endpoint": endpoint, "access_key_id": key_id, "secret_access_key": secret}
        self._objects = obstore
        self._store = S3Store(
            parts.netloc,
            prefix=parts.path.strip("/") or None,
            region=region,
            client_options={
                "timeout": f"{_REQUEST_S}s",
                "allow_http": bool(endpoint and endpoint.startswith("http://")),
            },
            retry_config={"max_retries": 3, "retry_timeout": timedelta(seconds=_RETRY_S)},
            **cast(Any, {name: value for name, value in named.items() if value is not None}),
        )

    def put(self, name: str, path: Path) -> None:
        """Store a file under `name`."""
        with _errors("stored"):
            self._objects.put(self._store, name, path)

    def get(self, name: str) -> bytes | None:
        """Return an object; None if there is none."""
        with _errors("read"):
            try:
                return bytes(self._objects.get(self._store, name).bytes())
            except FileNotFoundError:
                return None

    def remove(self, names: Iterable[str]) -> None:
        """Remove objects; those that are gone already are no error."""
        if gone := list(names):
            with _errors("removed"):
                self._objects.delete(self._store, gone)

    def listed(self) -> Iterator[tuple[str, datetime]]:
        """Return the names of all objects, and when each was stored."""
        with _errors("listed"):
            for page in self._objects.list(self._store):
                for meta in page:
                    yield meta["path"], meta["last_modified"]


class BucketClips(ClipFolder):
    """Store, find and remove clips in a bucket. What was made or asked for here is in the folder as
    well, within its limits. Blocking: call it off the event loop."""

    def __init__(
        self,
        folder: Path,
        bucket: Bucket,
        *,
        max_age_s: float,
        max_bytes: int,
        clock: AgeClock | None = None,
    ) -> None:
        super().__init__(folder, max_age_s=max_age_s, max_bytes=max_bytes, clock=clock)
        self._bucket = bucket

    def store(self, stream: bytes, audio: FloatArray, statement: Statement | None = None) -> str:
        """Write a clip to the folder and the bucket. Raises `StorageFull` and `StorageFailed`, with
        nothing left of it in either."""
        name = super().store(stream, audio, statement)
        try:
            for suffix in SUFFIXES:
                if (path := self._path(name, suffix)).is_file():
                    self._bucket.put(path.name, path)
        except BaseException:
            with contextlib.suppress(OSError, StorageFailed):
                self.remove([name])
            raise
        return name

    def find(self, kind: str, file_name: str) -> Path:
        """Return the file of a clip, brought from the bucket if it is not here. Raises `NotFound`
        and `StorageFailed`."""
        self._bring(kind, file_name)
        return super().find(kind, file_name)

    def has(self, kind: str, file_name: str) -> bool:
        """Return whether `find` finds that file, now or once it is signed. Raises
        `StorageFailed`."""
        self._bring(kind, file_name)
        return super().has(kind, file_name)

    def statement(self, file_name: str) -> Statement | None:
        """Return what the credentials of a clip state; None for one without. Raises
        `StorageFailed`."""
        self._fetch(self._stem("video", file_name), STATEMENT)
        return super().statement(file_name)

    def settle(self, file_name: str, *, signed: bool) -> None:
        """Put the signed film in the place of the one that waited, here and in the bucket. Raises
        `StorageFailed`; then others sign it themselves."""
        super().settle(file_name, signed=signed)
        film = self.target(file_name)
        if film.is_file():
            self._bucket.put(film.name, film)
            self._bucket.remove([film.with_suffix(UNSIGNED).name])

    def remove(self, names: Iterable[str]) -> None:
        """Delete clips here and in the bucket. Raises `StorageFailed`, with the rest still
        there."""
        gone = list(names)
        self._bucket.remove(f"{name}{suffix}" for name in gone for suffix in SUFFIXES)
        super().remove(gone)

    def sweep(self) -> int:
        """Remove what is too old from both, and what is too much from the folder; how many files
        went from the folder. Raises `StorageFailed`."""
        oldest = self._clock.now() - self._max_age_s
        old = [name for name, made_at in self._bucket.listed() if made_at.timestamp() < oldest]
        self._bucket.remove(old)
        if old:
            log.info("removed %d clip files by age from the bucket", len(old))
        return super().sweep()

    def _bring(self, kind: str, file_name: str) -> None:
        """Fetch a file, or the film that still waits to be signed."""
        stem = self._stem(kind, file_name)
        waits = self._path(stem, UNSIGNED).is_file()
        if not waits and not self._fetch(stem, KINDS[kind]) and kind == "video":
            self._fetch(stem, STATEMENT)
            self._fetch(stem, UNSIGNED)

    def _fetch(self, stem: str, suffix: str) -> bool:
        """Have a file in the folder; False if the bucket has none either."""
        path = self._path(stem, suffix)
        if path.is_file():
            return True
        data = self._bucket.get(path.name)
        if data is None:
            return False
        write_whole(path, lambda part: part.write_bytes(data))
        return True


@contextlib.contextmanager
def _errors(what: str) -> Iterator[None]:
    """Turn the errors of the store into `StorageFailed`; a missing object stays what it is."""
    from obstore.exceptions import BaseError

    try:
        yield
    except FileNotFoundError:
        raise
    except (BaseError, OSError) as error:
        reason = str(error).splitlines()[0][:200]
        raise StorageFailed(f"A clip could not be {what}: {reason}.") from error
