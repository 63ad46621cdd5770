"""Where the pixels of one frame come from."""

from __future__ import annotations

from typing import Final

import numpy as np

from ditto_avatar.face.puppet.fields import combine, floats
from ditto_avatar.face.puppet.model import BLINK_LEVELS, BLINKS, EYE_SHAPES, FaceModel, Placement
from ditto_avatar.face.puppet.motion import Pose
from ditto_avatar.types import FloatArray

# Displacements smaller than this, in px, are not worth a new picture.
STILL_PX: Final = 0.06
# A displacement field says where a point goes; where one comes from is found in so many steps.
_TURNS: Final = 2


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
        self._blinks: FloatArray | None = None
        eyes = pose.weights[:EYE_SHAPES]
        if eyes.any():
            if closure is not None:
                # Lids that are closed already do not close again.
                half = EYE_SHAPES // 2
                eyes = eyes * (1 - np.repeat(closure, half))
            fine = model.lid_grid
            self._lids = self._projected(combine(eyes, model.lids), fine.rows, fine.columns)
            ways = sum(_blink(model.blinks[i], float(eyes[b])) for i, b in enumerate(BLINKS))
            self._blinks = floats(ways).reshape(fine.rows, fine.columns, 2)

    def moving(self) -> FloatArray | None:
        """The neutral corners (2, 2), low and high, of the skin that moves; None if none does. The
        eyes are apart, see `eyes_move`."""
        grid = self._model.grid
        places = self._model.nodes[np.abs(self._skin).max(2) > STILL_PX]
        if not len(places):
            return None
        return floats([places.min(0) - grid.step, places.max(0) + grid.step])

    @property
    def eyes_move(self) -> bool:
        """Whether the eyes need their finer nodes."""
        return any(
            field is not None and float(np.abs(field).max()) > STILL_PX
            for field in (self._lids, self._blinks)
        )

    def back(self, at: FloatArray, *, eyes: bool = False) -> FloatArray:
        """From the frame positions `at` (…, …, 2) to where their pixels come from: the way back
        (…, …, 2) in px. With `eyes`, the lids' motion counts as well."""
        neutral = self.neutral(at, turned=False)
        opened = neutral
        if eyes and self._blinks is not None:
            opened = neutral + self._model.lid_grid.sample(self._blinks, neutral)
        place = opened
        for _ in range(_TURNS):
            place = floats(opened - self._forward(place, eyes) @ self._place.inverse.T)
        way = -self._forward(place, eyes)
        return floats(way + (opened - neutral) @ self._place.linear.T) if eyes else way

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


def _blink(ways: FloatArray, weight: float) -> FloatArray:
    """The way back (n,) at `weight` between the levels of `ways` (5, n)."""
    at = min(max(weight, 0.0), 1.0) * (BLINK_LEVELS - 1)
    level = min(int(at), BLINK_LEVELS - 2)
    share = np.float32(at - level)
    return floats(ways[level] * (1 - share) + ways[level + 1] * share)
