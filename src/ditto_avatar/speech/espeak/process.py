"""One child process that owns an espeak-ng, as the server sees it."""

from __future__ import annotations

import asyncio
import os
import signal
import struct
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import espeakng_loader

from ditto_avatar.speech.espeak import protocol
from ditto_avatar.speech.espeak.request import Request
from ditto_avatar.speech.espeak.sound import Frame, Sound
from ditto_avatar.speech.phoneme_stream import PhonemeMark

_PROGRAM = Path(__file__).with_name("child.py")
# 1,000 characters are about a minute; names of rare signs take a second each.
_LONGEST_SOUND = 30 * 60 * protocol.SAMPLE_RATE_HZ


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long, in seconds, is waited for a place in the pool, for a child to be ready, for its
    next frame, and for the whole of a request. A child needs 50 ms to be ready, 1 ms for the
    first frame and 10 ms for a sentence: these are for a machine that is overwhelmed."""

    place_s: float = 60.0
    start_s: float = 20.0
    frame_s: float = 5.0
    request_s: float = 30.0


class ChildFailed(Exception):
    """A child is of no more use. `reason` is one of few words (``died``, ``hung``,
    ``nonsense``), for a metric."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class ChildProcess:
    """A running child. One request at a time; the pool sees to that."""

    def __init__(self, process: asyncio.subprocess.Process, deadlines: Deadlines) -> None:
        self._process = process
        self._deadlines = deadlines
        self.version = ""

    @classmethod
    async def start(cls, deadlines: Deadlines) -> ChildProcess:
        """Start a child and wait until it is ready. Raises `ChildFailed`, or `OSError` when the
        system starts no process. Canceling is safe: no process stays behind."""
        library, data = espeakng_loader.get_library_path(), espeakng_loader.get_data_path()
        process = await asyncio.create_subprocess_exec(
            # Neither site-packages nor the environment with its keys: the child needs neither.
            sys.executable, "-I", "-S", str(_PROGRAM), str(library), str(data),
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

    @property
    def ending(self) -> str:
        """Say how the process ended, once it has: the name of a signal or the exit code."""
        code = self._process.returncode
        if code is not None and code < 0:
            return signal.Signals(-code).name
        return f"exit code {code}"

    async def say(self, request: Request, sound: Sound) -> int:
        """Let the child say `request` into `sound`, from the start; returns how it ended, one of
        `protocol`'s outcomes. When the reader leaves, the child is told to stop and this returns
        within one buffer of sound. Raises `ChildFailed`; after that, and after a cancellation,
        the child must be ended."""
        sound.begin(lambda: self._send(protocol.frame(protocol.STOP)))
        self._send(
            protocol.speak(
                request.text.encode("utf-8", "ignore"),
                request.voice.encode("utf-8", "ignore"),
                request.rate_wpm,
                request.pitch,
                request.pitch_range,
                protocol.SPELL if request.spell else protocol.SPEAK,
            )
        )
        try:
            return await self._listen(sound)
        finally:
            sound.leave_child()

    def kill(self) -> None:
        """Kill the process, if it is not gone already."""
        if self.alive:
            # Not `Process.kill`: that one takes the exit status away from asyncio when the
            # process is dead already.
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    async def end(self) -> None:
        """Kill the process and wait until it is gone. Canceling is safe: it is killed first."""
        self.kill()
        assert self._process.stdin is not None
        self._process.stdin.close()
        # Reads what is left in the pipe, which would keep it open.
        await self._process.communicate()

    def _send(self, data: bytes) -> None:
        # Less than a pipe holds; a child that is gone is noticed where it is listened to.
        assert self._process.stdin is not None
        self._process.stdin.write(data)

    async def _wait_until_ready(self) -> None:
        try:
            async with asyncio.timeout(self._deadlines.start_s):
                kind, payload = await self._receive()
        except TimeoutError:
            raise ChildFailed("hung") from None
        if kind != protocol.READY:
            raise ChildFailed("nonsense")
        self.version = payload.decode("ascii", "replace")

    async def _listen(self, sound: Sound) -> int:
        now = asyncio.get_running_loop().time
        last = now() + self._deadlines.request_s
        try:
            async with asyncio.timeout(None) as deadline:
                while True:
                    deadline.reschedule(min(last, now() + self._deadlines.frame_s))
                    kind, payload = await self._receive()
                    if kind == protocol.DONE and len(payload) == 1:
                        return payload[0]
                    if kind != protocol.SOUND or sound.samples > _LONGEST_SOUND:
                        raise ChildFailed("nonsense")
                    sound.add(_frame(payload))
        except TimeoutError:
            raise ChildFailed("hung") from None

    async def _receive(self) -> tuple[int, bytes]:
        """Read a frame. A child whose memory was overwritten may send anything."""
        assert self._process.stdout is not None
        try:
            header = await self._process.stdout.readexactly(protocol.HEADER.size)
            kind, size = protocol.HEADER.unpack(header)
            if size > protocol.MAX_PAYLOAD_BYTES:
                raise ChildFailed("nonsense")
            return kind, await self._process.stdout.readexactly(size)
        except (asyncio.IncompleteReadError, ConnectionError):
            raise ChildFailed("died") from None


def _frame(payload: bytes) -> Frame:
    try:
        marks, samples = protocol.read_sound(payload)
    except struct.error:
        raise ChildFailed("nonsense") from None
    # A character that did not fit into the eight bytes of a symbol is dropped.
    return Frame(
        samples,
        tuple(PhonemeMark(symbol.decode("utf-8", "ignore"), sample) for sample, symbol in marks),
    )
