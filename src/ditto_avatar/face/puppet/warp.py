"""Where the pixels of one frame come from."""

from __future__ import annotations

from typing import Final

import numpy as np

from ditto_avatar.face.puppet.actor import Pose
from ditto_avatar.face.puppet.fields import combine, floats
from ditto_avatar.face.puppet.model import EYE_SHAPES, FaceModel, Placement
from ditto_avatar.types import FloatArray

# Displacements smaller than this, in px, are not worth a new picture.
STILL_PX: Final = 0.06
# A displacement field says where a point goes; where one comes from is found in so many steps.
_TURNS: Final = 2
_LID_TURNS: Final = 4


class Warp:
    """The geometry of idle frame's `place` in `pose`; lives for one frame.

    `closure` (2,) is how far the idle frame's own eyes, left and right, are closed already.
    """

    def __init__(
        self, model: FaceModel, place: Placement, pose: Pose, closure: FloatArray | None
    ) -> None:
        self._model = model
        self._place = place
        grid = model.grid
        self._turn: FloatArray | None = None
        moved = combine(pose.weights, model.fields)
        if pose.head.any():
            turn = combine(pose.head, model.turns)
            self._turn = self._projected(turn, grid.rows, grid.columns)
            moved = moved + turn
        self._skin = self._projected(moved, grid.rows, grid.columns)
        self._lids: FloatArray | None = None
        eyes = pose.weights[:EYE_SHAPES]
        if eyes.any():
            if closure is not None:
                # Lids that are closed already do not close again.
                half = EYE_SHAPES // 2
                eyes = eyes * (1 - np.repeat(closure, half))
            fine = model.lid_grid
            self._lids = self._projected(combine(eyes, model.lids), fine.rows, fine.columns)

    def moving(self) -> FloatArray | None:
        """The neutral corners (2, 2), low and high, of what moves; None if nothing does."""
        low, high = np.full(2, np.inf), np.full(2, -np.inf)
        for field, grid in ((self._skin, self._model.grid), (self._lids, self._model.lid_grid)):
            if field is None:
                continue
            places = grid.nodes[np.abs(field).max(2) > STILL_PX]
            if len(places):
                low = np.minimum(low, places.min(0) - grid.step)
                high = np.maximum(high, places.max(0) + grid.step)
        return floats([low, high]) if low[0] < high[0] else None

    @property
    def blinking(self) -> bool:
        """Whether the eyes need their finer nodes."""
        return self._lids is not None and float(np.abs(self._lids).max()) > STILL_PX

    def back(self, at: FloatArray, *, eyes: bool = False) -> FloatArray:
        """From the frame positions `at` (…, …, 2) to where their pixels come from: the way back
        (…, …, 2) in px. With `eyes`, the lids' motion counts as well."""
        neutral = self.neutral(at, turned=False)
        place = neutral
        for _ in range(_LID_TURNS if eyes else _TURNS):
            place = floats(neutral - self._forward(place, eyes) @ self._place.inverse.T)
        return -self._forward(place, eyes)

    def neutral(self, at: FloatArray, *, turned: bool = True) -> FloatArray:
        """Neutral positions of frame positions `at` (…, …, 2), the shapes left aside; with
        `turned`, the head's added rotation is undone as well."""
        place, grid = self._place, self._model.grid
        first = floats((at - place.shift) @ place.inverse.T)
        found = floats(first - grid.sample(place.rest, first) @ place.inverse.T)
        if turned and self._turn is not None:
            back = grid.sample(self._turn, found) @ place.inverse.T
            found = floats(found - grid.sample(self._turn, floats(found - back)) @ place.inverse.T)
        return found

    def frame(self, at: FloatArray) -> FloatArray:
        """Positions in the idle frame of neutral positions `at` (…, …, 2)."""
        place = self._place
        moved = self._model.grid.sample(place.rest, at)
        return floats(at @ place.linear.T + place.shift + moved)

    def _forward(self, at: FloatArray, eyes: bool) -> FloatArray:
        moved = self._model.grid.sample(self._skin, at)
        if eyes and self._lids is not None:
            moved = moved + self._model.lid_grid.sample(self._lids, at)
        return moved

    def _projected(self, moved: FloatArray, rows: int, columns: int) -> FloatArray:
        return floats(moved.reshape(-1, 3) @ self._place.projection.T).reshape(rows, columns, 2)
