"""Checks that a child runs in these tests: good ones, and all ways to die."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ditto_avatar.errors import InvalidAudio
from ditto_avatar.guard.messages import Answer


def read(path: Path) -> Answer:
    """Do what the file's first word says."""
    answer: Answer = _MANNERS[path.read_text(encoding="utf-8").split()[0]](path)
    return answer


def arrays(path: Path, count: int) -> Answer:
    """Return `count` arrays, made one by one."""

    def make() -> Iterator[npt.NDArray[Any]]:
        for index in range(count):
            yield np.full((2, 3), index, np.float32)
        yield np.zeros(0, np.uint8)

    return Answer({"count": count}, make())


def environment(path: Path) -> Answer:
    """Return what a stranger's code could find here."""
    return Answer({"names": sorted(os.environ), "folder": os.getcwd(), "pid": os.getpid()})


def _good(path: Path) -> Answer:
    return Answer({"pid": os.getpid()})


def _refuse(path: Path) -> Answer:
    raise InvalidAudio("it is\nnot \x1b[31mgood")


def _damaged(path: Path) -> Answer:
    raise KeyError("a surprise")


def _spin(path: Path) -> None:
    while True:
        pass


def _native_memory(path: Path) -> None:
    libc = ctypes.CDLL(None)
    libc.malloc.restype = ctypes.c_void_p
    libc.malloc.argtypes = [ctypes.c_size_t]
    if not libc.malloc(1 << 30):
        os.abort()


def _write(path: Path) -> Answer:
    path.with_name("written").write_bytes(b"x" * 4096)
    return Answer({})


def _open_many(path: Path) -> Answer:
    return Answer({"open": len([open(os.devnull) for _ in range(1000)])})


def _chatter(path: Path) -> Answer:
    os.write(1, b"a library prints to standard output\n")
    print("and so does Python", flush=True)  # noqa: T201
    return Answer({"pid": os.getpid()})


def _raw(data: bytes) -> None:
    """Write past the protocol, as code that took the child over could."""
    for descriptor in range(3, 20):
        try:
            os.write(descriptor, data)
        except OSError:
            continue
    time.sleep(60)


_MANNERS: dict[str, Callable[[Path], Any]] = {
    "good": _good,
    "refuse": _refuse,
    "damaged": _damaged,
    "crash": lambda path: ctypes.string_at(0),
    "abort": lambda path: os.abort(),
    "hang": lambda path: threading.Event().wait(),
    "spin": _spin,
    "memory": lambda path: bytearray(1 << 30),
    "native-memory": _native_memory,
    "write": _write,
    "open": _open_many,
    "killed": lambda path: os.kill(os.getpid(), signal.SIGKILL),
    "leave": lambda path: sys.exit(3),
    "chatter": _chatter,
    "lie": lambda path: _raw(b'{"array": {"type": "<f4", "shape": [99999999999]}}\n'),
    "negative": lambda path: _raw(b'{"array": {"type": "<f4", "shape": [-1]}}\n'),
    "object": lambda path: _raw(b'{"array": {"type": "|O", "shape": [1]}}\n'),
    "babble": lambda path: _raw(b"no JSON at all\n"),
    "long": lambda path: _raw(b"x" * 2_000_000),
}
