"""Networks run in a child process, which can be stopped, lost and replaced."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

from ditto_avatar.errors import InvalidCheckpoint, SentenceFailed, Unavailable
from ditto_avatar.speech.neural.graph import FLOAT, INT64
from ditto_avatar.speech.neural.networks import PROGRAM, Network, order_of
from ditto_avatar.speech.neural.process import Deadlines
from ditto_avatar.speech.neural.protocol import Array
from ditto_avatar.speech.neural.runner import Runner
from tests.deadlines import TEST_DEADLINE_S
from tests.fakes.voices import DURATIONS, frames_of, write_endless, write_piper

INPUTS: dict[str, Array] = {
    "input": np.array([[1, 0, 9, 0, 2]], np.int64),
    "input_lengths": np.array([5], np.int64),
    "scales": np.array([0, 1, 0], np.float32),
}
ENDLESS: dict[str, Array] = {"input": np.array(0, np.float32)}


@asynccontextmanager
async def opened(
    folder: Path, lost: list[str] | None = None, deadlines: Deadlines | None = None
) -> AsyncIterator[Runner]:
    networks = {
        "voice": Network(write_piper(folder), ((DURATIONS, FLOAT),)),
        "endless": Network(write_endless(folder / "endless.onnx")),
    }
    on_lost = (lambda reason: lost.append(reason)) if lost is not None else None
    runner = Runner(
        "stand-in", PROGRAM, order_of(networks, 1), deadlines=deadlines, on_lost=on_lost
    )
    try:
        yield runner
    finally:
        await runner.close()


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


async def test_a_network_gives_its_output_and_the_durations_inside(tmp_path: Path) -> None:
    async with opened(tmp_path) as runner:
        result = await runner.run({"network": "voice"}, INPUTS)
    frames = [frames_of(number) for number in (1, 0, 9, 0, 2)]
    assert result.arrays[DURATIONS].reshape(-1).tolist() == frames
    assert result.arrays["output"].size == 256 * sum(frames)
    assert result.cpu_s > 0


async def test_durations_that_are_not_what_they_seem_are_left_out(tmp_path: Path) -> None:
    wrong = Network(write_piper(tmp_path), ((DURATIONS, INT64), ("no such value", FLOAT)))
    runner = Runner("stand-in", PROGRAM, order_of({"voice": wrong}, 1))
    try:
        assert list((await runner.run({"network": "voice"}, INPUTS)).arrays) == ["output"]
    finally:
        await runner.close()


async def test_a_run_that_nobody_waits_for_stops_and_frees_its_child(tmp_path: Path) -> None:
    async with opened(tmp_path) as runner:
        await runner.run({"network": "voice"}, INPUTS)
        pids = runner.pids
        task = asyncio.create_task(runner.run({"network": "endless"}, ENDLESS))
        await runner.busy.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(
            runner.run({"network": "voice"}, INPUTS, patient=True), TEST_DEADLINE_S
        )
        assert runner.pids == pids


async def test_a_child_that_dies_is_replaced_and_the_run_is_done_again(tmp_path: Path) -> None:
    lost: list[str] = []
    async with opened(tmp_path, lost) as runner:
        await runner.run({"network": "voice"}, INPUTS)
        (first,) = runner.pids
        os.kill(first, signal.SIGKILL)
        result = await runner.run({"network": "voice"}, INPUTS)
        assert result.arrays["output"].size
        assert runner.pids != [first]
    assert lost == ["died"]


async def test_a_child_that_hangs_is_replaced_and_the_sentence_is_given_up(tmp_path: Path) -> None:
    lost: list[str] = []
    async with opened(tmp_path, lost, Deadlines(run_s=0.2)) as runner:
        with pytest.raises(SentenceFailed, match="failed twice: hung"):
            await runner.run({"network": "endless"}, ENDLESS)
    assert lost == ["hung", "hung"]


async def test_who_waits_for_too_long_is_sent_away(tmp_path: Path) -> None:
    async with opened(tmp_path, deadlines=Deadlines(free_s=0.0)) as runner:
        task = asyncio.create_task(runner.run({"network": "endless"}, ENDLESS))
        await runner.busy.wait()
        with pytest.raises(SentenceFailed, match="is busy"):
            await runner.run({"network": "voice"}, INPUTS)
        task.cancel()
        await asyncio.wait([task])


async def test_inputs_that_a_network_refuses_cost_a_sentence_only(tmp_path: Path) -> None:
    async with opened(tmp_path) as runner:
        with pytest.raises(SentenceFailed, match="stand-in failed"):
            await runner.run({"network": "voice"}, {"input": np.zeros((1, 1), np.int64)})
        pids = runner.pids
        await runner.run({"network": "voice"}, INPUTS)
        assert runner.pids == pids


async def test_a_damaged_file_is_told(tmp_path: Path) -> None:
    path = tmp_path / "voice.onnx"
    path.write_bytes(b"<html>")
    runner = Runner("stand-in", PROGRAM, order_of({"voice": Network(path)}, 1))
    with pytest.raises(InvalidCheckpoint, match="stand-in cannot be read"):
        await runner.run({"network": "voice"}, INPUTS)
    await runner.close()


async def test_closing_ends_the_child_in_the_middle_of_a_run(tmp_path: Path) -> None:
    async with opened(tmp_path) as runner:
        task = asyncio.create_task(runner.run({"network": "endless"}, ENDLESS))
        await runner.busy.wait()
        (pid,) = runner.pids
        await runner.close()
        assert gone(pid)
        with pytest.raises(Unavailable):
            await task
        with pytest.raises(Unavailable):
            await runner.run({"network": "voice"}, INPUTS)
