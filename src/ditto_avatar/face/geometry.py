"""Geometry that faces of all engines share."""

from __future__ import annotations

import numpy as np

from ditto_avatar.types import FloatArray


def rotations(rest: FloatArray, moved: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Find the rotations (n, 3, 3) and scales (n,) that take the points `rest` (p, 3) best to each
    of `moved` (n, p, 3), both without their means (Kabsch 1976; the scale of Umeyama 1991)."""
    one = rest - rest.mean(axis=0)
    other = moved - moved.mean(axis=1, keepdims=True)
    left, values, right = np.linalg.svd(np.einsum("npi,pj->nij", other, one))
    sign = np.sign(np.linalg.det(left @ right))
    left[:, :, 2] *= sign[:, None]
    values[:, 2] *= sign
    return left @ right, values.sum(axis=1) / (one**2).sum()
