"""Keep the server's own secret, and derive the keys of single purposes from it."""

from __future__ import annotations

import hmac
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from ditto_avatar.errors import InvalidInput, StorageFull

_FILE = "token.secret"
_BYTES = 32
# Less could be guessed.
_SHORTEST = 32


@dataclass(frozen=True, slots=True)
class ServerSecret:
    """Derives independent keys: knowing one says nothing about another or about the secret."""

    _value: bytes = field(repr=False)

    @classmethod
    def of(cls, configured: str | None, data_dir: Path) -> ServerSecret:
        """Take the `configured` secret, or else that of the data folder, which the first start
        makes (readable by the server's own user only). Raises `InvalidInput` for a short secret
        and `StorageFull` if the file cannot be made."""
        if configured is not None:
            if len(configured) < _SHORTEST:
                raise InvalidInput(
                    f"DITTO_TOKEN_SECRET: expected at least {_SHORTEST} characters, came "
                    f"{len(configured)}."
                )
            return cls(configured.encode())
        path = data_dir / _FILE
        try:
            data_dir.mkdir(parents=True, exist_ok=True)
            return cls(_kept(path))
        except OSError as error:
            raise StorageFull(f"The file {path} cannot be used: {error.strerror}.") from error

    def mark_of(self, text: str) -> str:
        """Give `text`, an address for one, a mark that is the same every time and does not tell
        it: 8 hexadecimal digits."""
        return hmac.digest(self.key_for("mark"), text.encode(), "sha256").hex()[:8]

    def key_for(self, purpose: str) -> bytes:
        """Derive the key for `purpose`: 32 bytes, the same at every start."""
        return hmac.digest(self._value, purpose.encode(), "sha256")


def _kept(path: Path) -> bytes:
    """Read the secret of `path`; make it if there is none."""
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        pass
    else:
        with os.fdopen(file, "w") as out:
            out.write(secrets.token_hex(_BYTES))
    value = path.read_bytes().strip()
    if len(value) < _SHORTEST:
        raise InvalidInput(
            f"The file {path}: expected at least {_SHORTEST} characters, came {len(value)}. "
            "Remove it: the next start makes a new one."
        )
    return value
