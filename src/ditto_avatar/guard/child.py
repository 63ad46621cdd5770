"""Run one check over the files that the parent names, one after the other, in the child.

It reads a first line with the check and its limits, then one line for each file, and answers on
what was its standard output. It ends with its input.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from ditto_avatar.errors import DittoAvatarError
from ditto_avatar.guard.limits import Limits, limit_next_file, limit_process
from ditto_avatar.guard.messages import Answer, decode, describe, encode

CheckFunction = Callable[..., Answer]


def main() -> None:
    """Answer requests from standard input until it ends."""
    requests, answers = sys.stdin.buffer, _own_output()
    order = decode(requests.readline())
    limits = Limits(**order["limits"])
    try:
        check = _find(order["function"])
    except Exception as error:
        # The border of the process: the parent tells why no file can be checked.
        _send(answers, {"broken": f"{type(error).__name__}: {error}"})
        return
    os.umask(0o077)
    limit_process(limits)
    _send(answers, {"ready": True})
    for line in requests:
        request = decode(line)
        limit_next_file(limits)
        _answer(check, request["path"], request["arguments"], answers)
        signal.alarm(0)


def _answer(check: CheckFunction, path: str, arguments: dict[str, Any], answers: BinaryIO) -> None:
    try:
        answer = check(Path(path), **arguments)
        for array in answer.arrays:
            answers.write(encode(describe(array)))
            answers.write(array.tobytes())
        _send(answers, {"value": answer.value})
    except DittoAvatarError as error:
        _send(answers, {"error": str(error)})
    except MemoryError:
        _send(answers, {"memory": True})
    except Exception as error:
        # The border of the process: damaged files raise anything, and all of it means the same.
        _send(answers, {"damaged": f"{type(error).__name__}: {error}"})


def _send(answers: BinaryIO, message: dict[str, Any]) -> None:
    answers.write(encode(message))
    answers.flush()


def _own_output() -> BinaryIO:
    """Return the stream that the parent reads. Libraries that print to standard output reach
    nobody."""
    answers = os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
    return answers


def _find(name: str) -> CheckFunction:
    module, _, function = name.partition(":")
    found: CheckFunction = getattr(importlib.import_module(module), function)
    return found
