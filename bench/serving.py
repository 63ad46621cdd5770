"""A server in a process of its own, and a client that speaks the protocol, for the benches."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect


@asynccontextmanager
async def serving(
    log: Path | None = None, data: Path | None = None, /, **settings: str
) -> AsyncIterator[Serving]:
    """`ditto-avatar serve` on a free port; stopped at the end. Its log is added to `log`, or goes
    where ours goes; its data are kept in `data`, or in a folder that is removed at the end. An
    empty setting leaves the server's default; ``{port}`` in one stands for the port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with ExitStack() as stack:
        if data is None:
            data = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        environment = {
            **os.environ,
            "DITTO_DATA_DIR": str(data),
            "DITTO_LOG_LEVEL": "warning",
            "DITTO_TURNS_PER_MINUTE": "100000",
            "DITTO_SESSIONS_PER_MINUTE": "100000",
            "DITTO_MAX_CONNECTIONS_PER_ADDRESS": "1000",
            "DITTO_SHUTDOWN_S": "1",
            **{name: value.replace("{port}", str(port)) for name, value in settings.items()},
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "ditto_avatar.cli", "serve", "--port", str(port),
            env=environment,
            stderr=None if log is None else stack.enter_context(log.open("ab")),
        )  # fmt: skip
        try:
            await _until_ready(port, process)
            yield Serving(port, process)
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()


@dataclass(frozen=True)
class Serving:
    """Where the server listens, and its process."""

    port: int
    process: asyncio.subprocess.Process

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def ended(self) -> bool:
        """Whether the process has ended, by itself or killed."""
        return self.process.returncode is not None

    async def kill(self) -> None:
        """End the process without a word, and wait for its end."""
        self.process.kill()
        await self.process.wait()

    @asynccontextmanager
    async def viewer(self, *, source: str = "127.0.0.1", **hello: Any) -> AsyncIterator[Viewer]:
        """A connection from the address `source` that has been greeted."""
        async with connect(
            f"ws://127.0.0.1:{self.port}/ws", max_size=None, local_addr=(source, 0)
        ) as raw:
            viewer = Viewer(raw)
            await viewer.send(type="hello", **hello)
            await viewer.until("session.ready")
            yield viewer


@dataclass
class Viewer:
    """Notes when each message arrived, in seconds of the monotonic clock."""

    raw: ClientConnection
    messages: list[tuple[float, dict[str, Any]]] = field(default_factory=list)

    async def send(self, **message: Any) -> float:
        """Send a message; when it was sent."""
        now = time.perf_counter()
        await self.raw.send(json.dumps(message))
        return now

    async def until(self, *kinds: str, timeout_s: float = 120) -> tuple[float, dict[str, Any]]:
        """The next message of one of these types, with its time."""
        async with asyncio.timeout(timeout_s):
            while True:
                frame = await self.raw.recv()
                if isinstance(frame, str):
                    entry = (time.perf_counter(), json.loads(frame))
                    self.messages.append(entry)
                    if entry[1]["type"] in kinds:
                        return entry


async def _until_ready(port: int, process: asyncio.subprocess.Process) -> None:
    async with httpx.AsyncClient() as client, asyncio.timeout(120):
        while process.returncode is None:
            try:
                await client.get(f"http://127.0.0.1:{port}/readyz")
            except httpx.TransportError:
                await asyncio.sleep(0.05)  # nothing listens yet, so there is nothing to wait on
            else:
                return
        raise RuntimeError(f"the server ended with exit code {process.returncode}")
