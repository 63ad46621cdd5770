"""Packs of strangers are checked elsewhere: a bad one costs its own place and nothing else."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import tempfile
from pathlib import Path

import pytest

from ditto_avatar.errors import InvalidAvatar, NotFound
from ditto_avatar.face.library import AvatarLibrary, open_library, open_pack
from ditto_avatar.guard.inspector import Check
from ditto_avatar.guard.limits import Limits
from tests.fakes.hostile_packs import HOSTILE_NAMES, write_hostile_packs
from tests.fakes.packs import make_pack

MOODY = Check("tests.face.moody_check:check_pack", InvalidAvatar, Limits(written_mb=16, wall_s=3))


@pytest.fixture(scope="module")
def nothing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """No bundled presenters."""
    return tmp_path_factory.mktemp("nothing")


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile") / "packs"
    folder.mkdir()
    write_hostile_packs(folder)
    make_pack(folder / "oval", frames=4)
    return folder


@pytest.fixture(scope="module")
def library(hostile: Path, nothing: Path) -> AvatarLibrary:
    return asyncio.run(open_library(nothing, hostile))


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where zips are unpacked."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def zipped(pack: Path, target: Path) -> Path:
    return Path(shutil.make_archive(str(target.with_suffix("")), "zip", pack))


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_a_hostile_pack_is_refused_in_one_sentence(library: AvatarLibrary, name: str) -> None:
    reason = library.refused[name]
    assert ": expected" in reason
    assert reason.endswith(".")
    assert "cannot be used" not in reason  # the check said it, no limit had to


def test_a_good_pack_among_them_is_served(library: AvatarLibrary) -> None:
    assert [avatar.name for avatar in library] == ["oval"]
    assert sorted(library.refused) == HOSTILE_NAMES


async def test_every_refusal_is_logged_once(
    tmp_path: Path, nothing: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "bad\nname").mkdir()
    (tmp_path / "bad\nname" / "about.json").write_text("{}")
    with caplog.at_level(logging.ERROR):
        await open_library(nothing, tmp_path)
    [line] = [record.getMessage() for record in caplog.records]
    assert line.startswith("avatar bad name is left out: about.json: format: expected 1")


async def test_a_crash_and_a_hang_cost_only_the_pack_that_made_them(
    tmp_path: Path, nothing: Path, temporary: Path
) -> None:
    names = ("a", "crash", "d", "hang", "memory", "z")
    for name in names:
        pack = make_pack(tmp_path / "made" / name, frames=2)
        (tmp_path / "packs").mkdir(exist_ok=True)
        zipped(pack, tmp_path / "packs" / f"{name}.zip")
    library = await open_library(nothing, tmp_path / "packs", MOODY)
    assert [avatar.name for avatar in library] == ["a", "d", "z"]
    assert "crashes the decoder (SIGSEGV)" in library.refused["crash.zip"]
    assert "takes longer than 3 seconds" in library.refused["hang.zip"]
    assert "MB of memory" in library.refused["memory.zip"]
    assert len(list(temporary.iterdir())) == 3  # one for each pack that is in use


async def test_a_zip_is_unpacked_where_nobody_else_looks_and_goes_with_its_avatar(
    tmp_path: Path, temporary: Path
) -> None:
    make_pack(tmp_path / "made" / "oval", frames=2)
    avatar = await open_pack(zipped(tmp_path / "made" / "oval", tmp_path / "oval.zip"))
    [place] = temporary.iterdir()
    assert avatar.idle_path.parent == place
    assert place.stat().st_mode & 0o077 == 0
    del avatar
    assert not list(temporary.iterdir())


async def test_files_that_changed_after_their_check_are_refused(
    tmp_path: Path, nothing: Path
) -> None:
    make_pack(tmp_path / "fickle", frames=2)
    library = await open_library(nothing, tmp_path, MOODY)
    assert library.refused["fickle"] == "fickle: expected the files that were checked, came others."


async def test_cancelling_leaves_no_folder(tmp_path: Path, temporary: Path) -> None:
    zipped(make_pack(tmp_path / "made" / "hang", frames=2), tmp_path / "hang.zip")
    os.mkfifo(tmp_path / "hang.fifo")
    task = asyncio.create_task(open_library(tmp_path / "nothing", tmp_path, MOODY))
    # Reading waits until the child is in the middle of its check.
    assert await asyncio.to_thread((tmp_path / "hang.fifo").read_bytes) == b"unpacked"
    assert list(temporary.iterdir())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not list(temporary.iterdir())


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
async def test_a_folder_that_cannot_be_read_is_refused(tmp_path: Path, nothing: Path) -> None:
    make_pack(tmp_path / "closed", frames=2).chmod(0)
    try:
        library = await open_library(nothing, tmp_path)
    finally:
        (tmp_path / "closed").chmod(0o700)
    assert "Permission denied" in library.refused["closed"]


async def test_a_pack_of_ones_own_replaces_a_bundled_one_and_a_bad_one_does_not(
    tmp_path: Path,
) -> None:
    for name in ("egg", "oval"):
        make_pack(tmp_path / "bundled" / name, frames=2)
    make_pack(tmp_path / "own" / "egg", frames=3)
    make_pack(tmp_path / "own" / "oval", frames=3)
    (tmp_path / "own" / "oval" / "idle.mp4").write_bytes(b"")
    library = await open_library(tmp_path / "bundled", tmp_path / "own")
    assert library.find("egg").frame_count == 3
    assert library.find("oval").frame_count == 2
    with pytest.raises(NotFound, match=r"'nobody'; there are: egg, oval\."):
        library.find("nobody")
