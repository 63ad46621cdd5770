"""Where a face is: upright crops from landmarks, and what the eyes do.

Matrices are 3×3 and act on column vectors (x, y, 1) in pixels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np

from ditto_avatar.types import ByteArray, FloatArray


@dataclass(frozen=True, slots=True)
class CropRule:
    """How a square crop is laid around a face: its side in pixels, how many times the landmarks'
    extent it shows, how far it is moved along the face's vertical (in its own size; negative is
    up), and whether it is turned upright."""

    size: int
    scale: float
    shift: float
    rotate: bool = True


TRACK = CropRule(224, 1.5, -0.1)
PORTRAIT = CropRule(512, 2.3, -0.125)

# For each set of landmarks: around the one eye, around the other, the corners of the mouth.
ANCHORS: Mapping[int, tuple[list[int], list[int], list[int]]] = {
    106: ([33, 35, 40, 39], [87, 89, 94, 93], [52, 61]),
    203: ([0, 6, 12, 18], [24, 30, 36, 42], [48, 66]),
    478: ([33, 159, 133, 145], [263, 386, 362, 374], [61, 291]),
}


def crop_matrix(points: FloatArray, rule: CropRule) -> FloatArray:
    """From pixels of the picture to pixels of the crop, (3, 3), for landmarks (n, 2).

    Raises `ValueError` for a number of landmarks that no table knows."""
    if len(points) not in ANCHORS:
        raise ValueError(f"expected 106, 203 or 478 landmarks, not {len(points)}.")
    one, other, mouth = (points[index].mean(axis=0) for index in ANCHORS[len(points)])
    down = mouth - (one + other) / 2
    length = float(np.linalg.norm(down))
    down = down / length if length > 1e-3 else np.array([0, 1], np.float32)
    right = np.array([down[1], -down[0]])
    axes = np.stack([right, down])
    return _matrix(points, axes, rule)


def _matrix(points: FloatArray, axes: FloatArray, rule: CropRule) -> FloatArray:
    centre = points.mean(axis=0)
    upright = (points - centre) @ axes.T
    low, high = upright.min(axis=0), upright.max(axis=0)
    extent = float((high - low).max()) * rule.scale
    centre = centre + (low + high) / 2 @ axes + axes[1] * (rule.shift * extent)
    zoom = rule.size / extent
    turn = zoom * (axes if rule.rotate else np.eye(2))
    matrix = np.eye(3)
    matrix[:2, :2] = turn
    matrix[:2, 2] = rule.size / 2 - turn @ centre
    return matrix.astype(np.float32)


def inverse(matrix: FloatArray) -> FloatArray:
    return np.linalg.inv(matrix.astype(np.float64)).astype(np.float32)


def transform(points: FloatArray, matrix: FloatArray) -> FloatArray:
    """Points (n, 2) under a matrix (3, 3)."""
    return np.asarray(points @ matrix[:2, :2].T + matrix[:2, 2], np.float32)


def cut_out(picture: ByteArray, matrix: FloatArray, size: int) -> ByteArray:
    """The crop (size, size, 3) that `matrix` describes; what lies outside is black."""
    return np.asarray(cv2.warpAffine(picture, matrix[:2], (size, size)), np.uint8)


# Eyes, in Face Mesh's numbering: outer and inner corner, the lids' three pairs, the pupil. The
# first eye is the person's right one.
EYES = (
    (33, 133, ((145, 159), (144, 160), (153, 158)), 468),
    (263, 362, ((374, 386), (373, 387), (380, 385)), 473),
)
TINY = 1e-8


def eye_values(landmarks: FloatArray) -> tuple[FloatArray, FloatArray]:
    """How far the eyes are open (n, 2) and where the pupils are (n, 6: x of both, y, z) from Face
    Mesh landmarks (n, 478, 3), in units of the picture's size."""
    opening, pupils = [], []
    for outer, inner, lids, pupil in EYES:
        across = landmarks[:, outer] - landmarks[:, inner]
        width = np.linalg.norm(across, axis=-1)
        gaps = [np.linalg.norm(landmarks[:, a] - landmarks[:, b], axis=-1) for a, b in lids]
        opening.append(sum(gaps) / (width + TINY))
        centre = (landmarks[:, outer] + landmarks[:, inner]) / 2
        offset = landmarks[:, pupil] - centre
        distance = np.linalg.norm(offset, axis=-1, keepdims=True)
        direction = offset / (distance + TINY) - across / (width[:, None] + TINY)
        pupils.append(direction * distance)
    return (
        np.stack(opening, axis=-1).astype(np.float32),
        np.stack(pupils, axis=-1).reshape(-1, 6).astype(np.float32),
    )
