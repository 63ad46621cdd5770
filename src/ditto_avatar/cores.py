"""Count the processor cores that this process may use, and say how its threads share them."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

QUICK_SWITCH_S = 0.0005

_lock = threading.Lock()
_quick = 0
_before = 0.0


def usable_cores() -> int:
    """Count the cores that the process is allowed to run on; those of the machine where the
    system cannot tell."""
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    return len(allowed) if allowed else os.cpu_count() or 1


@contextmanager
def quick_switches() -> Iterator[None]:
    """Let Python change over between threads ten times as soon, until nobody is inside any more.

    A thread lets others in whenever it leaves Python, to send a packet or to start an operator of
    torch. Beside one that only computes in Python it would then wait for five milliseconds.
    """
    global _quick, _before
    with _lock:
        if not _quick:
            _before = sys.getswitchinterval()
            sys.setswitchinterval(min(_before, QUICK_SWITCH_S))
        _quick += 1
    try:
        yield
    finally:
        with _lock:
            _quick -= 1
            if not _quick:
                sys.setswitchinterval(_before)
