"""How the process's memory is given back to the system."""

from __future__ import annotations

import ctypes

# mallopt's name for the size from which a buffer gets pages of its own (malloc.h of glibc).
_M_MMAP_THRESHOLD = -3
_THRESHOLD_BYTES = 1024 * 1024


def return_large_buffers() -> bool:
    """Lets every freed buffer of a megabyte or more go back to the system at once; whether the C
    library can do that.

    By itself glibc raises this size to the largest buffer it has seen freed, up to 32 MB. Pictures
    and sound then come and go in a heap that long-lived small objects keep from shrinking.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):  # another C library, another system
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, _THRESHOLD_BYTES))
