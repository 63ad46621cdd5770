"""The planes of I420 pictures, and the positions of their pixels."""

from __future__ import annotations

import numpy as np

from ditto_avatar.face.puppet.fields import floats
from ditto_avatar.types import ByteArray, FloatArray

Planes = tuple[ByteArray, ByteArray, ByteArray]


def planes_of(picture: ByteArray) -> Planes:
    """Return views of Y (h, w), U and V (h / 2, w / 2) of an I420 `picture` (h * 3 / 2, w)."""
    rows, columns = picture.shape[0] * 2 // 3, picture.shape[1]
    flat: ByteArray = picture.reshape(-1)
    luma, quarter = rows * columns, rows * columns // 4
    half = (rows // 2, columns // 2)
    return (
        flat[:luma].reshape(rows, columns),
        flat[luma : luma + quarter].reshape(half),
        flat[luma + quarter :].reshape(half),
    )


def pixel_mesh(width: int, height: int) -> FloatArray:
    """Return the position (height, width, 2) of every pixel, read-only."""
    grid = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    mesh = floats(np.stack(grid, axis=2))
    mesh.setflags(write=False)
    return mesh
