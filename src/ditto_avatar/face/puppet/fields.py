"""Smooth fields from scattered points, and the small grids they live on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

from ditto_avatar.errors import InvalidAvatar
from ditto_avatar.types import ByteArray, FloatArray

# OpenCV takes positions in one array or two; its type hints know only two.
_NO_SECOND_MAP: Final[Any] = None


def interpolate(
    points: FloatArray, values: FloatArray, at: FloatArray, smoothing: float = 0.0
) -> FloatArray:
    """`values` (m, c) at `points` (m, 2), smoothly interpolated at `at` (q, 2): (q, c).

    Polyharmonic splines with the kernel r and an affine part: they pass through the values (nearly
    so with `smoothing`, in px), do not overshoot between them and stay tame outside.
    Raises `InvalidAvatar` for points on one line.
    """
    count = len(points)
    # Centred and scaled: the affine part beside the kernel keeps the system well conditioned.
    middle, scale = points.mean(0), float(np.ptp(points, axis=0).max()) or 1.0
    known, asked = (points - middle) / scale, (at - middle) / scale
    system = np.zeros((count + 3, count + 3))
    system[:count, :count] = _distances(known, known) - np.eye(count) * smoothing / scale
    system[:count, count] = system[count, :count] = 1
    system[:count, count + 1 :] = known
    system[count + 1 :, :count] = known.T
    right = np.concatenate([values, np.zeros((3, values.shape[1]))])
    # OpenCV's solver keeps to this thread. The one of numpy takes all cores for systems this small,
    # and on a busy machine it spends most of its time waiting for them.
    solvable, solved = cv2.solve(system, right, flags=cv2.DECOMP_LU)
    if not solvable:
        raise InvalidAvatar("The landmarks of this face lie on one line.")
    kernel = np.concatenate([_distances(asked, known), np.ones((len(asked), 1)), asked], axis=1)
    return floats(kernel @ solved)


def _distances(one: FloatArray, other: FloatArray) -> FloatArray:
    across = one[:, None, 0].astype(float) - other[None, :, 0]
    along = one[:, None, 1].astype(float) - other[None, :, 1]
    result: FloatArray = np.sqrt(across**2 + along**2)
    return result


def pick(plane: ByteArray | FloatArray, at: FloatArray) -> FloatArray:
    """`plane` (height, width) or (height, width, c) at positions `at` (rows, columns, 2), linearly
    between its pixels; beyond the border it goes on unchanged. Keeps the plane's type."""
    where = np.ascontiguousarray(at, np.float32)
    picked: Any = cv2.remap(
        plane, where, _NO_SECOND_MAP, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    result: FloatArray = picked
    return result


def enlarge(field: FloatArray, columns: int, rows: int) -> FloatArray:
    """`field` (rows, columns) or (rows, columns, c) at another size, linearly."""
    made: Any = cv2.resize(field, (columns, rows), interpolation=cv2.INTER_LINEAR)
    result: FloatArray = made
    return result


def soften(field: FloatArray, sigma: float) -> FloatArray:
    """`field` (rows, columns) or (rows, columns, c) blurred by a Gaussian."""
    made: Any = cv2.GaussianBlur(field, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
    result: FloatArray = made
    return result


def combine(weights: FloatArray, fields: FloatArray) -> FloatArray:
    """The sum (n,) of `fields` (m, n), each times its weight of `weights` (m,).

    Most weights are 0, and a product of matrices would wake the threads of the BLAS library for
    some microseconds of work: beside other viewers' threads that costs milliseconds.
    """
    total = np.zeros(fields.shape[1], np.float32)
    part = np.empty_like(total)
    for index in np.flatnonzero(weights):
        np.multiply(fields[index], weights[index], out=part)
        total += part
    return total


def floats(values: npt.ArrayLike) -> FloatArray:
    """`values` as float32."""
    return np.asarray(values, np.float32)


@dataclass(frozen=True, slots=True)
class Grid:
    """Nodes every `step` px: node (0, 0) lies half a step inside the corner (`left`, `top`),
    so that enlarging a field by `step` puts each node in the middle of its cell."""

    left: float
    top: float
    columns: int
    rows: int
    step: float

    @property
    def nodes(self) -> FloatArray:
        """Positions (rows, columns, 2) of the nodes: the centres of the pixels around them."""
        x = self.left + (np.arange(self.columns, dtype=np.float32) + 0.5) * self.step - 0.5
        y = self.top + (np.arange(self.rows, dtype=np.float32) + 0.5) * self.step - 0.5
        result: FloatArray = np.stack(np.meshgrid(x, y), axis=2).astype(np.float32)
        return result

    def sample(self, field: FloatArray, at: FloatArray) -> FloatArray:
        """`field` (rows, columns, c) with c up to 4 between its nodes, at positions (…, …, 2) in
        px; beyond the border it goes on unchanged."""
        places = (at - np.array([self.left, self.top], np.float32)) / np.float32(self.step)
        places -= np.float32(0.5) - np.float32(0.5) / np.float32(self.step)
        return pick(field, places)


def grid_over(low: FloatArray, high: FloatArray, step: float) -> Grid:
    """The grid that covers the box from `low` (x, y) to `high`."""
    left, top = np.floor(low)
    columns, rows = np.ceil((high - low) / step).astype(int)
    return Grid(float(left), float(top), max(2, int(columns)), max(2, int(rows)), step)
