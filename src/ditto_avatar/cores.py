"""Count the processor cores that this process may use."""

from __future__ import annotations

import os


def usable_cores() -> int:
    """Count the cores that the process is allowed to run on; those of the machine where the
    system cannot tell."""
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    return len(allowed) if allowed else os.cpu_count() or 1
