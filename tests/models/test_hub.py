"""Files come from a hub, whole and as it lists them, or a sentence says why not."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ditto_avatar.errors import (
    InvalidCheckpoint,
    LicenseNotAccepted,
    ProviderFailed,
    StorageFull,
)
from ditto_avatar.models.hub import (
    Progress,
    RemoteFile,
    check_license,
    download,
    is_complete,
    list_files,
)
from tests.deadlines import TEST_DEADLINE_S
from tests.fakes import model_hub

REPOSITORY = "someone/voices"
LARGE, SMALL = "en/large.onnx", "en/large.onnx.json"
FILES = {
    LARGE: np.random.default_rng(1).bytes(900_000),
    SMALL: b'{"audio": {"sample_rate": 22050}}',
    "README.md": b"not wanted",
}


@pytest.fixture
def hub() -> Iterator[model_hub.ModelHub]:
    with model_hub.serve(REPOSITORY, dict(FILES)) as served:
        yield served


def listing(hub: model_hub.ModelHub) -> list[RemoteFile]:
    return list_files(REPOSITORY, [LARGE, SMALL], endpoint=hub.address)


def parts_in(folder: Path) -> list[Path]:
    return list(folder.rglob("*.part"))


async def test_files_arrive_with_progress_and_leave_no_parts(
    hub: model_hub.ModelHub, tmp_path: Path
) -> None:
    told: list[Progress] = []
    fetched = await download(listing(hub), tmp_path / "new" / "folder", tell=told.append)
    assert [file.path for file in fetched] == [LARGE, SMALL]
    assert (tmp_path / "new/folder" / LARGE).read_bytes() == FILES[LARGE]
    assert (tmp_path / "new/folder" / SMALL).read_bytes() == FILES[SMALL]
    assert not parts_in(tmp_path)
    done = [progress.done for progress in told]
    assert done == sorted(done)
    assert done[-1] == told[-1].total == len(FILES[LARGE]) + len(FILES[SMALL])


async def test_what_is_there_is_not_fetched_again(hub: model_hub.ModelHub, tmp_path: Path) -> None:
    await download(listing(hub), tmp_path)
    hub.requests.clear()
    assert await download(listing(hub), tmp_path) == []
    assert hub.requests == []


async def test_a_changed_file_is_fetched_again(hub: model_hub.ModelHub, tmp_path: Path) -> None:
    await download(listing(hub), tmp_path)
    (tmp_path / LARGE).write_bytes(FILES[LARGE][:-1] + b"?")
    assert [file.path for file in await download(listing(hub), tmp_path)] == [LARGE]
    assert (tmp_path / LARGE).read_bytes() == FILES[LARGE]


async def test_a_transfer_that_broke_off_goes_on_where_it_was(
    hub: model_hub.ModelHub, tmp_path: Path
) -> None:
    hub.cut[LARGE] = 500_000
    await download(listing(hub), tmp_path)
    assert [wanted for name, wanted in hub.requests if name == LARGE] == [None, "bytes=500000-"]
    assert (tmp_path / LARGE).read_bytes() == FILES[LARGE]


async def test_a_cancelled_download_stops_at_once_and_goes_on_the_next_time(
    hub: model_hub.ModelHub, tmp_path: Path
) -> None:
    hub.held[LARGE] = 300_000
    arrived = asyncio.Event()
    loop = asyncio.get_running_loop()

    def tell(progress: Progress) -> None:
        if progress.done >= 300_000:
            loop.call_soon_threadsafe(arrived.set)

    files = await asyncio.to_thread(listing, hub)
    task = asyncio.create_task(download(files, tmp_path, tell=tell))
    await asyncio.wait_for(arrived.wait(), TEST_DEADLINE_S)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, TEST_DEADLINE_S)
    assert not (tmp_path / LARGE).exists()
    kept = parts_in(tmp_path)[0].stat().st_size
    assert 0 < kept <= 300_000
    hub.release.set()
    await download(files, tmp_path)
    assert hub.requests[1] == (LARGE, f"bytes={kept}-")
    assert (tmp_path / LARGE).read_bytes() == FILES[LARGE]


async def test_a_file_that_stays_damaged_is_refused_and_removed(
    hub: model_hub.ModelHub, tmp_path: Path
) -> None:
    hub.spoiled.add(LARGE)
    with pytest.raises(InvalidCheckpoint, match=r"large\.onnx arrived damaged 2 times"):
        await download(listing(hub), tmp_path)
    assert not (tmp_path / LARGE).exists()
    assert not parts_in(tmp_path)


def test_another_file_than_the_known_one_is_refused(hub: model_hub.ModelHub) -> None:
    known = {LARGE: hashlib.sha256(FILES[LARGE]).hexdigest()}
    assert len(list_files(REPOSITORY, [LARGE], endpoint=hub.address, pinned=known)) == 1
    with pytest.raises(InvalidCheckpoint, match="is another file than the known one"):
        list_files(REPOSITORY, [LARGE], endpoint=hub.address, pinned={LARGE: "0" * 64})


def test_a_hub_that_is_not_there_is_named() -> None:
    with pytest.raises(ProviderFailed, match=r"127\.0\.0\.1:1 does not answer"):
        list_files(REPOSITORY, [LARGE], endpoint="http://127.0.0.1:1")


def test_a_file_the_hub_lacks_is_named(hub: model_hub.ModelHub) -> None:
    with pytest.raises(ProviderFailed, match=r"has no en/other\.onnx"):
        list_files(REPOSITORY, ["en/other.onnx"], endpoint=hub.address)


async def test_a_file_that_is_gone_by_now_is_named(hub: model_hub.ModelHub, tmp_path: Path) -> None:
    files = listing(hub)
    hub.files = {}
    with pytest.raises(ProviderFailed, match=r"large\.onnx did not arrive: .*status 404"):
        await download(files, tmp_path)


async def test_a_full_disk_is_told_before_anything_is_fetched(
    hub: model_hub.ModelHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=1_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(StorageFull, match="make room"):
        await download(listing(hub), tmp_path / "new")
    assert hub.requests == []
    assert not (tmp_path / "new").exists()


async def test_a_disk_that_fills_up_on_the_way_is_told(
    hub: model_hub.ModelHub, tmp_path: Path
) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("only Linux has a device that is always full")
    files = listing(hub)
    digest = files[0].digest[1][:12]
    (tmp_path / "en").mkdir()
    (tmp_path / "en" / f".large.onnx.{digest}.part").symlink_to("/dev/full")
    with pytest.raises(StorageFull, match="cannot be written: No space left"):
        await download(files, tmp_path)


async def test_an_address_that_is_none_of_the_web_is_not_opened(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"x")
    file = RemoteFile("copy", secret.as_uri(), 1, ("sha256", hashlib.sha256(b"x").hexdigest()))
    with pytest.raises(ProviderFailed, match="no address of the web"):
        await download([file], tmp_path / "out")
    assert not is_complete(tmp_path / "out", file)


def test_terms_that_were_not_accepted_are_named() -> None:
    check_license("supertonic", "OpenRAIL-M", accepted=True)
    with pytest.raises(LicenseNotAccepted, match=r"supertonic comes under OpenRAIL-M.*--accept"):
        check_license("supertonic", "OpenRAIL-M", accepted=False)
