"""Reads `.npz` files that a stranger may have made."""

from __future__ import annotations

import math
import zipfile
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import numpy.typing as npt

from ditto_avatar.errors import InvalidAvatar
from ditto_avatar.face.reading import expecting
from ditto_avatar.types import FloatArray

MAX_ARRAY_BYTES = 256 * 1024 * 1024
_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


class ArraysFile:
    """An `.npz` file: no pickles, and no array that is larger than its own bytes.

    Opening it reads the headers only. Raises `InvalidAvatar` for a file that is no `.npz`, and for
    arrays of more than `MAX_ARRAY_BYTES` together; nothing is allocated for them.
    """

    def __init__(self, path: Path) -> None:
        self._name = path.name
        with expecting(self._name, "numpy arrays"):
            with zipfile.ZipFile(path) as archive:
                self._check(archive)
            self._file = np.load(path, allow_pickle=False)
        self.keys = frozenset(self._file.files)

    def __enter__(self) -> ArraysFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def raw(self, key: str) -> npt.NDArray[Any]:
        """The array `key` as it is. Raises `InvalidAvatar` when it is missing or damaged."""
        if key not in self.keys:
            raise InvalidAvatar(f"{self._name}: {key}: expected this key, came none.")
        with expecting(f"{self._name}: {key}", "an array"):
            return np.asarray(self._file[key])

    def floats(self, key: str, shape: tuple[int, ...], most: float) -> FloatArray:
        """A read-only float32 array. Raises `InvalidAvatar` for another shape or type, and for
        numbers that are not finite or beyond `most` on either side of zero."""
        array = self.raw(key)
        if array.shape != shape or array.dtype.kind != "f":
            raise InvalidAvatar(
                f"{self._name}: {key}: expected {shape} float32, came {array.shape} {array.dtype}."
            )
        if not np.isfinite(array).all():
            raise InvalidAvatar(f"{self._name}: {key}: expected finite numbers, came NaN or inf.")
        if (largest := float(np.abs(array).max(initial=0))) > most:
            raise InvalidAvatar(
                f"{self._name}: {key}: expected numbers up to {most:g}, came {largest:g}."
            )
        floats = array.astype(np.float32)
        floats.setflags(write=False)
        return floats

    def optional(self, key: str, shape: tuple[int, ...], most: float) -> FloatArray | None:
        """The same, or None where the key is missing."""
        return self.floats(key, shape, most) if key in self.keys else None

    def _check(self, archive: zipfile.ZipFile) -> None:
        """Compare what each array's header promises with the bytes that are there."""
        members = archive.infolist()
        total = sum(member.file_size for member in members)
        if total > MAX_ARRAY_BYTES:
            raise InvalidAvatar(
                f"{self._name}: expected at most {MAX_ARRAY_BYTES} bytes, came {total}."
            )
        for member in members:
            with archive.open(member) as file:
                promised = _promised_bytes(cast(BinaryIO, file))
                came = member.file_size - file.tell()
            if promised != came:
                raise InvalidAvatar(
                    f"{self._name}: {member.filename.removesuffix('.npy')}: expected "
                    f"{promised} bytes as its header says, came {came}."
                )


def _promised_bytes(file: BinaryIO) -> int:
    version = np.lib.format.read_magic(file)
    if version not in _HEADERS:
        raise ValueError(f"version {version} of the array format")
    shape, _, dtype = _HEADERS[version](file)
    if dtype.hasobject:
        raise ValueError("an array of pickled objects")
    return dtype.itemsize * math.prod(shape)
