"""Pass messages between a process and the child that opens files for it.

A message is one line of JSON. An array is a line with its type and shape, followed by its bytes.
Nothing is pickled: what comes from a child may have been written by a file that took it over.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Message = Mapping[str, Any]

MAX_LINE_BYTES = 256 * 1024
MAX_DIMENSIONS = 8
# The only types that an answer may hold.
_TYPES: dict[str, np.dtype[Any]] = {name: np.dtype(name) for name in ("<f4", "<i2", "|u1")}


class BrokenAnswer(Exception):
    """A child said something that is no answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The result of a check: plain data that JSON can hold, and arrays of float32, uint8 or int16.

    In the child `arrays` may be a generator; each array is sent before the next one is made.
    """

    value: Message
    arrays: Iterable[Array] = ()


def encode(message: Message) -> bytes:
    """Return one line of JSON."""
    return json.dumps(message, ensure_ascii=True).encode() + b"\n"


def decode(line: bytes) -> Message:
    """Return the message in `line`. Raises `BrokenAnswer` where there is none."""
    try:
        message = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise BrokenAnswer("a line that is no JSON") from error
    if not isinstance(message, dict) or not line.endswith(b"\n"):
        raise BrokenAnswer("a line that is no message")
    return message


def describe(array: Array) -> Message:
    """Return the line in front of an array's bytes."""
    return {"array": {"type": array.dtype.str, "shape": array.shape}}


def size_of(description: Any) -> int:
    """Return the bytes of the array that `description` promises. Raises `BrokenAnswer`."""
    dtype, shape = _read(description)
    return dtype.itemsize * math.prod(shape)


def build(description: Any, data: bytes) -> Array:
    """Return the array that `description` promises, a copy of `data`. Raises `BrokenAnswer`."""
    dtype, shape = _read(description)
    return np.frombuffer(data, dtype).reshape(shape).copy()


def _read(description: Any) -> tuple[np.dtype[Any], tuple[int, ...]]:
    if not isinstance(description, dict):
        raise BrokenAnswer("an array without a description")
    dtype, shape = _TYPES.get(str(description.get("type"))), description.get("shape")
    if (
        dtype is None
        or not isinstance(shape, list)
        or len(shape) > MAX_DIMENSIONS
        or not all(type(side) is int and side >= 0 for side in shape)
    ):
        raise BrokenAnswer("an array of an unknown kind")
    return dtype, tuple(shape)
