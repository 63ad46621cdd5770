"""The real check of a pack, which dies over packs of certain names."""

from __future__ import annotations

import ctypes
import threading
from pathlib import Path

from ditto_avatar.face import pack_check
from ditto_avatar.guard.messages import Answer


def check_pack(path: Path, into: str | None) -> Answer:
    """Check the pack, or crash, hang, fill the memory."""
    match path.stem:
        case "crash":
            ctypes.string_at(0)
        case "hang":
            tell = path.with_suffix(".fifo")
            if tell.exists():
                tell.write_bytes(b"unpacked")
            threading.Event().wait()
        case "memory":
            bytearray(1 << 32)
        case "fickle":
            pack_check.check_pack(path, into)
            return Answer({"digest": "of other files"})
    return pack_check.check_pack(path, into)
