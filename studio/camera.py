"""The studio's camera: one pinhole for drawing and for projecting points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from studio.figure import CAMERA_DISTANCE
from studio.kit import Points

WIDTH, HEIGHT = 512, 640


@dataclass(frozen=True, slots=True)
class Camera:
    """Looks along -Z at eye level. Lengths in decimetres, `focal_px` at the full frame's size.

    `centre_y` is the height that lies in the middle of the picture at the distance `distance`
    (the optical axis stays level, so nothing converges).
    """

    eye_y: float
    centre_y: float
    focus_z: float
    distance: float = CAMERA_DISTANCE
    span: float = 3.9
    turn: float = 0.0
    """Degrees that the camera stands round the person's left; only for making the table."""

    @property
    def focal_px(self) -> float:
        """Pixels per unit of slope; `span` decimetres fill the height at `distance`."""
        return HEIGHT * self.distance / self.span

    def view(self, points: Points) -> Points:
        """Camera coordinates (n, 3): right, up, and depth away from the camera, in decimetres."""
        angle = np.radians(self.turn)
        x, z = points[:, 0], points[:, 2] - self.focus_z
        right = np.cos(angle) * x - np.sin(angle) * z
        near = np.sin(angle) * x + np.cos(angle) * z
        return np.stack([right, points[:, 1] - self.eye_y, self.distance - near], 1)

    def project(self, points: Points, centre: Points | None = None) -> Points:
        """Pixels x, y and depth in pixels (n, 3) of points (n, 3) in the kit's coordinates.

        Depth counts from `centre` (3,) (the head's), away from the camera, in pixels at that
        distance.
        """
        seen = self.view(points)
        axis_y = HEIGHT / 2 + (self.centre_y - self.eye_y) * self.focal_px / self.distance
        x = WIDTH / 2 + self.focal_px * seen[:, 0] / seen[:, 2]
        y = axis_y - self.focal_px * seen[:, 1] / seen[:, 2]
        middle = self.distance if centre is None else float(self.view(centre[None])[0, 2])
        z = (seen[:, 2] - middle) * self.focal_px / middle
        return np.stack([x, y, z], 1)
