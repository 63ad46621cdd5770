"""The frames on the two pipes between the server and a child process.

A frame is its kind (one byte), the length of its payload (four) and the payload, in the byte order
of the machine that both ends share. A child sends READY once, when it can take requests, or FAILED
with a reason when it never will; each program has further kinds of its own. Children run this file
as well: nothing but the standard library, and little of it.
"""

from __future__ import annotations

import struct

READY, FAILED = 1, 2

HEADER = struct.Struct("=BI")
_LONGEST_REASON = 1_000


def frame(kind: int, payload: bytes = b"") -> bytes:
    """Put `payload` behind its header."""
    return HEADER.pack(kind, len(payload)) + payload


def failure(error: Exception) -> bytes:
    """Build a FAILED frame that gives `error` as the reason."""
    return frame(FAILED, str(error).encode("utf-8", "replace")[:_LONGEST_REASON])
