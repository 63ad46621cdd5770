"""Measure drawing at workers: what it adds, and what is seen when one dies or hangs.

    python -m bench.cluster                 writes both parts of results/cluster.json
    python -m bench.cluster --part ways     one of them: ways there and back, or losses

Workers are processes of their own on this machine, with a face engine that takes a set time for
each picture and no time of the processor: what is measured is the way there and back, the encoding
at the worker, and the taking over.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bench.cluster_latency import latency
from bench.report import Scale, Target, p50, percentile, write_part
from bench.sound import PIECE, sound, speak
from bench.yardstick import Yardstick
from ditto_avatar import event_loop
from ditto_avatar.cluster import worker_pb2 as pb
from ditto_avatar.cluster.messages import Sound
from ditto_avatar.cluster.remote import RemoteEngine
from ditto_avatar.cluster.worker_stream import WorkerStream
from ditto_avatar.face.avatar import Avatar
from ditto_avatar.face.pack import load_avatar
from ditto_avatar.types import Emotion
from tests.fakes.packs import make_pack
from tests.fakes.worker_process import TimedFace, worker_process

KILLS = 100
HANGS = 5
BARGE_INS = 100
FIRST_FRAGMENTS = 40
STREAMS = 40
_SENTENCE_FRAMES = 60
_LONG_FRAMES = 150
_DEADLINE_S = 60.0
_TARGETS = {
    "added_latency_ms_p50": Target("≤ 1", Scale.TIME),
    "added_latency_ms_p99": Target("≤ 5", Scale.TIME),
    "undisturbed_latency_ms_p50": Target("≤ 1"),
    "undisturbed_latency_ms_p99": Target("≤ 5"),
    "plain_tcp_latency_ms_p99": Target("", Scale.TIME),
    "first_fragment_added_ms": Target("≤ 15", Scale.TIME),
    "front_cpu_ms_per_fragment": Target("≤ 0.5", Scale.TIME),
    "worker_killed_noticed_ms_p50": Target("", Scale.TIME),
    "worker_killed_noticed_ms": Target("≤ 100", Scale.TIME),
    "kills_survived_share": Target("1.0"),
    "hung_worker_noticed_ms": Target("≤ 1500"),
    "remote_barge_in_ms_p99": Target("≤ 50", Scale.TIME),
}


def main() -> None:
    """Measure both parts, or one, and write them to ``results/cluster.json``."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--part", choices=("ways", "losses"), help="measure this one only")
    chosen = arguments.parse_args().part
    for part in ("ways", "losses") if chosen is None else (chosen,):
        with (
            Yardstick() as yardstick,
            tempfile.TemporaryDirectory() as folder,
            ExitStack() as stack,
        ):
            make_pack(Path(folder) / "oval")
            measurement = Measurement(Path(folder), stack, yardstick)
            measured = measurement.ways() if part == "ways" else measurement.losses()
            write_part("cluster", part, event_loop.run(measured), _TARGETS, yardstick)


class Measurement:
    """All measurements, with workers that are started and ended as they go."""

    def __init__(self, packs: Path, stack: ExitStack, yardstick: Yardstick) -> None:
        self._packs = packs
        self._stack = stack
        self._yardstick = yardstick
        self._survivor = ""
        self._avatar: Avatar = load_avatar(packs / "oval")

    async def ways(self) -> dict[str, Any]:
        """What drawing at a worker adds, and how soon it stops."""
        figures: dict[str, Any] = {}
        for measure in (self._latency, self._first_fragment, self._front_cpu, self._barge_ins):
            self._yardstick.sample()
            figures |= await measure()
        self._yardstick.sample()
        return figures

    async def losses(self) -> dict[str, Any]:
        """What is seen of workers that die and hang."""
        self._survivor, _ = self._start(1, 0)
        killed = []
        for number in range(KILLS):
            killed.append(await self._strike(signal.SIGKILL, number))
            if number % 25 == 0:
                self._yardstick.sample()
        hung = [await self._strike(signal.SIGSTOP, n) for n in range(HANGS)]
        self._yardstick.sample()
        noticed = [noticed_ms for noticed_ms, _ in killed]
        return {
            "kills": KILLS,
            "kills_survived_share": sum(whole for _, whole in killed) / KILLS,
            "worker_killed_noticed_ms_p50": round(p50(noticed), 1),
            "worker_killed_noticed_ms": round(percentile(noticed, 99), 1),
            "hangs_survived_share": sum(whole for _, whole in hung) / HANGS,
            "hung_worker_noticed_ms": round(max(noticed_ms for noticed_ms, _ in hung), 1),
        }

    async def _latency(self) -> dict[str, Any]:
        return await latency(self._packs, self._avatar, STREAMS, self._yardstick)

    async def _first_fragment(self) -> dict[str, Any]:
        """Sound pushed → first fragment, at a worker and in this process by turns."""
        address, _ = self._start(4, 0)
        remote, local = [], []
        face, executor = TimedFace(0), ThreadPoolExecutor(2)
        engine = await RemoteEngine.connect([address], None, lambda: None)
        for _ in range(FIRST_FRAGMENTS):
            begun = time.perf_counter()
            stream = await engine.open(self._avatar)
            speaking = asyncio.create_task(speak(stream, _SENTENCE_FRAMES))
            async for frame in stream:
                if frame.fragments:
                    remote.append((time.perf_counter() - begun) * 1e3)
                    break
            await stream.cancel()
            await speaking
            begun = time.perf_counter()
            drawing = WorkerStream(await face.open(self._avatar), self._avatar, 0, executor)
            pictures = drawing.run(steps(_SENTENCE_FRAMES))
            async for message in pictures:
                if message.fragments:
                    local.append((time.perf_counter() - begun) * 1e3)
                    break
            await pictures.aclose()
        await engine.close()
        return {
            "first_fragment_remote_ms": round(p50(remote), 1),
            "first_fragment_local_ms": round(p50(local), 1),
            "first_fragment_added_ms": round(p50(remote) - p50(local), 1),
        }

    async def _front_cpu(self) -> dict[str, Any]:
        """Time of the front's processor for each fragment, many streams at the pace of a viewer."""
        address, _ = self._start(STREAMS, 40)
        engine = await RemoteEngine.connect([address], None, lambda: None)

        async def watch() -> int:
            stream = await engine.open(self._avatar)
            await speak(stream, _LONG_FRAMES)
            fragments = 0
            async for frame in stream:
                fragments += len(frame.fragments)
            await stream.cancel()
            return fragments

        begun = time.process_time()
        fragments = sum(await asyncio.gather(*(watch() for _ in range(STREAMS))))
        spent_ms = (time.process_time() - begun) * 1e3
        await engine.close()
        return {"front_cpu_ms_per_fragment": round(spent_ms / fragments, 2), "streams": STREAMS}

    async def _barge_ins(self) -> dict[str, Any]:
        """Cancelled → the worker says that the place is free again."""
        address, _ = self._start(1, 20)
        engine = await RemoteEngine.connect([address], None, lambda: None)
        [worker] = engine.fleet.workers
        took = []
        for _ in range(BARGE_INS):
            stream = await engine.open(self._avatar)
            await speak(stream, _SENTENCE_FRAMES)
            async for _frame in stream:
                break
            begun = time.perf_counter()
            await stream.cancel()
            while worker.free == 0:
                await engine.fleet.changed()
            took.append((time.perf_counter() - begun) * 1e3)
        await engine.close()
        return {
            "remote_barge_in_ms_p50": round(p50(took), 1),
            "remote_barge_in_ms_p99": round(percentile(took, 99), 1),
        }

    async def _strike(self, number: signal.Signals, count: int) -> tuple[float, bool]:
        """Kill or hang a worker in mid-sentence; how long until it is noticed, in ms, and whether
        every picture came once."""
        drawing, process = self._start(5, 10)
        waiting = self._survivor
        moved: list[float] = []
        async with asyncio.timeout(_DEADLINE_S):
            engine = await RemoteEngine.connect(
                [drawing, waiting], None, lambda: moved.append(time.perf_counter())
            )
            while len(engine.fleet.workers) < 2:
                await engine.fleet.changed()
            stream = await engine.open(self._avatar)
            await speak(stream, _SENTENCE_FRAMES)
            indices = []
            struck_at = 0.0
            # At another place of the sentence each time.
            at = 5 + count % 30
            async for frame in stream:
                indices.append(frame.index)
                if len(indices) == at:
                    process.send_signal(number)
                    struck_at = time.perf_counter()
            await stream.cancel()
            await engine.close()
        process.kill()
        process.wait()
        whole = indices == list(range(_SENTENCE_FRAMES)) and len(moved) == 1
        return (moved[0] - struck_at) * 1e3 if moved else 0.0, whole

    def _start(self, places: int, picture_ms: float) -> tuple[str, subprocess.Popen[bytes]]:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        running = worker_process(port, self._packs, places, picture_ms)
        return f"127.0.0.1:{port}", self._stack.enter_context(running)


async def steps(frames: int) -> AsyncIterator[pb.Up]:
    """Yield the same sentence as messages."""
    samples = sound(frames)
    for start in range(0, len(samples), PIECE):
        yield Sound(samples[start : start + PIECE], (), Emotion.NEUTRAL, 1.0).message()
    yield pb.Up(flush=pb.Flush())
    yield pb.Up(finish=pb.Finish())


if __name__ == "__main__":
    main()
