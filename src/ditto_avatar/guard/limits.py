"""Limit what a child process may use for one file."""

from __future__ import annotations

import contextlib
import math
import os
import signal
from dataclasses import dataclass
from pathlib import Path

try:
    import resource
except ImportError:  # Windows has none of these; the deadline of the parent remains.
    resource = None  # type: ignore[assignment]

_OPEN_FILES = 64
_MB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits for the check of one file.

    `memory_mb` counts on top of what the interpreter and its libraries take. `written_mb` bounds
    each file that is written; 0 forbids writing. `returned_mb` bounds all arrays of an answer.
    """

    memory_mb: int = 1_024
    cpu_s: int = 30
    wall_s: float = 45.0
    written_mb: int = 0
    returned_mb: int = 64

    @property
    def returned_bytes(self) -> int:
        """Bytes that all arrays of an answer may have together."""
        return self.returned_mb * _MB


def limit_process(limits: Limits) -> None:
    """Set the limits that hold for the whole life of this process. Call it after the imports,
    since memory is counted from here."""
    if resource is None:
        return
    memory = _address_space_bytes() + limits.memory_mb * _MB
    for kind, most in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_FSIZE, limits.written_mb * _MB),
        (resource.RLIMIT_NOFILE, _OPEN_FILES),
        (resource.RLIMIT_CORE, 0),
    ):
        # A system that lacks one of them, or allows less already, keeps the others.
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(kind, (most, most))


def limit_next_file(limits: Limits) -> None:
    """Give this process the processor time and the wall time of one more file. Past either, the
    system ends it, whatever native code does."""
    if resource is None:
        return
    times = os.times()
    used_s = math.ceil(times.user + times.system)
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CPU, (used_s + limits.cpu_s, hard))
    # The parent has its own deadline. This one ends a child whose parent was killed.
    signal.alarm(math.ceil(limits.wall_s) + 5)


def _address_space_bytes() -> int:
    """Address space of this process now; 0 where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    except (OSError, ValueError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
