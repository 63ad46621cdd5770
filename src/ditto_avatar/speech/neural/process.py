"""One child process that owns a model, as the server sees it."""

from __future__ import annotations

import json
from asyncio.subprocess import Process
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ditto_avatar.speech.child_processes import frames
from ditto_avatar.speech.child_processes.client import ChildFailed, ChildProcess, spawn
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


class RunFailed(Exception):
    """The model refused its inputs; the child goes on."""


class Stopped(Exception):
    """The run was stopped, as it was asked to."""


class ModelProcess(ChildProcess):
    """A running child with its model."""

    def __init__(self, process: Process, deadlines: Deadlines) -> None:
        super().__init__(process, protocol.MAX_PAYLOAD_BYTES)
        self._deadlines = deadlines

    @classmethod
    async def start(
        cls, program: Path, order: Mapping[str, Any], deadlines: Deadlines
    ) -> ModelProcess:
        """Start `program` with its `order`, and wait until it has read its model. Raises
        `ChildFailed`, or `OSError` when the system starts no process. Cancelling is safe: none
        stays behind."""
        child = cls(await spawn(str(program), json.dumps(order)), deadlines)
        await child.wait_until_ready(deadlines.start_s)
        return child

    async def run(self, head: Mapping[str, Any], inputs: Mapping[str, protocol.Array]) -> Result:
        """Run the model. Raises `RunFailed`, `Stopped` after `stop`, and `ChildFailed`; after the
        last one, and after a cancellation, the child must be ended."""
        self.send(protocol.RUN, protocol.pack(head, inputs))
        kind, payload = await self.answer(self._deadlines.run_s)
        if kind == protocol.STOPPED:
            raise Stopped
        if kind == frames.FAILED:
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
        self.send(protocol.STOP)
