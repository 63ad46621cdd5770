"""Ask the system to take freed memory back, and to allow as many open files as are needed."""

from __future__ import annotations

import ctypes
import gc

# mallopt's names (malloc.h of glibc) for the size from which a buffer gets pages of its own, and
# for the number of heaps that threads share.
_M_MMAP_THRESHOLD, _THRESHOLD_BYTES = -3, 1024 * 1024
_M_ARENA_MAX, _ARENAS = -8, 2
# Rounds over the younger objects (of 7,000 new ones each) between two over all; Python has 10.
_YOUNGER_ROUNDS = 100


def return_large_buffers() -> bool:
    """Give freed buffers of a megabyte or more back to the system at once; False where the C
    library cannot do that. Smaller buffers are shared by all threads.

    By itself glibc raises this size to the largest buffer it has seen freed, up to 32 MB. Pictures
    and sound then come and go in a heap that long-lived small objects keep from shrinking, and in
    as many heaps as eight times the cores.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):  # another C library, another system
        return False
    done = mallopt(_M_MMAP_THRESHOLD, _THRESHOLD_BYTES) and mallopt(_M_ARENA_MAX, _ARENAS)
    return bool(done)


def keep_for_good() -> None:
    """Leave everything that is in memory now out of the garbage collector's rounds. To be called
    once all that lives as long as the process is loaded: a full round over it stops the event loop,
    for everybody, by some tens of milliseconds. Thousands of connections would bring such a round
    about again within seconds, so they become rarer, too; garbage that is young goes as before."""
    gc.collect()
    gc.freeze()
    young, middle, _ = gc.get_threshold()
    gc.set_threshold(young, middle, _YOUNGER_ROUNDS)


def allow_open_files(count: int) -> int:
    """Raise the number of files and connections that this process may have open to `count`, as far
    as the system allows; the number it may have now. Systems start programs with 1,024."""
    try:
        import resource
    except ImportError:  # a system without this limit
        return count
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count if hard == resource.RLIM_INFINITY else min(count, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    return soft
