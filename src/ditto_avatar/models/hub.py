"""Fetch files of a model hub: with progress, resumed, checked against their hashes.

A hub answers ``/api/models/<repository>/revision/<revision>?blobs=true`` with the sizes and hashes
of its files, and gives them at ``/<repository>/resolve/<revision>/<path>``. A mirror does the same.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import shutil
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote, urlsplit

from ditto_avatar.errors import InvalidCheckpoint, LicenseNotAccepted, ProviderFailed, StorageFull

log = logging.getLogger(__name__)

HUB = "https://huggingface.co"
# A file that came damaged is fetched once more; a transfer that broke off goes on so many times.
_ROUNDS = 2
_ATTEMPTS = 3
# A transfer without a byte for this long has broken off.
_SILENCE_S = 20.0
_BLOCK = 1 << 16
_MOST_LISTED = 32 << 20


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file to fetch: its path in the target folder, its address, its size in bytes, and what it
    should hash to: ``sha256`` or ``git`` (git's hash of a blob), and hex digits."""

    path: str
    url: str
    size: int
    digest: tuple[str, str]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a download is: bytes of all files, those included that were there before."""

    path: str
    done: int
    total: int


Tell = Callable[[Progress], object]


class _Stopped(Exception):
    """Nobody waits for the download any more."""


def check_license(name: str, license: str, *, accepted: bool) -> None:
    """Raise `LicenseNotAccepted` unless the terms of `name` are accepted."""
    if not accepted:
        raise LicenseNotAccepted(
            f"{name} comes under {license}, which asks for your consent: read it, then add "
            "--accept-license."
        )


def list_files(
    repository: str,
    paths: Sequence[str],
    *,
    endpoint: str | None = None,
    revision: str = "main",
    pinned: Mapping[str, str] | None = None,
) -> list[RemoteFile]:
    """Ask the hub for sizes and hashes of `paths`. Blocks for one request.

    `endpoint` is a mirror's address (None: the hub's), `pinned` are SHA-256 digits that files must
    have. Raises `ProviderFailed` when the hub does not answer or lacks a file,
    `InvalidCheckpoint` when a file there is another one than the pinned one."""
    base = (endpoint or HUB).rstrip("/")
    siblings = _siblings(base, repository, revision)
    missing = [path for path in paths if path not in siblings]
    if missing:
        raise ProviderFailed(f"{repository} on {base} has no {missing[0]}.")
    files = []
    for path in paths:
        digest, size = _digest_and_size(siblings[path])
        wanted = (pinned or {}).get(path)
        if wanted is not None and digest != ("sha256", wanted):
            raise InvalidCheckpoint(f"{path} on {base} is another file than the known one.")
        url = f"{base}/{repository}/resolve/{quote(revision)}/{quote(path)}"
        files.append(RemoteFile(path, url, size, digest))
    return files


async def download(
    files: Sequence[RemoteFile], target: Path, *, tell: Tell | None = None
) -> list[RemoteFile]:
    """Fetch `files` into `target` and return those that were fetched; complete ones are kept,
    broken transfers go on where they broke off. `tell` is called in another thread.

    Raises `ProviderFailed` when a file does not arrive, `StorageFull` when it does not fit,
    `InvalidCheckpoint` when a file arrives damaged twice. Cancelling is safe and returns at once:
    nothing more is written, and what has arrived is kept for the next time."""
    stop = threading.Event()
    try:
        return await asyncio.to_thread(_download, files, target, tell, stop)
    finally:
        # The thread may wait for a silent connection; it ends before its next write.
        stop.set()


def is_complete(target: Path, file: RemoteFile) -> bool:
    """Return whether `file` lies in `target` as it should be. Blocks while it is read."""
    return _is_whole(target / file.path, file)


def _download(
    files: Sequence[RemoteFile], target: Path, tell: Tell | None, stop: threading.Event
) -> list[RemoteFile]:
    wanted = [file for file in files if not is_complete(target, file)]
    _check_room(target, sum(file.size - _arrived(target, file) for file in wanted))
    total = sum(file.size for file in files)
    done = total - sum(file.size for file in wanted)
    for file in wanted:
        before = done

        def told(arrived: int, file: RemoteFile = file, before: int = before) -> None:
            if stop.is_set():
                raise _Stopped
            if tell is not None:
                tell(Progress(file.path, before + arrived, total))

        _fetch(file, target, told)
        done += file.size
    return wanted


def _siblings(base: str, repository: str, revision: str) -> dict[str, Any]:
    url = f"{base}/api/models/{repository}/revision/{quote(revision)}?blobs=true"
    try:
        with _open(url) as answer:
            listing = json.loads(answer.read(_MOST_LISTED))
        return {entry["rfilename"]: entry for entry in listing["siblings"]}
    except (OSError, HTTPException, ValueError, KeyError, TypeError) as error:
        raise ProviderFailed(
            f"{base} does not answer for {repository}: {_reason(error)} "
            "Check the connection, or name a mirror."
        ) from error


def _digest_and_size(sibling: dict[str, Any]) -> tuple[tuple[str, str], int]:
    """What the hub says of a file: large ones have a SHA-256, small ones git's hash."""
    lfs = sibling.get("lfs")
    if lfs:
        return ("sha256", str(lfs["sha256"])), int(lfs["size"])
    return ("git", str(sibling["blobId"])), int(sibling.get("size") or 0)


def _open(url: str, first: int = 0) -> HTTPResponse:
    if urlsplit(url).scheme not in ("http", "https"):
        raise ValueError(f"{url} is no address of the web.")
    headers = {"Range": f"bytes={first}-"} if first else {}
    request = urllib.request.Request(url, headers=headers)
    answer: HTTPResponse = urllib.request.urlopen(request, timeout=_SILENCE_S)
    return answer


def _fetch(file: RemoteFile, target: Path, told: Callable[[int], None]) -> None:
    place, part = target / file.path, _part(target, file)
    for _ in range(_ROUNDS):
        _transfer(file, part, told)
        if _is_whole(part, file):
            part.replace(place)
            return
        log.warning("%s arrived damaged and is fetched again.", file.path)
        part.unlink(missing_ok=True)
    raise InvalidCheckpoint(f"{file.path} arrived damaged {_ROUNDS} times; try another mirror.")


def _transfer(file: RemoteFile, part: Path, told: Callable[[int], None]) -> None:
    """Bring `part` to the file's size."""
    for attempt in range(_ATTEMPTS):
        try:
            part.parent.mkdir(parents=True, exist_ok=True)
            _go_on(file, part, told)
            if part.stat().st_size >= file.size:
                return
            error: Exception = ProviderFailed("The connection ended in the middle.")
        except (urllib.error.URLError, HTTPException, ValueError, TimeoutError) as failed:
            error = failed
        except ConnectionError as failed:
            error = failed
        except OSError as failed:
            raise StorageFull(f"{part.parent} cannot be written: {failed.strerror}.") from failed
        if attempt + 1 == _ATTEMPTS:
            raise ProviderFailed(
                f"{file.path} did not arrive: {_reason(error)} Try again; what has arrived is kept."
            ) from error


def _go_on(file: RemoteFile, part: Path, told: Callable[[int], None]) -> None:
    have = part.stat().st_size if part.exists() else 0
    if have > file.size:
        part.unlink()
        have = 0
    told(have)
    if have == file.size and file.size:
        return
    with _open(file.url, have) as answer:
        # A server that knows no ranges sends all of it again.
        have = have if answer.status == 206 else 0
        with part.open("ab" if have else "wb", buffering=0) as out:
            while block := answer.read1(_BLOCK):
                # Nothing is written once nobody waits any more.
                told(have)
                have += len(block)
                if have > file.size:
                    raise ValueError("More came than the file is long.")
                out.write(block)
                told(have)


def _part(target: Path, file: RemoteFile) -> Path:
    """Where the file gathers: a part of another version has another name."""
    path = PurePosixPath(file.path)
    return target / path.parent / f".{path.name}.{file.digest[1][:12]}.part"


def _arrived(target: Path, file: RemoteFile) -> int:
    part = _part(target, file)
    return min(part.stat().st_size, file.size) if part.exists() else 0


def _is_whole(path: Path, file: RemoteFile) -> bool:
    if not path.is_file() or path.stat().st_size != file.size:
        return False
    kind, digits = file.digest
    digest = hashlib.sha256() if kind == "sha256" else hashlib.sha1(usedforsecurity=False)
    if kind == "git":
        digest.update(f"blob {file.size}\0".encode())
    with path.open("rb") as source:
        while block := source.read(1 << 20):
            digest.update(block)
    return digest.hexdigest() == digits


def _check_room(target: Path, needed: int) -> None:
    place = target.absolute()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if needed > free:
        raise StorageFull(
            f"The download needs {needed / 1e9:.2f} GB more and {place} has {free / 1e9:.2f} GB "
            "free; make room or choose another folder."
        )


def _reason(error: Exception) -> str:
    """The first sentence of an error for people."""
    if isinstance(error, urllib.error.HTTPError):
        error.close()
        return f"it answered with status {error.code}."
    text = str(error).strip().splitlines()
    line = text[0] if text else type(error).__name__
    return line if line.endswith(".") else f"{line}."
