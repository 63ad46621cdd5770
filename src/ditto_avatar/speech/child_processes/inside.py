"""What the programs of child processes share: their limits, and their two pipes."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ditto_avatar.speech.child_processes import frames
else:
    import frames

_PR_SET_PDEATHSIG = 1


def begin(memory_bytes: int, open_files: int, *, may_fork: bool) -> int:
    """Limit this process; return the descriptor that the server reads. Threads count as forks."""
    _end_with_the_server()
    _limit(memory_bytes, open_files, may_fork=may_fork)
    # What libraries print must not come between the frames.
    out = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return out


def requests() -> Iterator[tuple[int, bytes]]:
    """Read the kind and the payload of each frame from stdin; end the process at its end."""
    while True:
        kind, size = frames.HEADER.unpack(_read(frames.HEADER.size))
        yield kind, _read(size)


def write(out: int, data: bytes) -> None:
    """Write all of `data`; end the process when nobody reads any more."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(out, view) :]
        except OSError:
            # Raising would not reach anybody from inside the callback of a C library.
            os._exit(1)


def _read(size: int) -> bytes:
    parts = []
    while size:
        part = os.read(0, size)
        if not part:
            os._exit(0)
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _end_with_the_server() -> None:
    """Leave signals of the terminal and the service manager to the server, which ends its
    children when it has finished speaking; die with it when it is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _limit(memory_bytes: int, open_files: int, *, may_fork: bool) -> None:
    """Bound memory and open files; no core files and no written files."""
    try:
        import resource
    except ImportError:  # Windows has none of these
        return
    limits = {
        "RLIMIT_AS": memory_bytes,
        "RLIMIT_NOFILE": open_files,
        "RLIMIT_CORE": 0,
        "RLIMIT_FSIZE": 0,
    }
    if not may_fork:
        limits["RLIMIT_NPROC"] = 0
    for name, limit in limits.items():
        try:
            resource.setrlimit(getattr(resource, name), (limit, limit))
        except (AttributeError, ValueError, OSError):
            continue  # not every system has every limit, and some allow less already
