"""A file that a stranger made is opened elsewhere, and can hurt nothing there."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from ditto_avatar.errors import InvalidAudio, Unavailable
from ditto_avatar.guard.inspector import Check, Inspector, inspect, inspect_blocking
from ditto_avatar.guard.limits import Limits

LIMITS = Limits(memory_mb=200, cpu_s=1, wall_s=20, returned_mb=1)
READ = Check("tests.guard.checks:read", InvalidAudio, LIMITS)
HURRIED = Check("tests.guard.checks:read", InvalidAudio, Limits(memory_mb=200, wall_s=0.3))


def file(folder: Path, does: str) -> Path:
    path = folder / f"{does}.bin"
    path.write_text(does, encoding="utf-8")
    return path


async def refusal(check: Check, path: Path) -> str:
    with pytest.raises(InvalidAudio) as caught:
        await inspect(check, path)
    return str(caught.value)


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_a_check_runs_in_another_process_that_is_gone_afterwards(tmp_path: Path) -> None:
    answer = await inspect(READ, file(tmp_path, "good"))
    assert answer.value["pid"] != os.getpid()
    assert not is_running(answer.value["pid"])


def test_it_can_be_called_without_an_event_loop(tmp_path: Path) -> None:
    assert inspect_blocking(READ, file(tmp_path, "good")).value["pid"] != os.getpid()


async def test_arrays_come_back_as_they_were(tmp_path: Path) -> None:
    check = Check("tests.guard.checks:arrays", InvalidAudio, LIMITS)
    answer = await inspect(check, file(tmp_path, "any"), count=3)
    *found, empty = answer.arrays
    assert answer.value == {"count": 3}
    assert [array.tolist() for array in found] == [[[i] * 3] * 2 for i in range(3)]
    assert empty.shape == (0,)


async def test_the_child_knows_no_key_and_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    check = Check("tests.guard.checks:environment", InvalidAudio, LIMITS)
    answer = await inspect(check, file(tmp_path, "any"))
    assert "OPENAI_API_KEY" not in answer.value["names"]
    assert answer.value["folder"] == "/"


async def test_what_a_library_prints_does_not_get_into_the_answer(tmp_path: Path) -> None:
    assert "pid" in (await inspect(READ, file(tmp_path, "chatter"))).value


@pytest.mark.parametrize(
    ("does", "reason"),
    [
        ("damaged", "it is damaged (KeyError: 'a surprise')"),
        ("crash", "reading it crashes the decoder (SIGSEGV)"),
        ("abort", "reading it crashes the decoder (SIGABRT)"),
        ("native-memory", "reading it crashes the decoder (SIGABRT)"),
        ("memory", "reading it takes more than 200 MB of memory"),
        ("spin", "reading it takes more than 1 seconds of processor time"),
        ("killed", "the system ended the process that reads it, perhaps for want of memory"),
        ("leave", "the process that reads it ended with the status 3"),
        ("lie", "it holds more than 1 MB of pictures or sound"),
        ("negative", "the process that reads it gave no answer"),
        ("object", "the process that reads it gave no answer"),
        ("babble", "the process that reads it gave no answer"),
        ("long", "the process that reads it gave no answer"),
    ],
)
async def test_whatever_a_file_does_it_is_refused_in_one_sentence(
    tmp_path: Path, does: str, reason: str
) -> None:
    assert await refusal(READ, file(tmp_path, does)) == f"'{does}.bin' cannot be used: {reason}."


@pytest.mark.parametrize("does", ["write", "open"])
async def test_a_child_can_neither_write_nor_open_much(tmp_path: Path, does: str) -> None:
    assert "it is damaged (OSError" in await refusal(READ, file(tmp_path, does))
    assert not (tmp_path / "written").exists() or not (tmp_path / "written").stat().st_size


async def test_a_check_that_hangs_ends_at_its_deadline(tmp_path: Path) -> None:
    sentence = await refusal(HURRIED, file(tmp_path, "hang"))
    assert sentence == "'hang.bin' cannot be used: reading it takes longer than 0.3 seconds."


async def test_a_refusal_is_one_printable_line(tmp_path: Path) -> None:
    assert await refusal(READ, file(tmp_path, "refuse")) == "it is not  [31mgood"


async def test_one_child_reads_many_files_and_is_replaced_after_the_one_that_killed_it(
    tmp_path: Path,
) -> None:
    good, pids = file(tmp_path, "good"), []
    async with Inspector(READ) as inspector:
        for does in ("refuse", "damaged", "crash", "memory"):
            pids.append((await inspector.inspect(good)).value["pid"])
            with pytest.raises(InvalidAudio):
                await inspector.inspect(file(tmp_path, does))
        pids.append((await inspector.inspect(good)).value["pid"])
    first, second, third, after_crash, after_memory = pids
    assert first == second == third
    assert len({third, after_crash, after_memory}) == 3
    assert not any(is_running(pid) for pid in pids)


async def test_processor_time_is_counted_for_each_file(tmp_path: Path) -> None:
    check = Check("tests.guard.checks:read", InvalidAudio, Limits(cpu_s=2))
    async with Inspector(check) as inspector:
        for _ in range(2):
            with pytest.raises(InvalidAudio, match="processor time"):
                await inspector.inspect(file(tmp_path, "spin"))
        await inspector.inspect(file(tmp_path, "good"))


async def test_cancelling_leaves_no_process_behind(tmp_path: Path) -> None:
    inspector = Inspector(READ)
    async with inspector:
        pid = (await inspector.inspect(file(tmp_path, "good"))).value["pid"]
        task = asyncio.create_task(inspector.inspect(file(tmp_path, "hang")))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not is_running(pid)


def children() -> set[int]:
    """Processes that this one started and that still run."""
    tasks = Path("/proc/self/task").glob("*/children")
    return {int(pid) for task in tasks for pid in task.read_text(encoding="ascii").split()}


@pytest.mark.parametrize("turns", range(12))
async def test_it_can_be_cancelled_at_every_await(tmp_path: Path, turns: int) -> None:
    inspector, before = Inspector(READ), children()
    task = asyncio.create_task(inspector.inspect(file(tmp_path, "hang")))
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert children() <= before
    async with inspector:
        assert (await inspector.inspect(file(tmp_path, "good"))).value["pid"]


async def test_a_check_that_does_not_exist_is_no_fault_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="could not be started: AttributeError"):
        await inspect(Check("tests.guard.checks:nobody", InvalidAudio), file(tmp_path, "good"))
