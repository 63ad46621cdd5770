"""Where lips, cheeks and lids are on the skin: soft masks per vertex, from the landmarks."""

from __future__ import annotations

import numpy as np

from studio import topology
from studio.figure import Figure, rest_pose
from studio.kit import Points
from studio.landmarks import Landmarks

CHEEKS, NOSE = (50, 280), 4


def paint(figure: Figure) -> dict[str, Points]:
    """`lips`, `blush`, `lids` and `hairline` (n,) of a figure's skin at rest."""
    points = Landmarks.load().points(figure, rest_pose())
    skin = figure.rest["skin"]
    near = skin[:, 2] > points[:468, 2].min()
    outline = [*topology.LIPS_OUTER_UPPER, *topology.LIPS_OUTER_LOWER[-2:0:-1]]
    lips = _inside(skin[:, :2], points[outline, :2])
    mouth_z = points[[61, 291], 2].min() - 0.12
    blush = sum(_spot(skin, points[cheek], 0.2) for cheek in CHEEKS)
    blush = blush + 0.3 * _spot(skin, points[NOSE], 0.09)
    lids = np.zeros(len(skin))
    for ring in (topology.RIGHT_LIDS, topology.LEFT_LIDS):
        lids = np.maximum(lids, _along(skin, points[list(ring)], 0.022))
    hair = _nearness(skin, figure.rest["hair"][::3], 0.055) * (skin[:, 1] > points[10, 1] - 1.2)
    return {
        "hairline": hair,
        "lips": lips * near * (skin[:, 2] > mouth_z),
        "blush": np.clip(blush, 0, 1) * near,
        "lids": lids * near,
    }


def _spot(points: Points, middle: Points, size: float) -> Points:
    distance = np.linalg.norm(points - middle, axis=1)
    return np.asarray(np.exp(-((distance / size) ** 2)))


def _nearness(points: Points, others: Points, size: float) -> Points:
    """1 where the nearest of `others` (m, 3) touches, falling off over `size`."""
    nearest = np.full(len(points), np.inf)
    for start in range(0, len(others), 256):
        gap = points[:, None] - others[None, start : start + 256]
        nearest = np.minimum(nearest, (gap**2).sum(2).min(1))
    return np.asarray(np.exp(-nearest / size**2))


def _along(points: Points, ring: Points, width: float) -> Points:
    """1 on a ring of points, falling off over `width`."""
    distance = np.full(len(points), np.inf)
    for a, b in zip(ring, np.roll(ring, -1, 0), strict=True):
        distance = np.minimum(distance, _segment_distance(points, a, b))
    return np.asarray(np.exp(-((distance / width) ** 2)))


def _inside(points: Points, outline: Points, soft: float = 0.014) -> Points:
    """1 inside an outline (k, 2), 0 outside, soft over the edge."""
    distance = np.full(len(points), np.inf)
    crossings = np.zeros(len(points), int)
    for a, b in zip(outline, np.roll(outline, -1, 0), strict=True):
        distance = np.minimum(distance, _segment_distance(points, a, b))
        between = (a[1] > points[:, 1]) != (b[1] > points[:, 1])
        rise = b[1] - a[1] if b[1] != a[1] else 1e-12
        at = a[0] + (points[:, 1] - a[1]) / rise * (b[0] - a[0])
        crossings += between & (points[:, 0] < at)
    signed = np.where(crossings % 2 == 1, distance, -distance)
    t = np.clip(signed / soft / 2 + 0.5, 0, 1)
    return np.asarray(t * t * (3 - 2 * t))


def _segment_distance(points: Points, a: Points, b: Points) -> Points:
    along = b - a
    share = np.clip((points - a) @ along / max(float(along @ along), 1e-12), 0, 1)
    return np.asarray(np.linalg.norm(points - a - share[:, None] * along, axis=1))
