"""From poses to the numbers of a pack: points, visibility, head pose, shapes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from studio import atlas
from studio.arkit import INDEX, SHAPES
from studio.camera import HEIGHT, WIDTH, Camera
from studio.figure import Figure, Pose, rest_pose
from studio.kit import Indices, Points
from studio.landmarks import FaceSurface, Landmarks
from studio.raster import rasterise, triangles

HEAD_CENTRE = np.array([[0.0, 7.05, 0.3]])
HIDDEN_BY = ("skin", "hair", "clothes", "eyes", "teeth")


def camera_of(figure: Figure) -> Camera:
    """The camera of a character's picture: eye level, some air above the hair."""
    top = figure.rest["hair"][:, 1].max() + figure.character.air
    span = figure.character.span
    eyes = figure.rest["eyes"].mean(0)
    return Camera(
        eye_y=float(eyes[1]), centre_y=float(top - span / 2), focus_z=float(eyes[2]), span=span
    )


@cache
def _table() -> Landmarks:
    return Landmarks.load()


class Projector:
    """Points of one figure in its own picture."""

    def __init__(self, figure: Figure) -> None:
        self.figure = figure
        self.camera = camera_of(figure)
        self._surface = FaceSurface(figure.base)

    def points(self, pose: Pose) -> Points:
        """The 478 points (478, 3): pixels, depth in pixels from the head's centre."""
        placed = _table().points(self.figure, pose, self._surface)
        centre = self.figure.moved(HEAD_CENTRE, HEAD_CENTRE, pose)[0]
        return self.camera.project(placed, centre)

    def visible(self, pose: Pose, points: Points) -> npt.NDArray[np.bool_]:
        """Which of the points (478,) the camera sees in that pose."""
        placed = self.figure.place(pose)
        vertices, tris, start = [], [], 0
        for name in HIDDEN_BY:
            faces = triangles(self.figure.meshes[name].faces)
            tris.append(faces[self._opaque(name)] + start)
            vertices.append(placed[name])
            start += len(placed[name])
        centre = self.figure.moved(HEAD_CENTRE, HEAD_CENTRE, pose)[0]
        projected = self.camera.project(np.concatenate(vertices), centre)
        raster = rasterise(projected, np.concatenate(tris), (WIDTH, HEIGHT), 2.0)
        seen = raster.depth_at(points[:, :2])
        # Two millimetres: points of an edge may fall beside it.
        tolerance = 0.02 * self.camera.focal_px / self.camera.distance + 1.5
        return np.asarray(points[:, 2] <= seen + tolerance)

    @cache  # noqa: B019 - a projector lives as long as its build
    def _opaque(self, name: str) -> Indices:
        faces = self.figure.meshes[name].faces
        solid = np.ones(len(faces), bool)
        if name == "eyes":
            solid = ~self.figure.cornea_faces()
        elif name in ("hair", "clothes"):
            solid = self.figure.opaque_faces(name)
        return np.flatnonzero(np.repeat(solid, 2))


@dataclass(frozen=True, slots=True)
class AtlasNumbers:
    """The atlas without its pictures: see docs/avatar-pack.md."""

    names: tuple[str, ...]
    weights: Points
    landmarks: Points
    box: tuple[float, float, float, float]


def project_atlas(figure: Figure) -> AtlasNumbers:
    """Weights, points and place of every patch."""
    projector = Projector(figure)
    poses = [atlas.pose(name) for name in atlas.SHAPES]
    points = np.stack([projector.points(pose) for pose in poses])
    neutral = projector.points(rest_pose())
    return AtlasNumbers(
        tuple(atlas.SHAPES),
        np.array([pose.weights for pose in poses]),
        points,
        atlas.box(neutral, points),
    )


def project_shapes(projector: Projector) -> Points:
    """Displacement (52, 478, 3) of every point at weight 1 of every shape."""
    still = projector.points(rest_pose())
    moved = []
    for name in SHAPES:
        row = [0.0] * len(SHAPES)
        row[INDEX[name]] = 1.0
        moved.append(projector.points(Pose(tuple(row))) - still)
    return np.stack(moved)
