"""Make and check keys for programs: shown once, and kept as digests only.

A key is 256 random bits, so nobody can try them out, and a plain SHA-256 digest is enough to keep.
A slow hash with a salt protects passwords, which people choose; here it would only cost time at
every request.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ditto_avatar.errors import InvalidInput

_KEY_BYTES = 32
_PREFIX = "ditto_"
# The name stands in logs and in tokens, and must not be mistaken for a separator there.
_NAME = re.compile(r"[A-Za-z0-9._-]{1,32}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_SHAPE = "NAME:DIGEST, as `ditto-avatar keys new` prints it"


@dataclass(frozen=True, slots=True)
class Key:
    """A key as the settings hold it. `name` is shown in logs, the key itself nowhere."""

    name: str
    digest: str

    @property
    def entry(self) -> str:
        """The key as it is written into the settings."""
        return f"{self.name}:{self.digest}"


@dataclass(frozen=True, slots=True)
class Keyring:
    """The keys that are accepted, for one purpose."""

    keys: tuple[Key, ...] = ()

    @classmethod
    def read(cls, setting: str, entries: str, file: Path | None = None) -> Keyring:
        """Read `entries`, separated by commas, and the lines of `file`; ``#`` begins a comment.
        Raises `InvalidInput`, which names `setting` and never quotes an entry: it may be a key."""
        lines = entries.split(",")
        if file is not None:
            try:
                lines += file.read_text(encoding="utf-8").splitlines()
            except (OSError, UnicodeDecodeError) as error:
                raise InvalidInput(f"{setting}_FILE: {file} cannot be read: {error}.") from None
        keys = tuple(_parsed(setting, entry) for entry in _without_comments(lines))
        names = [key.name for key in keys]
        if len(set(names)) < len(names):
            raise InvalidInput(f"{setting}: expected every key to have a name of its own.")
        return cls(keys)

    def __len__(self) -> int:
        return len(self.keys)

    def __contains__(self, name: str) -> bool:
        return any(key.name == name for key in self.keys)

    def find(self, text: str) -> Key | None:
        """Find the key that `text` is; None if it is none of them. The time that it takes says
        nothing about the keys: all digests are compared, each in constant time."""
        digest = _digest(text)
        matches = [key for key in self.keys if secrets.compare_digest(key.digest, digest)]
        return matches[0] if matches else None


def new_key(name: str | None = None) -> tuple[str, Key]:
    """Make a key; the key itself and what the settings hold of it. Without a `name` it gets the
    first digits of its digest. Raises `InvalidInput` for a name with other characters than
    letters, digits and ``. _ -``."""
    text = _PREFIX + secrets.token_urlsafe(_KEY_BYTES)
    digest = _digest(text)
    key = Key(name if name is not None else digest[:8], digest)
    if not _NAME.fullmatch(key.name):
        raise InvalidInput(
            "The name of a key: expected 1 to 32 letters, digits, dots, dashes or underscores, "
            f"came {key.name!r}."
        )
    return text, key


def looks_like_key(text: str) -> bool:
    """Return whether `text` has the form of a key, valid or not."""
    return text.startswith(_PREFIX)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _without_comments(lines: Iterable[str]) -> list[str]:
    entries = (line.partition("#")[0].strip() for line in lines)
    return [entry for entry in entries if entry]


def _parsed(setting: str, entry: str) -> Key:
    name, _, digest = entry.partition(":")
    if looks_like_key(entry):
        raise InvalidInput(
            f"{setting}: expected {_SHAPE}; came a key itself. Make a new one: this one has been "
            "written down."
        )
    if not _NAME.fullmatch(name) or not _DIGEST.fullmatch(digest):
        raise InvalidInput(f"{setting}: expected {_SHAPE}, came something else.")
    return Key(name, digest)
