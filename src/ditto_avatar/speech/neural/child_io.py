"""What the programs of child processes with a model share: their order, and the time they take."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ditto_avatar.speech.child_processes import inside
else:
    import inside

# A voice takes some 300 MB, Supertonic about 1 GB; the address space is larger than that.
_MEMORY_BYTES = 8 << 30
_OPEN_FILES = 128


def begin() -> tuple[int, dict[str, Any]]:
    """Limit this process; return the descriptor for answers and the order of its argument."""
    return inside.begin(_MEMORY_BYTES, _OPEN_FILES, may_fork=True), order()


def order() -> dict[str, Any]:
    """Return the order of the program's argument."""
    wanted: dict[str, Any] = json.loads(sys.argv[1])
    return wanted


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
