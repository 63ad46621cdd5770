"""What can be downloaded: voices and recognisers, as data."""

from __future__ import annotations

import asyncio
import hashlib
import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from importlib import resources
from importlib.util import find_spec
from pathlib import Path

from ditto_avatar.errors import InvalidCheckpoint, NotFound
from ditto_avatar.files import write_whole
from ditto_avatar.models.hub import RemoteFile, Tell, check_license, download, list_files
from ditto_avatar.types import Language

RECEIPT = "download.json"
"""Written last: a folder with it is complete."""


@dataclass(frozen=True, slots=True)
class CatalogueFile:
    """A file of an entry: its path at the hub or its own address, the name it gets, its size and
    SHA-256 where they are known beforehand. `wheels` are packages whose parts make it up: where
    they are installed, the entry needs nothing from elsewhere."""

    path: str
    name: str
    url: str = ""
    size: int = 0
    sha256: str = ""
    wheels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Entry:
    """Something that can be downloaded.

    `asks` says that its licence wants consent, `forbids` what it does not allow, `gender` of a
    voice is ``female``, ``male`` or empty, `speed` is what is known of it, for people."""

    name: str
    kind: str
    family: str
    label: str
    label_ko: str
    languages: tuple[Language, ...]
    license: str
    license_url: str
    asks: bool
    forbids: str
    megabytes: float
    speed: str
    repository: str
    revision: str
    files: tuple[CatalogueFile, ...]
    gender: str = ""
    forbids_ko: str = ""

    def folder(self, data_dir: Path) -> Path:
        """Where its files lie below the data folder."""
        return data_dir / self.kind / self.name

    def is_installed(self, data_dir: Path) -> bool:
        """Whether all its files have arrived."""
        return (self.folder(data_dir) / RECEIPT).is_file()


@cache
def catalogue() -> Mapping[str, Entry]:
    """Read the entries by name, those that are recommended first."""
    text = resources.files(__package__).joinpath("catalogue.toml").read_text("utf-8")
    return {name: _entry(name, **row) for name, row in tomllib.loads(text).items()}


def find_entry(name: str, kind: str | None = None) -> Entry:
    """Return the entry `name`, of `kind` if one is given. Raises `NotFound`, with the names that
    there are."""
    entry = catalogue().get(name)
    if entry is None or kind not in (None, entry.kind):
        known = ", ".join(each.name for each in catalogue().values() if kind in (None, each.kind))
        raise NotFound(f"There is no {name!r} to download; there are: {known}.")
    return entry


async def fetch_entry(
    entry: Entry,
    data_dir: Path,
    *,
    accepted: bool = False,
    endpoint: str | None = None,
    tell: Tell | None = None,
) -> Path:
    """Download `entry` into the data folder; returns its folder.

    Raises `LicenseNotAccepted` before anything is asked for when the licence wants consent and is
    not `accepted`, otherwise like `hub.download`, and is cancelled like that."""
    if entry.asks:
        check_license(entry.name, f"{entry.license} ({entry.license_url})", accepted=accepted)
    folder = entry.folder(data_dir)
    if not await asyncio.to_thread(_join_wheels, entry, folder):
        files = await asyncio.to_thread(_remote_files, entry, endpoint)
        await download(files, folder, tell=tell)
    receipt = {"name": entry.name, "license": entry.license, "accepted": entry.asks}
    await asyncio.to_thread(_write, folder / RECEIPT, json.dumps(receipt) + "\n")
    return folder


def _remote_files(entry: Entry, endpoint: str | None) -> list[RemoteFile]:
    hosted = [file for file in entry.files if not file.url]
    listed = list_files(
        entry.repository,
        [file.path for file in hosted],
        endpoint=endpoint,
        revision=entry.revision,
        pinned={file.path: file.sha256 for file in hosted if file.sha256},
    ) if hosted else []  # fmt: skip
    named = [
        RemoteFile(file.name, remote.url, remote.size, remote.digest)
        for file, remote in zip(hosted, listed, strict=True)
    ]
    own = [
        RemoteFile(file.name, file.url, file.size, ("sha256", file.sha256))
        for file in entry.files
        if file.url
    ]
    return [*named, *own]


def _join_wheels(entry: Entry, folder: Path) -> bool:
    """Put together what installed packages hold; False where they are not installed."""
    joined = [file for file in entry.files if file.wheels]
    parts = [_part_in(package) for file in joined for package in file.wheels]
    if not parts or None in parts:
        return False
    for file in joined:
        write_whole(folder / file.name, partial(_join, file, [p for p in parts if p is not None]))
    return True


def _join(file: CatalogueFile, parts: list[Path], target: Path) -> None:
    digest = hashlib.sha256()
    with target.open("wb") as out:
        for part in parts:
            block = part.read_bytes()
            digest.update(block)
            out.write(block)
    if digest.hexdigest() != file.sha256:
        raise InvalidCheckpoint(f"The installed packages do not make up {file.name}.")


def _part_in(package: str) -> Path | None:
    """The part of a file in an installed package."""
    found = find_spec(package)
    if found is None or found.origin is None:
        return None
    return Path(found.origin).with_name("part.bin")


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def _entry(name: str, **row: object) -> Entry:
    files = tuple(_file(**file) for file in row.pop("files"))  # type: ignore[attr-defined]
    languages = tuple(Language(code) for code in row.pop("languages"))  # type: ignore[attr-defined]
    return Entry(name, files=files, languages=languages, **row)  # type: ignore[arg-type]


def _file(path: str, name: str = "", wheels: Sequence[str] = (), **known: object) -> CatalogueFile:
    return CatalogueFile(path, name or Path(path).name, wheels=tuple(wheels), **known)  # type: ignore[arg-type]
