"""A child process that answers in frames, as the server sees it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import suppress

from ditto_avatar.speech.child_processes import frames


class ChildFailed(Exception):
    """A child is of no more use. `reason` is one of few words (``died``, ``hung``, ``nonsense``,
    ``damaged``), for a metric; `text` says more where the child said it."""

    def __init__(self, reason: str, text: str = "") -> None:
        super().__init__(f"{reason}: {text}" if text else reason)
        self.reason = reason
        self.text = text


async def spawn(*arguments: str) -> asyncio.subprocess.Process:
    """Start this interpreter with `arguments`, and with nothing else of the server: neither its
    environment, with its keys, nor its folder. Raises `OSError` when the system starts no process.
    Cancelling is safe: no process stays behind."""
    return await asyncio.create_subprocess_exec(
        sys.executable, "-I", *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={},
        cwd="/",
    )  # fmt: skip


class ChildProcess:
    """A running child. One request at a time; its owner sees to that, and ends it after
    `ChildFailed` and after a cancelled request."""

    def __init__(self, process: asyncio.subprocess.Process, max_payload_bytes: int) -> None:
        self._process = process
        self._max_payload_bytes = max_payload_bytes

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.returncode is None

    @property
    def ending(self) -> str:
        """Say how the process ended, once it has: the name of a signal or the exit code."""
        code = self._process.returncode
        if code is not None and code < 0:
            return signal.Signals(-code).name
        return f"exit code {code}"

    async def wait_until_ready(self, within_s: float) -> bytes:
        """Wait for the READY frame of a new child; return its payload. Raises `ChildFailed`.
        After an error and a cancellation the process is gone."""
        try:
            kind, payload = await self.answer(within_s)
            if kind == frames.FAILED:
                raise ChildFailed("damaged", payload.decode("utf-8", "replace"))
            if kind != frames.READY:
                raise ChildFailed("nonsense")
        except BaseException:
            await self.end()
            raise
        return payload

    def send(self, kind: int, payload: bytes = b"") -> None:
        """Send a frame. A child that is gone is noticed by who receives from it."""
        assert self._process.stdin is not None
        self._process.stdin.write(frames.frame(kind, payload))

    async def answer(self, within_s: float) -> tuple[int, bytes]:
        """Receive a frame within `within_s` seconds. Raises `ChildFailed`."""
        try:
            async with asyncio.timeout(within_s):
                return await self.receive()
        except TimeoutError:
            raise ChildFailed("hung") from None

    async def receive(self) -> tuple[int, bytes]:
        """Receive the kind and the payload of a frame, however long it takes. Raises `ChildFailed`:
        a child whose memory was overwritten may send anything."""
        assert self._process.stdout is not None
        try:
            header = await self._process.stdout.readexactly(frames.HEADER.size)
            kind, size = frames.HEADER.unpack(header)
            if size > self._max_payload_bytes:
                raise ChildFailed("nonsense")
            return kind, await self._process.stdout.readexactly(size)
        except (asyncio.IncompleteReadError, ConnectionError):
            raise ChildFailed("died") from None

    def kill(self) -> None:
        """Kill the process, if it is not gone already."""
        if self.alive:
            # Not `Process.kill`: that one takes the exit status away from asyncio when the
            # process is dead already.
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    async def end(self) -> None:
        """Kill the process and wait until it is gone. Cancelling is safe: it is killed first."""
        self.kill()
        assert self._process.stdin is not None
        self._process.stdin.close()
        # Reads what is left in the pipe, which would keep it open.
        await self._process.communicate()
