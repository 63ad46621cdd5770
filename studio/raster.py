"""Which triangle a pixel shows: the painter's algorithm with OpenCV."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from studio.kit import Indices, Points


def triangles(quads: Indices) -> Indices:
    """Quads (f, 4) as triangles (2 f, 3); the second of a triangular face is degenerate."""
    return np.stack([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]], 1).reshape(-1, 3)


@dataclass(frozen=True, slots=True)
class Raster:
    """What a camera sees, `scale` pixels per pixel of the projection.

    `ids` (h, w) is the triangle seen, -1 for none; `projected` (n, 3) are the vertices in pixels
    of the unscaled picture with depth.
    """

    ids: npt.NDArray[np.int32]
    projected: Points
    tris: Indices
    scale: float

    def depth_at(self, points: Points) -> Points:
        """Depth (k,) of the surface seen at pixels (k, 2); infinite where there is none."""
        height, width = self.ids.shape
        column = np.clip((points[:, 0] * self.scale).astype(int), 0, width - 1)
        row = np.clip((points[:, 1] * self.scale).astype(int), 0, height - 1)
        seen = self.ids[row, column]
        depth = np.full(len(points), np.inf)
        hit = seen >= 0
        shares = barycentric(self.projected[self.tris[seen[hit]]][..., :2], points[hit, :2])
        depth[hit] = (self.projected[self.tris[seen[hit]]][..., 2] * shares).sum(1)
        return depth


def barycentric(corners: Points, points: Points) -> Points:
    """Shares (k, 3) of the corners (k, 3, 2) at points (k, 2), clipped to the triangle."""
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    area = _cross(b - a, c - a)
    area = np.where(np.abs(area) < 1e-12, 1e-12, area)
    second = _cross(points - a, c - a) / area
    third = _cross(b - a, points - a) / area
    shares = np.clip(np.stack([1 - second - third, second, third], 1), 0, 1)
    return np.asarray(shares / shares.sum(1, keepdims=True))


def _cross(a: Points, b: Points) -> Points:
    return np.asarray(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0])


def rasterise(
    projected: Points, tris: Indices, size: tuple[int, int], scale: float = 1.0
) -> Raster:
    """Draw triangles (t, 3) of projected vertices (n, 3), far ones first, into (width, height)."""
    import cv2

    width, height = size
    canvas = np.full((round(height * scale), round(width * scale)), -1, np.int32)
    corners = projected[tris]
    order = np.argsort(-corners[..., 2].mean(1), kind="stable")
    # OpenCV takes corners in sixteenths of a pixel here.
    shift = 4
    pixels = np.round((corners[..., :2] * scale - 0.5) * (1 << shift)).astype(np.int32)
    for index in order.tolist():
        cv2.fillConvexPoly(canvas, pixels[index], index, cv2.LINE_8, shift)
    return Raster(canvas, projected, tris, scale)
