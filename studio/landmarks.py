"""MediaPipe's 478 points on the head: a table of triangles, the irises from the eyeballs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from studio.figure import IRIS_RADIUS, Figure, Pose
from studio.kit import BODY_GROUP, Indices, Obj, Points
from studio.raster import barycentric, triangles
from studio.subdivision import Refined

TABLE = Path(__file__).with_name("landmarks.npz")


class FaceSurface:
    """The head's skin, the same for every character whatever they wear: the base mesh's faces
    above the shoulders, refined once."""

    def __init__(self, base: Obj) -> None:
        shown = base.faces_of(BODY_GROUP)
        shown &= base.vertices[base.faces][..., 1].min(1) > 5.6
        shown &= np.abs(base.vertices[base.faces][..., 0]).max(1) < 1.2
        self._refined = Refined(base.faces[shown], base.uvs[base.face_uvs[shown]], 1)
        self.tris = triangles(self._refined.faces)
        middle = self._refined.corner_uvs.mean(1)
        inner_mouth = (middle[:, 0] > 0.74) & (middle[:, 1] < 0.16)
        self.outside = np.repeat(~inner_mouth, 2)
        """Which triangles (t,) are skin and lips, not the inside of the mouth."""

    def points(self, base: Points) -> Points:
        """The surface's vertices (n, 3) on a base mesh (19158, 3)."""
        return self._refined.refine(base)


@dataclass(frozen=True, slots=True)
class Landmarks:
    """The table: for each of the 468 points of the skin, three vertices and their shares."""

    corners: Indices
    shares: Points

    @classmethod
    def nearest(cls, surface: FaceSurface, base: Points, wanted: Points) -> Landmarks:
        """Bind each of `wanted` (468 or more, 3) to the surface's nearest triangle."""
        vertices = surface.points(base)
        tris = surface.tris[surface.outside]
        corners = vertices[tris]
        middle = corners.mean(1)
        chosen, shares = [], []
        for point in wanted[:468]:
            near = np.argsort(((middle - point) ** 2).sum(1))[:40]
            share = _closest_shares(corners[near], point)
            gap = (((corners[near] * share[..., None]).sum(1) - point) ** 2).sum(1)
            best = int(gap.argmin())
            chosen.append(tris[near[best]])
            shares.append(share[best])
        return cls(np.array(chosen), np.array(shares))

    @classmethod
    def load(cls, path: Path = TABLE) -> Landmarks:
        """Read the table beside this module."""
        with np.load(path) as stored:
            return cls(stored["corners"].astype(np.int64), stored["shares"].astype(float))

    def save(self, path: Path = TABLE) -> None:
        """Write the table."""
        np.savez_compressed(
            path, corners=self.corners.astype(np.int32), shares=self.shares.astype(np.float32)
        )

    def points(self, figure: Figure, pose: Pose, surface: FaceSurface | None = None) -> Points:
        """All 478 points (478, 3) of a posed figure, in the kit's coordinates."""
        surface = surface or FaceSurface(figure.base)
        skin = surface.points(figure.expressed(pose.weights))
        rest = surface.points(figure.neutral)
        skin = figure.moved(skin, rest, pose)
        placed: Points = (skin[self.corners] * self.shares[..., None]).sum(1)
        eyes = figure.place(pose)["eyes"]
        return np.concatenate([placed, *(iris(figure, eyes, side) for side in (-1, 1))])


def iris(figure: Figure, eyes: Points, side: int) -> Points:
    """Centre and rim (5, 3) of an iris: the person's right (-1) or left (1).

    The rim runs as MediaPipe's does: toward the person's left, up, toward the right, down.
    """
    pupil, axis = figure.gaze(eyes, side)
    up = np.array([0.0, 1.0, 0.0]) - axis * axis[1]
    up /= np.linalg.norm(up)
    left = np.cross(up, axis)
    rim = [left, up, -left, -up]
    return np.stack([pupil, *(pupil + IRIS_RADIUS * step for step in rim)])


def _closest_shares(corners: Points, point: Points) -> Points:
    """Shares (k, 3) of the point of each triangle (k, 3, 3) that is nearest to `point`, near
    enough: the foot of the perpendicular, clipped into the triangle."""
    a = corners[:, 0]
    u, v = corners[:, 1] - a, corners[:, 2] - a
    flat_u = np.linalg.norm(u, axis=1)
    e1 = u / np.maximum(flat_u, 1e-12)[:, None]
    across = v - (v * e1).sum(1, keepdims=True) * e1
    e2 = across / np.maximum(np.linalg.norm(across, axis=1), 1e-12)[:, None]

    def flat(x: Points) -> Points:
        return np.stack([(x * e1).sum(-1), (x * e2).sum(-1)], -1)

    planar = np.stack([flat(corners[:, k] - a) for k in range(3)], 1)
    return barycentric(planar, flat(point - a))
