"""What a server does with memory that it needs no longer."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

# Buffers with small objects between them, twice: the first time teaches glibc their size.
PROGRAM = """
import os, sys
from pathlib import Path
import numpy as np
from ditto_avatar.server.memory import return_large_buffers

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

if sys.argv[1] == "returned":
    assert return_large_buffers()
kept = []
for _ in range(2):
    buffers = []
    for _ in range(64):
        buffers.append(np.ones(2 * 1024 * 1024, np.uint8))
        kept.append(np.ones(1024, np.uint8))
    full = resident()
    del buffers
print((full - resident()) // 2**20)
"""


def given_back_mb(how: str) -> int:
    """What a process gives back of 128 MB that it has freed."""
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, how], capture_output=True, text=True, check=True
    )
    return int(run.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc's allocator")
def test_large_buffers_go_back_to_the_system() -> None:
    assert given_back_mb("as it is") < 64  # otherwise nothing would have to be done
    assert given_back_mb("returned") > 120
