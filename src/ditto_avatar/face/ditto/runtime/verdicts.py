"""Comparisons that were made once and need not be made again: kept as small files beside the
compiled kernels.

A verdict holds for what it was made of: the files, this package's code, the libraries, the driver
and the card. All of that is its key, and another key finds nothing. Good and bad verdicts are kept,
since both follow from the key; failures (no memory, no compiler) are not.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from ditto_avatar.files import write_whole

log = logging.getLogger(__name__)

FOLDER = "verdicts"
# Of each question. Updates of a driver or a library leave one behind each time.
MOST_KEPT = 16
LIBRARIES = ("torch", "triton", "onnxruntime", "onnxruntime-gpu", "onnx", "numpy")
PACKAGE = Path(__file__).parents[1]
DRIVER = Path("/proc/driver/nvidia/version")

Verdict = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Verdicts:
    """Verdicts in `folder` (None: nothing is kept); `about` is part of every key."""

    folder: Path | None = None
    about: Mapping[str, str] = field(default_factory=dict)

    def find(self, question: str, **key: object) -> Verdict | None:
        """Return what was kept under this key; None for a file that is missing or damaged."""
        if self.folder is None:
            return None
        wanted = self._key(key)
        path = self._path(question, wanted)
        try:
            content = json.loads(path.read_bytes())
            if content["key"] != wanted:
                return None
            verdict = content["verdict"]
            if not isinstance(verdict, dict):
                raise TypeError("no verdict")
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.warning("The verdict %s cannot be used and is made again: %s.", path, error)
            return None
        return verdict

    def keep(self, question: str, verdict: Verdict, **key: object) -> None:
        """Write a verdict whole or not at all. A folder that cannot be written costs a line in the
        log."""
        if self.folder is None:
            return
        wanted = self._key(key)
        made = datetime.now(UTC).isoformat(timespec="seconds")
        content = {"question": question, "made": made, "key": wanted, "verdict": verdict}
        text = json.dumps(content, indent=1) + "\n"
        path = self._path(question, wanted)
        try:
            write_whole(path, lambda unfinished: unfinished.write_text(text, encoding="utf-8"))
            self._prune(question)
        except OSError as error:
            log.warning("The verdict %s is not kept: %s.", path, error.strerror)

    def where(self, question: str, **key: object) -> Path | None:
        """The file of a verdict, for a person who wants it made again."""
        return None if self.folder is None else self._path(question, self._key(key))

    def digest(self, **key: object) -> str:
        """Twelve hex digits of a key, for what is kept in another form than a verdict."""
        return _digest(self._key(key))

    def _key(self, key: Mapping[str, object]) -> dict[str, str]:
        return {**self.about, **{name: str(value) for name, value in key.items()}}

    def _path(self, question: str, key: Mapping[str, str]) -> Path:
        assert self.folder is not None
        return self.folder / f"{question}.{_digest(key)}.json"

    def _prune(self, question: str) -> None:
        assert self.folder is not None
        found = sorted(
            self.folder.glob(f"{question}.*.json"), key=lambda path: path.stat().st_mtime
        )
        for path in found[:-MOST_KEPT]:
            path.unlink(missing_ok=True)


def _digest(key: Mapping[str, str]) -> str:
    return hashlib.sha256(repr(sorted(key.items())).encode()).hexdigest()[:12]


def verdicts_of(kernels: Path | None, device: torch.device, **about: object) -> Verdicts:
    """Verdicts about a device, kept beside its kernels; `about` names the weights."""
    if kernels is None or device.type != "cuda":
        return Verdicts()
    known = surroundings(device) | {name: str(value) for name, value in about.items()}
    return Verdicts(kernels / FOLDER, known)


def surroundings(device: torch.device) -> dict[str, str]:
    """What the result of a computation may depend on besides its input."""
    properties = torch.cuda.get_device_properties(device)
    return {
        "code": code_key(),
        "card": f"{properties.name}, {properties.total_memory} bytes",
        "driver": _driver(),
        "cuda": str(torch.version.cuda),
        "cudnn": _version("nvidia-cudnn-cu13") or _version("nvidia-cudnn-cu12") or "with torch",
        **{name: version for name in LIBRARIES if (version := _version(name)) is not None},
    }


@cache
def code_key(package: Path = PACKAGE) -> str:
    """Twelve hex digits that change with any source file of Ditto."""
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        digest.update(path.relative_to(package).as_posix().encode() + b"\0")
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:12]


def _driver() -> str:
    try:
        return DRIVER.read_text(encoding="utf-8").splitlines()[0]
    except (OSError, IndexError):
        return "unknown"


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
