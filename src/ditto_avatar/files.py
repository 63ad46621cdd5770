"""Write files whole or not at all, and finish what a thread has begun."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary file beside `path`, and give it that name when it is complete.

    A reader finds the old file or the new one, and several writers do not disturb each other.
    Raises what `write` raises, and `OSError`; then nothing is left behind. A process that is killed
    leaves a file ``.<name>.….part``. Blocks.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.part")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        write(temporary)
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


async def run_to_end(work: Callable[[], T]) -> T:
    """Run `work`, which blocks, in a thread. Raises what it raises. When cancelled it waits for the
    end first, since nothing stops a thread: what `work` leaves behind can be removed then."""
    running = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        raise
