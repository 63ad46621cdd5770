"""Send what goes up to a worker."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import grpc
import grpc.aio

from ditto_avatar.cluster import worker_pb2 as pb
from ditto_avatar.cluster.kept import Step
from ditto_avatar.cluster.messages import Sound

# Sound that waits goes in one message, up to so much of it.
_JOINED_SAMPLES = 32_000


async def keep_sending(call: Any, steps: asyncio.Queue[Step]) -> None:
    """Write `steps` to `call`, pieces of sound that wait together as one, until the call ends. What
    goes wrong is seen by the task that reads. Cancelling is safe."""
    with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
        left: Step | None = None
        while True:
            step = left if left is not None else await steps.get()
            left = None
            if isinstance(step, Sound):
                message, left = _joined(step, steps)
                await call.write(message)
            else:
                await call.write(step)


def _joined(first: Sound, steps: asyncio.Queue[Step]) -> tuple[pb.Up, Step | None]:
    """The message of `first` and of what goes with it, and the step that came after them."""
    sounds, length = [first], len(first.samples)
    after: Step | None = None
    while not steps.empty():
        after = steps.get_nowait()
        if not isinstance(after, Sound) or not first.goes_with(after):
            break
        if length + len(after.samples) > _JOINED_SAMPLES:
            break
        sounds.append(after)
        length += len(after.samples)
        after = None
    return (Sound.joined(sounds) if len(sounds) > 1 else first).message(), after
