"""One child process that owns a model, as the server sees it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ditto_avatar.speech.neural import protocol


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long, in seconds, is waited for a child to be free, to be ready, and for one run.
    A voice of 60 MB is ready after 1 s and runs a clause in 0.3 s on one core; Kokoro's runs take
    as long as the sound lasts."""

    free_s: float = 2.0
    start_s: float = 60.0
    run_s: float = 60.0


@dataclass(frozen=True, slots=True)
class Result:
    """What a run gave: its header, arrays by name, and the processor time that it took in
    seconds."""

    head: Mapping[str, Any]
    arrays: Mapping[str, protocol.Array]
    cpu_s: float


class ChildFailed(Exception):
    """A child is of no more use. `reason` is one of few words (``died``, ``hung``, ``nonsense``,
    ``damaged``), for a metric; `text` says more where the child said it."""

    def __init__(self, reason: str, text: str = "") -> None:
        super().__init__(f"{reason}: {text}" if text else reason)
        self.reason = reason
        self.text = text


class RunFailed(Exception):
    """The model refused its inputs; the child goes on."""


class Stopped(Exception):
    """The run was stopped, as it was asked to."""


class ChildProcess:
    """A running child. One run at a time; the runner sees to that."""

    def __init__(self, process: asyncio.subprocess.Process, deadlines: Deadlines) -> None:
        self._process = process
        self._deadlines = deadlines

    @classmethod
    async def start(
        cls, program: Path, order: Mapping[str, Any], deadlines: Deadlines
    ) -> ChildProcess:
        """Start `program` with its `order`, and wait until it has read its model. Raises
        `ChildFailed`, or `OSError` when the system starts no process. Cancelling is safe: none
        stays behind."""
        process = await asyncio.create_subprocess_exec(
            # Without the environment and its keys: the child needs none of it.
            sys.executable, "-I", str(program), json.dumps(order),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={},
            cwd="/",
        )  # fmt: skip
        child = cls(process, deadlines)
        try:
            await child._wait_until_ready()
        except BaseException:
            await child.end()
            raise
        return child

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.returncode is None

    async def run(self, head: Mapping[str, Any], inputs: Mapping[str, protocol.Array]) -> Result:
        """Run the model. Raises `RunFailed`, `Stopped` after `stop`, and `ChildFailed`; after the
        last one, and after a cancellation, the child must be ended."""
        self._send(protocol.frame(protocol.RUN, protocol.pack(head, inputs)))
        kind, payload = await self._answer(self._deadlines.run_s)
        if kind == protocol.STOPPED:
            raise Stopped
        if kind == protocol.FAILED:
            raise RunFailed(payload.decode("utf-8", "replace"))
        if kind != protocol.RESULT:
            raise ChildFailed("nonsense")
        try:
            head, arrays = protocol.unpack(payload)
            return Result(head, arrays, float(head["cpu_s"]))
        except (ValueError, KeyError, TypeError):
            raise ChildFailed("nonsense") from None

    def stop(self) -> None:
        """Stop what runs now; ONNX Runtime does so between two operators."""
        self._send(protocol.frame(protocol.STOP))

    def kill(self) -> None:
        """Kill the process, if it is not gone already."""
        if self.alive:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    async def end(self) -> None:
        """Kill the process and wait until it is gone. Cancelling is safe: it is killed first."""
        self.kill()
        assert self._process.stdin is not None
        self._process.stdin.close()
        # Reads what is left in the pipe, which would keep it open.
        await self._process.communicate()

    def _send(self, data: bytes) -> None:
        # A child that is gone is noticed where it is listened to.
        assert self._process.stdin is not None
        self._process.stdin.write(data)

    async def _wait_until_ready(self) -> None:
        kind, payload = await self._answer(self._deadlines.start_s)
        if kind == protocol.FAILED:
            raise ChildFailed("damaged", payload.decode("utf-8", "replace"))
        if kind != protocol.READY:
            raise ChildFailed("nonsense")

    async def _answer(self, within_s: float) -> tuple[int, bytes]:
        """Read a frame. A child whose memory was overwritten may send anything."""
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(within_s):
                header = await self._process.stdout.readexactly(protocol.HEADER.size)
                kind, size = protocol.HEADER.unpack(header)
                if size > protocol.MAX_PAYLOAD_BYTES:
                    raise ChildFailed("nonsense")
                return kind, await self._process.stdout.readexactly(size)
        except (asyncio.IncompleteReadError, ConnectionError):
            raise ChildFailed("died") from None
        except TimeoutError:
            raise ChildFailed("hung") from None
