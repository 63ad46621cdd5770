"""Look into downloaded files."""

from __future__ import annotations

import hashlib
import mmap
from collections.abc import Iterable
from pathlib import Path


def contains(path: Path, wanted: bytes) -> bool:
    """Return whether `wanted` stands anywhere in the file. Blocks while it is searched."""
    with path.open("rb") as file:
        if not path.stat().st_size:
            return False
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return content.find(wanted) >= 0


def file_key(paths: Iterable[Path]) -> str:
    """Twelve hex digits that change with the files' content. Blocks while they are read."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:12]
