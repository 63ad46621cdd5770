"""Voices and recognisers come by name, under terms that are shown first."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from ditto_avatar.errors import InvalidCheckpoint, LicenseNotAccepted, NotFound
from ditto_avatar.models.catalogue import (
    RECEIPT,
    CatalogueFile,
    Entry,
    catalogue,
    fetch_entry,
    find_entry,
)
from tests.fakes import model_hub

FILES = {"onnx/a.onnx": b"a" * 20_000, "LICENSE": b"the terms"}


def entry(**changes: object) -> Entry:
    files = (CatalogueFile("onnx/a.onnx", "onnx/a.onnx"), CatalogueFile("LICENSE", "LICENSE"))
    asking = replace(find_entry("supertonic", "voices"), files=files, revision="main")
    return replace(asking, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("known", catalogue().values(), ids=lambda known: known.name)
def test_every_entry_says_what_it_is_and_where_it_comes_from(known: Entry) -> None:
    assert known.kind in ("voices", "hearing")
    assert known.languages
    assert known.license_url.startswith("https://")
    assert known.megabytes > 1
    assert all(file.url or known.repository for file in known.files)
    assert all(file.size and file.sha256 for file in known.files if file.url)
    assert not known.asks or known.forbids


async def test_terms_are_accepted_before_anything_is_asked_for(tmp_path: Path) -> None:
    with model_hub.serve("Supertone/supertonic-3", FILES) as hub:
        with pytest.raises(LicenseNotAccepted, match="OpenRAIL-M"):
            await fetch_entry(entry(), tmp_path, endpoint=hub.address)
        assert hub.requests == []
        assert list(tmp_path.iterdir()) == []
        folder = await fetch_entry(entry(), tmp_path, accepted=True, endpoint=hub.address)
    assert (folder / "onnx/a.onnx").read_bytes() == FILES["onnx/a.onnx"]
    assert (folder / "LICENSE").read_bytes() == FILES["LICENSE"]
    assert json.loads((folder / RECEIPT).read_text())["accepted"] is True
    assert entry().is_installed(tmp_path)


async def test_half_a_download_is_not_installed(tmp_path: Path) -> None:
    with model_hub.serve("Supertone/supertonic-3", FILES) as hub:
        hub.spoiled.add("onnx/a.onnx")
        with pytest.raises(InvalidCheckpoint):
            await fetch_entry(entry(asks=False), tmp_path, endpoint=hub.address)
    assert not entry().is_installed(tmp_path)


async def test_files_with_an_address_of_their_own_need_no_listing(tmp_path: Path) -> None:
    with model_hub.serve("someone/release", FILES) as hub:
        content = FILES["onnx/a.onnx"]
        file = CatalogueFile(
            "a.onnx",
            "a.onnx",
            f"{hub.address}/someone/release/resolve/main/onnx/a.onnx",
            len(content),
            hashlib.sha256(content).hexdigest(),
        )
        folder = await fetch_entry(entry(files=(file,), asks=False), tmp_path)
    assert (folder / "a.onnx").read_bytes() == content


async def test_installed_wheels_make_up_a_file_without_a_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (1, 2):
        package = tmp_path / "packages" / f"stand_in_part_{number}"
        package.mkdir(parents=True)
        (package / "__init__.py").touch()
        (package / "part.bin").write_bytes(b"part %d," % number)
    monkeypatch.syspath_prepend(str(tmp_path / "packages"))
    parts = ("stand_in_part_1", "stand_in_part_2")
    right = hashlib.sha256(b"part 1,part 2,").hexdigest()
    nowhere = "http://127.0.0.1:1/a.onnx"
    file = CatalogueFile("a.onnx", "a.onnx", nowhere, 14, right, parts)
    folder = await fetch_entry(entry(files=(file,), asks=False), tmp_path / "data")
    assert (folder / "a.onnx").read_bytes() == b"part 1,part 2,"
    wrong = replace(file, name="b.onnx", sha256="0" * 64)
    with pytest.raises(InvalidCheckpoint, match=r"do not make up b\.onnx"):
        await fetch_entry(entry(files=(wrong,), asks=False), tmp_path / "other")
    assert list((tmp_path / "other").rglob("*.onnx")) == []


def test_a_name_that_is_not_there_is_answered_with_those_that_are() -> None:
    with pytest.raises(NotFound, match="kristin"):
        find_entry("joe", "voices")
    with pytest.raises(NotFound, match="there are: whisper-base"):
        find_entry("kokoro", "hearing")
