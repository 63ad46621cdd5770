"""Have a child process open files of strangers; the parent gets plain data.

    SOUND = Check("ditto_avatar.speech.audio_file:inspect_audio", InvalidAudio, Limits())
    answer = await inspect(SOUND, path)

A file that takes too much memory or time, or that crashes a decoder, ends its child and nothing
else. It is refused with the check's error, in one sentence.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from ditto_avatar.errors import InvalidInput, Unavailable
from ditto_avatar.guard.limits import Limits
from ditto_avatar.guard.messages import (
    MAX_LINE_BYTES,
    Answer,
    Array,
    BrokenAnswer,
    Message,
    build,
    decode,
    encode,
    size_of,
)

_START_S = 30.0
_DEATH_S = 1.0
_LONGEST_REASON = 400
# What a pipe raises when its child is gone, or when the child writes what is no answer.
_BROKEN = (OSError, EOFError, ValueError, asyncio.LimitOverrunError, BrokenAnswer)

# The child imports what its parent would, wherever that lies; `-I` alone would not find it.
_PROGRAM = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from ditto_avatar.guard.child import main; main()"
)
# Nothing of the parent's environment: there are keys in it. One thread each for the libraries,
# since threads take address space before they do anything.
_ENVIRONMENT = {
    "LC_ALL": "C.UTF-8",
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "2",
    "OPENCV_IO_MAX_IMAGE_PIXELS": "100000000",
}


@dataclass(frozen=True, slots=True)
class Check:
    """A function that a child runs over one file: ``module:function``.

    It takes a path and keyword arguments that JSON can hold, and returns an `Answer`. It refuses
    a file with a domain error. `error` is raised in the parent then, and when the child dies.
    """

    function: str
    error: type[InvalidInput]
    limits: Limits = field(default_factory=Limits)


async def inspect(check: Check, path: Path, **arguments: Any) -> Answer:
    """Run `check` over the file at `path` in a child process.

    Raises the check's error for a file that is refused, `Unavailable` when no child can be
    started. Cancelling is safe: the child is killed and waited for.
    """
    async with Inspector(check) as inspector:
        return await inspector.inspect(path, **arguments)


def inspect_blocking(check: Check, path: Path, **arguments: Any) -> Answer:
    """Do the same as `inspect` where no event loop runs in this thread."""
    return asyncio.run(inspect(check, path, **arguments))


class _Lost(Exception):
    """The child is of no use any more; the text says why."""


class Inspector:
    """Run `check` over one file after the other, all in one child while it lives.

    The child is started by the first file, and again by the file after one that killed it. One
    caller at a time. Leave the ``async with`` block to end the child.
    """

    def __init__(self, check: Check) -> None:
        self._check = check
        self._process: Process | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._end()

    async def inspect(self, path: Path, **arguments: Any) -> Answer:
        """Run the check over the file at `path`. Errors and cancelling are as for
        `guard.inspector.inspect`."""
        try:
            process = self._process or await self._start()
            arrays, last = await self._exchange(process, path, arguments)
        except BaseException:
            await self._end()
            raise
        if "value" in last:
            return Answer(last["value"], arrays)
        if "error" in last:
            raise self._check.error(one_line(last["error"]))
        raise self._refusal(path, f"it is damaged ({one_line(last.get('damaged'))})")

    async def _start(self) -> Process:
        order = {"function": self._check.function, "limits": asdict(self._check.limits)}
        try:
            # Kept at once: a caller that gives up from here on ends this child.
            process = self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-I",
                "-c",
                _PROGRAM,
                _search_path(),
                stdin=PIPE,
                stdout=PIPE,
                stderr=DEVNULL,
                env=_ENVIRONMENT,
                cwd="/",
                limit=MAX_LINE_BYTES,
                start_new_session=True,
            )
            async with asyncio.timeout(_START_S):
                _, message = await _ask(process, order, 0)
        except (_Lost, *_BROKEN, TimeoutError) as error:
            raise Unavailable("The process that opens files could not be started.") from error
        if "ready" not in message:
            reason = one_line(message.get("broken"))
            raise Unavailable(f"The process that opens files could not be started: {reason}.")
        return process

    async def _exchange(
        self, process: Process, path: Path, arguments: Message
    ) -> tuple[list[Array], Message]:
        """Raises the check's error for whatever makes the child useless."""
        limits = self._check.limits
        try:
            async with asyncio.timeout(limits.wall_s):
                arrays, last = await _ask(process, _request(path, arguments), limits.returned_bytes)
        except TimeoutError:
            reason = _too_slow(limits)
        except _Lost as lost:
            reason = str(lost)
        except _BROKEN:
            reason = await _cause_of_death(process, limits)
        else:
            if "memory" not in last:
                return arrays, last
            reason = f"reading it takes more than {limits.memory_mb} MB of memory"
        raise self._refusal(path, reason)

    def _refusal(self, path: Path, reason: str) -> InvalidInput:
        return self._check.error(f"{one_line(path.name)!r} cannot be used: {reason}.")

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        # Reads what is left, closes the pipes and waits.
        with contextlib.suppress(OSError):
            await process.communicate()


def _search_path() -> str:
    return json.dumps([str(Path(entry).absolute()) for entry in sys.path if entry])


def _request(path: Path, arguments: Message) -> Message:
    # Absolute, so that no name is taken for an address by a library.
    return {"path": str(path.absolute()), "arguments": arguments}


async def _ask(process: Process, request: Message, most_bytes: int) -> tuple[list[Array], Message]:
    """Send a line; read arrays of at most `most_bytes` together, and the message after them."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(encode(request))
    await process.stdin.drain()
    arrays: list[Array] = []
    left = most_bytes
    while True:
        message = decode(await process.stdout.readuntil(b"\n"))
        if "array" not in message:
            return arrays, message
        size = size_of(message["array"])
        left -= size
        if left < 0:
            raise _Lost(f"it holds more than {most_bytes // 1_048_576} MB of pictures or sound")
        arrays.append(build(message["array"], await process.stdout.readexactly(size)))


async def _cause_of_death(process: Process, limits: Limits) -> str:
    try:
        async with asyncio.timeout(_DEATH_S):
            status = await process.wait()
    except TimeoutError:
        return "the process that reads it gave no answer"
    match -status:
        case signal.SIGXCPU:
            return f"reading it takes more than {limits.cpu_s} seconds of processor time"
        case signal.SIGALRM:
            return _too_slow(limits)
        case signal.SIGKILL:
            return "the system ended the process that reads it, perhaps for want of memory"
        case number if number > 0:
            return f"reading it crashes the decoder ({signal.Signals(number).name})"
    return f"the process that reads it ended with the status {status}"


def _too_slow(limits: Limits) -> str:
    return f"reading it takes longer than {limits.wall_s:g} seconds"


def one_line(text: object) -> str:
    """Return `text` as it may stand in a log: printable, on one line, and not too long."""
    shown = "".join(sign if sign.isprintable() else " " for sign in str(text))
    shortened = shown[:_LONGEST_REASON]
    return shortened if shortened == shown else f"{shortened}…"
