from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from ditto_avatar.files import run_to_end, write_whole
from tests.deadlines import TEST_DEADLINE_S


def test_a_file_appears_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"

    def write(unfinished: Path) -> None:
        unfinished.write_text("one")
        assert not path.exists()

    write_whole(path, write)
    assert path.read_text() == "one"
    assert list(path.parent.iterdir()) == [path]


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")

    def write(unfinished: Path) -> None:
        unfinished.write_text("half")
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        write_whole(path, write)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_two_writers_do_not_disturb_each_other(tmp_path: Path) -> None:
    path, both = tmp_path / "file", threading.Barrier(2)

    def write(unfinished: Path, text: str) -> None:
        unfinished.write_text(text)
        both.wait(TEST_DEADLINE_S)
        assert unfinished.read_text() == text

    other = threading.Thread(target=write_whole, args=(path, lambda file: write(file, "b" * 99)))
    other.start()
    write_whole(path, lambda file: write(file, "a" * 99))
    other.join()
    assert path.read_text() in ("a" * 99, "b" * 99)
    assert list(tmp_path.iterdir()) == [path]


async def test_a_caller_that_is_cancelled_waits_for_what_its_thread_has_begun() -> None:
    begun, go_on, done = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        assert go_on.wait(TEST_DEADLINE_S)
        done.set()

    caller = asyncio.create_task(run_to_end(work))
    await asyncio.to_thread(begun.wait, TEST_DEADLINE_S)
    caller.cancel()
    await asyncio.sleep(0)
    assert not caller.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert done.is_set()
