"""Measure the way of a fragment from a worker to its server, beside that of as many bytes without
gRPC: what both share is the machine's, its neighbours' work included. Where the system allows it,
some rounds more are run ahead of all neighbours, with the priority of real-time programs."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from bench.report import p50, percentile
from bench.sound import speak
from bench.transport_worker import FRAMES, latency_ms
from bench.yardstick import Yardstick
from ditto_avatar.cluster.remote import RemoteEngine
from ditto_avatar.face.avatar import Avatar
from ditto_avatar.memory import keep_for_good

ROUNDS, UNDISTURBED_ROUNDS = 5, 3
_PRIORITY = 20
_FRAGMENT_BYTES, _FRAGMENT_MS, _FRAGMENTS = 40_000, 200, 30


async def latency(
    packs: Path, avatar: Avatar, streams: int, yardstick: Yardstick
) -> dict[str, Any]:
    """Made at the worker → in the hands of who reads the stream, `streams` at once; by turns with
    plain TCP. Percentiles are the median over the rounds, and those of the worst round."""
    ports = _free_port(), _free_port()
    command = [sys.executable, "-m", "bench.transport_worker", str(packs)]
    command += map(str, (*ports, streams, _FRAGMENT_BYTES, _FRAGMENT_MS))
    process = await asyncio.create_subprocess_exec(*command)
    engine = await RemoteEngine.connect([f"127.0.0.1:{ports[0]}"], None, lambda: None)
    # As a server does once it is loaded.
    keep_for_good()

    async def remote(took: list[float]) -> None:
        stream = await engine.open(avatar)
        await speak(stream, FRAMES * _FRAGMENTS)
        async for frame in stream:
            took.extend(latency_ms(fragment) for fragment in frame.fragments)
        await stream.cancel()

    async def bare(took: list[float]) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", ports[1], limit=1 << 20)
        writer.write(struct.pack("<I", _FRAGMENTS))
        for _ in range(_FRAGMENTS):
            took.append(latency_ms(await reader.readexactly(_FRAGMENT_BYTES)))
        writer.close()

    async def round_of(watch: Any) -> list[float]:
        async def begin(number: int) -> None:
            # One after the other, as viewers come.
            await asyncio.sleep(number * _FRAGMENT_MS / 1000 / streams)
            await watch(took)

        took: list[float] = []
        await asyncio.gather(*map(begin, range(streams)))
        return took

    rounds, bare_rounds = [], []
    for _ in range(ROUNDS):
        yardstick.sample()
        bare_rounds.append(await round_of(bare))
        rounds.append(await round_of(remote))
    undisturbed = []
    with ahead_of_others(os.getpid(), process.pid) as allowed:
        for _ in range(UNDISTURBED_ROUNDS if allowed else 0):
            undisturbed.append(await round_of(remote))
    await engine.close()
    process.kill()
    await process.wait()
    p99s = [percentile(took, 99) for took in rounds]
    figures = {
        "added_latency_ms_p50": round(p50([p50(took) for took in rounds]), 2),
        "added_latency_ms_p99": round(p50(p99s), 2),
        "added_latency_ms_p99_worst_round": round(max(p99s), 2),
        "plain_tcp_latency_ms_p50": round(p50([p50(took) for took in bare_rounds]), 2),
        "plain_tcp_latency_ms_p99": round(p50([percentile(took, 99) for took in bare_rounds]), 2),
        "added_latency_fragments": sum(map(len, rounds)),
    }
    if undisturbed:
        p99s = [percentile(took, 99) for took in undisturbed]
        figures |= {
            "undisturbed_latency_ms_p50": round(p50([p50(took) for took in undisturbed]), 2),
            "undisturbed_latency_ms_p99": round(p50(p99s), 2),
            "undisturbed_latency_ms_p99_worst_round": round(max(p99s), 2),
        }
    return figures


@contextmanager
def ahead_of_others(*processes: int) -> Iterator[bool]:
    """Run all threads of these processes before those of others; False where that is not
    allowed."""
    threads = [int(path.name) for pid in processes for path in Path(f"/proc/{pid}/task").glob("*")]
    try:
        for thread in threads:
            os.sched_setscheduler(thread, os.SCHED_RR, os.sched_param(_PRIORITY))
    except (AttributeError, OSError):
        threads = []
    try:
        yield bool(threads)
    finally:
        for thread in threads:
            with suppress(ProcessLookupError):
                os.sched_setscheduler(thread, os.SCHED_OTHER, os.sched_param(0))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
