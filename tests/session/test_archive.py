"""The ZIP that is written while it is read."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest

from ditto_avatar.session.archive import Archive


async def test_a_file_beyond_the_limit_of_plain_zips_comes_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The library's own border between the two kinds, moved down from 2 GB.
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 100_000)
    film = tmp_path / "film.mp4"
    film.write_bytes(bytes(range(256)) * 2_000)
    with Archive() as archive:
        parts = [part async for part in archive.add_file("film.mp4", film)]
        parts.append(archive.close())
    with zipfile.ZipFile(io.BytesIO(b"".join(parts))) as read:
        assert read.read("film.mp4") == film.read_bytes()
