"""Catmull-Clark subdivision with fixed topology: worked out once, applied to every pose.

After E. Catmull and J. Clark, "Recursively generated B-spline surfaces on arbitrary topological
meshes" (1978). Borders are refined as B-spline curves.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from studio.kit import Indices, Points


@dataclass(frozen=True, slots=True)
class _Level:
    """One refinement of a mesh of v vertices: the new vertices are the old ones moved, then one
    for every edge, then one for every face."""

    faces: Indices
    new_faces: Indices
    edges: Indices
    edge_faces: Indices
    border: np.ndarray[tuple[int], np.dtype[np.bool_]]
    count: int

    def apply(self, points: Points) -> Points:
        centre = points[self.faces].mean(1)
        ends = points[self.edges].sum(1)
        middle = ends / 2
        inner = ~self.border
        edge_points = middle.copy()
        edge_points[inner] = (ends[inner] + centre[self.edge_faces[inner]].sum(1)) / 4
        return np.concatenate([self._corners(points, centre, middle), edge_points, centre])

    def _corners(self, points: Points, centre: Points, middle: Points) -> Points:
        """Where the old vertices go: (F + 2R + (n - 3) P) / n inside, (1, 6, 1) / 8 at borders."""

        def gathered(index: Indices, values: Points) -> tuple[Points, Points]:
            columns = [np.bincount(index, column, self.count) for column in values.T]
            count = np.bincount(index, minlength=self.count)[:, None]
            return np.stack(columns, 1).astype(float), count.astype(float)

        face_sum, faces = gathered(self.faces.ravel(), np.repeat(centre, 4, 0))
        edge_sum, edges = gathered(self.edges.ravel(), np.repeat(middle, 2, 0))
        n = np.maximum(edges, 1)
        moved: Points = (face_sum / np.maximum(faces, 1) + 2 * edge_sum / n + (n - 3) * points) / n
        rim = self.edges[self.border]
        rim_sum, rim_count = gathered(rim.ravel(), np.repeat(middle[self.border], 2, 0))
        on_rim = rim_count[:, 0] > 0
        moved[on_rim] = (rim_sum / np.maximum(rim_count, 1))[on_rim] / 2 + points[on_rim] / 2
        return moved


def _level(faces: Indices, count: int) -> _Level:
    sides = np.stack([faces, np.roll(faces, -1, 1)], -1).reshape(-1, 2)
    owner = np.repeat(np.arange(len(faces)), 4)
    edges, side_edge = np.unique(np.sort(sides, 1), axis=0, return_inverse=True)
    side_edge = side_edge.reshape(-1)
    edge_faces = np.zeros((len(edges), 2), np.int64)
    uses = np.bincount(side_edge, minlength=len(edges))
    order = np.argsort(side_edge, kind="stable")
    first = np.concatenate([[0], np.cumsum(uses)[:-1]])
    edge_faces[:, 0] = owner[order][first]
    edge_faces[:, 1] = owner[order][first + np.minimum(uses, 2) - 1]
    edge_point = count + side_edge.reshape(-1, 4)
    face_point = count + len(edges) + np.arange(len(faces))
    quads = [
        np.stack([faces[:, k], edge_point[:, k], face_point, edge_point[:, k - 1]], 1)
        for k in range(4)
    ]
    new_faces = np.stack(quads, 1).reshape(-1, 4)
    return _Level(faces, new_faces, edges, edge_faces, uses != 2, count)


def _split_uvs(corner_uvs: Points) -> Points:
    """Texture coordinates (f, 4, 2) of the four quads that each face becomes (4 f, 4, 2)."""
    centre = corner_uvs.mean(1)
    middle = (corner_uvs + np.roll(corner_uvs, -1, 1)) / 2
    quads = [
        np.stack([corner_uvs[:, k], middle[:, k], centre, middle[:, k - 1]], 1) for k in range(4)
    ]
    return np.stack(quads, 1).reshape(-1, 4, 2)


class Refined:
    """A mesh of quads (f, 4) with texture coordinates (f, 4, 2), refined `level` times.

    `used` are the vertices of the source that the faces use; `refine` maps the positions of all
    source vertices to those of the refined mesh, whose quads are `faces`.
    """

    def __init__(self, faces: Indices, corner_uvs: Points, level: int) -> None:
        self.used, numbered = np.unique(faces, return_inverse=True)
        self.coarse = numbered.reshape(faces.shape)
        self.faces, self.corner_uvs = self.coarse, corner_uvs
        self._levels: list[_Level] = []
        count = len(self.used)
        for _ in range(level):
            step = _level(self.faces, count)
            self._levels.append(step)
            count += len(step.edges) + len(step.faces)
            self.faces, self.corner_uvs = step.new_faces, _split_uvs(self.corner_uvs)
        self.count = count

    def refine(self, source: Points) -> Points:
        """Positions (or any values per vertex) (n, d) of the source on the refined mesh."""
        points = source[self.used]
        for step in self._levels:
            points = step.apply(points)
        return points
