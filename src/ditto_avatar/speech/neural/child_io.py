"""What the programs of child processes with a model share: their limits, and their two pipes."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ditto_avatar.speech.neural import protocol
else:
    import protocol

_PR_SET_PDEATHSIG = 1
# A voice takes some 300 MB, Supertonic about 1 GB; the address space is larger than that.
_MEMORY_BYTES = 8 << 30
_OPEN_FILES = 128


def begin() -> tuple[int, dict[str, Any]]:
    """Limit this process; returns the descriptor for answers and the order of its argument."""
    _limit()
    # What libraries print must not come between the frames.
    out = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    order: dict[str, Any] = json.loads(sys.argv[1])
    return out, order


def refuse(out: int, error: Exception) -> None:
    """Say that the model cannot be read."""
    write(out, protocol.frame(protocol.FAILED, str(error).encode("utf-8", "replace")[:1_000]))


def frames() -> Iterator[tuple[int, bytes]]:
    """Read frames from stdin; ends the process at its end."""
    while True:
        kind, size = protocol.HEADER.unpack(_read(protocol.HEADER.size))
        yield kind, _read(size)


def requests() -> Iterator[bytes]:
    """Read the payloads of RUN frames, for a model that cannot be stopped."""
    return (payload for kind, payload in frames() if kind == protocol.RUN)


def write(out: int, data: bytes) -> None:
    """Write all of `data`; ends the process when nobody reads any more."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(out, view) :]
        except OSError:
            os._exit(1)


@contextmanager
def processor_time() -> Iterator[Callable[[], float]]:
    """Measure the processor seconds of the block; what it gives tells them afterwards."""
    began = time.process_time()
    ended = began

    def spent() -> float:
        return ended - began

    try:
        yield spent
    finally:
        ended = time.process_time()


def _read(size: int) -> bytes:
    parts = []
    while size:
        part = os.read(0, size)
        if not part:
            os._exit(0)
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _limit() -> None:
    """Leave signals to the server, die with it, and bound memory, files and cores."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    try:
        import resource
    except ImportError:
        return
    limits = {
        resource.RLIMIT_AS: _MEMORY_BYTES,
        resource.RLIMIT_NOFILE: _OPEN_FILES,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_FSIZE: 0,
    }
    for name, limit in limits.items():
        try:
            resource.setrlimit(name, (limit, limit))
        except (ValueError, OSError):
            continue  # the system allows less already
