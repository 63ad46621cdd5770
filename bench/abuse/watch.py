"""What is watched while a server is attacked: its memory, and how soon it answers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from bench.serving import Serving

_EVERY_S = 0.02
_SLOWEST_S = 10.0
_ASK = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


@dataclass
class Watch:
    """Memory in MB, before and at its highest, and ms until `/healthz` answered, each time over a
    new connection."""

    before_mb: float
    peak_mb: float
    healthz_ms: list[float] = field(default_factory=list)

    @property
    def growth_mb(self) -> float:
        return self.peak_mb - self.before_mb


@asynccontextmanager
async def watching(server: Serving) -> AsyncIterator[Watch]:
    """Watch `server` inside the block."""
    memory = memory_mb(server.pid)
    watch = Watch(memory, memory)

    async def look() -> None:
        while True:
            watch.healthz_ms.append(await healthz_ms(server.port))
            watch.peak_mb = max(watch.peak_mb, memory_mb(server.pid))
            await asyncio.sleep(_EVERY_S)

    looking = asyncio.create_task(look())
    try:
        yield watch
    finally:
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)
    if looking.done() and not looking.cancelled() and (error := looking.exception()):
        raise error


async def healthz_ms(port: int) -> float:
    """How long a new connection and the answer of `/healthz` take; an answer that does not come
    within 10 s counts as that long."""
    began = time.perf_counter()
    try:
        async with asyncio.timeout(_SLOWEST_S):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(_ASK)
                if not (await reader.read()).startswith(b"HTTP/1.1 200"):
                    return _SLOWEST_S * 1000
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return _SLOWEST_S * 1000
    return (time.perf_counter() - began) * 1000


def memory_mb(pid: int) -> float:
    """The memory of a process and of those that it started, in MB."""
    kilobytes = sum(_resident_kb(process) for process in family(pid))
    return kilobytes / 1024


def family(pid: int) -> list[int]:
    """The process and those that it, and they, started."""
    found = [pid]
    for parent in found:
        for children in Path(f"/proc/{parent}/task").glob("*/children"):
            try:
                found += map(int, children.read_text().split())
            except OSError:
                continue  # it ended meanwhile
    return found


async def metric(server: Serving, name: str) -> float:
    """A figure of `/metrics`, the sum of its lines whatever their labels."""
    async with httpx.AsyncClient() as http:
        lines = (await http.get(f"{server.url}/metrics")).text.splitlines()
    return sum(
        float(line.rpartition(" ")[2])
        for line in lines
        if line.partition(" ")[0].partition("{")[0] == name
    )


def _resident_kb(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))
