"""What the server and a child process that owns a model say to each other.

The server sends RUN and, while it runs, STOP; the child answers every RUN with one of RESULT,
STOPPED and `frames.FAILED`. Payloads of RUN and RESULT are a JSON header and the bytes of the
arrays that it names. The child runs this file as well.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

# Behind the kinds that all children share (`child_processes.frames`).
RUN, STOP, RESULT, STOPPED = range(3, 7)

MAX_PAYLOAD_BYTES = 64 << 20
_SIZE = struct.Struct("=I")
# What voices take and give; anything else is nonsense.
_TYPES = {"float32", "float64", "int64", "int32"}

Array = npt.NDArray[Any]


def pack(head: Mapping[str, Any], arrays: Mapping[str, Array]) -> bytes:
    """Build a payload of a JSON header and named arrays."""
    names = [[name, str(array.dtype), list(array.shape)] for name, array in arrays.items()]
    text = json.dumps({**head, "arrays": names}).encode()
    return b"".join(
        [_SIZE.pack(len(text)), text, *(np.ascontiguousarray(a).tobytes() for a in arrays.values())]
    )


def unpack(payload: bytes) -> tuple[dict[str, Any], dict[str, Array]]:
    """Take a payload apart. Raises `ValueError` for one that is not what `pack` builds."""
    try:
        (size,) = _SIZE.unpack_from(payload)
        at = _SIZE.size + size
        head = json.loads(payload[_SIZE.size : at])
        arrays = {}
        for name, kind, shape in head.pop("arrays"):
            if kind not in _TYPES:
                raise ValueError(f"arrays of {kind} are not expected")
            array = np.frombuffer(payload, kind, int(np.prod(shape)), at).reshape(shape)
            arrays[str(name)] = array
            at += array.nbytes
    except (struct.error, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a payload: {error}") from error
    if at != len(payload):
        raise ValueError(f"{len(payload) - at} bytes are left over")
    return head, arrays
