"""What a server does with memory that it needs no longer."""

from __future__ import annotations

import gc
import platform
import subprocess
import sys
from collections.abc import Iterator

import pytest

from ditto_avatar.memory import allow_open_files, keep_for_good

# Freeing 16 MB teaches glibc to take buffers up to that size out of its heap. `hblks` counts those
# that have pages of their own, which go back to the system when they are freed.
PROGRAM = """
import ctypes, sys
from ditto_avatar.memory import return_large_buffers

FIELDS = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost"
Info = type("Info", (ctypes.Structure,),
            {"_fields_": [(name, ctypes.c_size_t) for name in FIELDS.split()]})
libc = ctypes.CDLL(None)
libc.mallinfo2.restype = Info
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]

if sys.argv[1] == "returned":
    assert return_large_buffers()
libc.free(libc.malloc(16 * 2**20))
before = libc.mallinfo2().hblks
libc.malloc(2 * 2**20)
print(libc.mallinfo2().hblks - before)
"""


def own_pages(how: str) -> int:
    """How many buffers of 2 MB out of one have pages of their own in a process that has freed a
    larger one."""
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, how], capture_output=True, text=True, check=True
    )
    return int(run.stdout)


def glibc_counts_buffers() -> bool:
    name, version = platform.libc_ver()
    return name == "glibc" and tuple(map(int, version.split("."))) >= (2, 33)


@pytest.mark.skipif(not glibc_counts_buffers(), reason="needs glibc 2.33 or newer")
def test_large_buffers_go_back_to_the_system() -> None:
    assert own_pages("as it is") == 0
    assert own_pages("returned") == 1


@pytest.fixture
def kept() -> Iterator[None]:
    before = gc.get_threshold()
    try:
        keep_for_good()
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


@pytest.mark.usefixtures("kept")
def test_what_is_loaded_at_the_start_is_left_out_of_the_collectors_rounds() -> None:
    assert gc.get_freeze_count() > 10_000
    assert len(gc.get_objects()) < 10_000


@pytest.mark.usefixtures("kept")
def test_thousands_of_connections_bring_about_no_round_over_all() -> None:
    def full_rounds() -> int:
        return int(gc.get_stats()[2]["collections"])

    before = full_rounds()
    held = [[number] for number in range(200_000)]
    assert full_rounds() == before
    assert len(held) == 200_000


def test_open_files_are_allowed_as_far_as_the_system_goes() -> None:
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
        assert allow_open_files(300) == 300
        assert allow_open_files(200) == 300
        assert allow_open_files(10**12) == before[1]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
