"""An avatar's face prepared for drawing: made once, read-only, shared by its viewers.

Everything is described in the coordinates of the neutral pose (pixels of the neutral frame). Each
idle frame has a map from there to its own pixels: the head's rigid motion, and a smooth rest.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Final

import numpy as np
import numpy.typing as npt

from ditto_avatar.errors import InvalidAvatar
from ditto_avatar.face.avatar import Avatar
from ditto_avatar.face.geometry import rotations
from ditto_avatar.face.puppet import landmarks as lm
from ditto_avatar.face.puppet.arkit import INDEX, SHAPES
from ditto_avatar.face.puppet.fields import Grid, floats, grid_over, interpolate
from ditto_avatar.face.puppet.lip_skin import keep_apart
from ditto_avatar.types import FloatArray

# Nodes across the width of the face.
_NODES_ACROSS: Final = 28
# A face narrower than this many pixels, or turned further than this, is not drawn well.
_SMALLEST_FACE_PX: Final = 48
_FURTHEST_TURN_DEG: Final = 35
# The eyes' shapes come first in ARKit's order.
EYE_SHAPES: Final = 14
BLINKS: Final = (INDEX["eyeBlinkLeft"], INDEX["eyeBlinkRight"])
BLINK_LEVELS: Final = 5
# The smooth rest of an idle frame's motion is read off these points: lips, and one in three.
_SPREAD: Final = np.array(sorted({*range(0, 468, 3), *lm.LIPS}))


@dataclass(frozen=True, slots=True)
class Placement:
    """Where the neutral face lies in one idle frame.

    A neutral point q appears at ``linear @ q + shift``, plus the smooth rest; a displacement d
    (x, y, z) of a point shows as ``projection @ d``. `rest` (rows, columns, 2) lives on the
    model's grid.
    """

    linear: FloatArray
    shift: FloatArray
    projection: FloatArray
    inverse: FloatArray
    rest: FloatArray


class FaceModel:
    """Geometry of one face: the shapes' displacements as smooth fields, and the placements."""

    def __init__(self, avatar: Avatar) -> None:
        arrays = avatar.arrays
        _check(avatar)
        self.neutral = arrays.neutral_landmarks
        self.basis = calibrated(_basis(avatar))
        self._arrays = arrays
        face = self.neutral[list(lm.FACE_OVAL), :2]
        low, high = face.min(0), face.max(0)
        self.face_size = high - low
        self.grid = _face_grid(low, high)
        self.nodes = self.grid.nodes
        self.fields = self._fields(low, high)
        self.turns = self._turns(low, high)
        self.lid_grid = _eyes_grid(self.neutral)
        self.lids = self._lids()
        self.blinks = self._blinks()
        identity = np.eye(len(_SPREAD), dtype=np.float32)
        self._rest_matrix = interpolate(
            self.neutral[_SPREAD, :2], identity, self.grid.nodes.reshape(-1, 2), smoothing=2.0
        )
        self._placements: dict[int, Placement] = {}
        self._lock = threading.Lock()

    def placement(self, frame: int) -> Placement:
        """The placement of idle frame `frame`, computed at its first use."""
        with self._lock:
            found = self._placements.get(frame)
            if found is None:
                found = self._placements[frame] = self._place(frame)
            return found

    def displacement(self, weights: FloatArray) -> FloatArray:
        """Displacements (478, 3) of the neutral points by ARKit weights (52,)."""
        result: FloatArray = np.tensordot(weights, self.basis, axes=1)
        return result

    def _fields(self, low: FloatArray, high: FloatArray) -> FloatArray:
        """Displacement fields (52, rows * columns * 3) on the grid: the skin's motion per shape,
        calm at a distance from the face. The eyes' shapes are in `lids`, on a finer grid."""
        # The lips' inner edges part; what lies between them is the atlas's business.
        skin = [i for i in range(468) if i not in set(lm.INNER_LIPS)]
        points = np.concatenate([self.neutral[skin, :2], _anchors(low, high)])
        values = np.zeros((len(points), len(SHAPES), 3), np.float32)
        values[: len(skin)] = self.basis[:, skin].transpose(1, 0, 2)
        nodes = self.grid.nodes.reshape(-1, 2)
        fields = interpolate(points, values.reshape(len(points), -1), nodes, smoothing=0.5)
        fields *= _calm(self.grid, low, high).reshape(-1, 1)
        by_shape = fields.reshape(len(nodes), len(SHAPES), 3).transpose(1, 0, 2)
        by_shape[:EYE_SHAPES] = 0
        return floats(by_shape.reshape(len(SHAPES), -1))

    def _turns(self, low: FloatArray, high: FloatArray) -> FloatArray:
        """Displacement fields (3, rows * columns * 3) on the grid of one degree of pitch, yaw and
        roll: what is nearer than the head's centre moves, the outline and the background stay."""
        points = np.concatenate([self.neutral[_SPREAD], _rim(low, high)])
        nodes = self.grid.nodes.reshape(-1, 2)
        depth = interpolate(points[:, :2], points[:, 2:], nodes, smoothing=4.0)[:, 0]
        near = np.maximum(-depth, 0)
        pivot = np.array([(low[0] + high[0]) / 2, high[1]], np.float32)
        offset = nodes - pivot
        turns = np.zeros((3, len(nodes), 3), np.float32)
        turns[0, :, 1] = near
        turns[1, :, 0] = near
        turns[2, :, 0], turns[2, :, 1] = -offset[:, 1], offset[:, 0]
        turns *= _calm(self.grid, low, high).reshape(1, -1, 1) * np.float32(np.pi / 180)
        return turns.reshape(3, -1)

    def _lids(self) -> FloatArray:
        """Displacement fields (14, rows * columns * 3) of the eyes' shapes on the finer grid. Lids
        slide over the eyeball; a gaze moves the iris between them."""
        nodes = self.lid_grid.nodes
        low, high = nodes[0, 0], nodes[-1, -1]
        inside = ((self.neutral[:468, :2] > low) & (self.neutral[:468, :2] < high)).all(1)
        skin = np.flatnonzero(inside)
        border = np.concatenate([nodes[0], nodes[-1], nodes[:, 0], nodes[:, -1]])[::3]
        fields = np.zeros((EYE_SHAPES, nodes.shape[0] * nodes.shape[1] * 3), np.float32)
        for gaze in (False, True):
            shapes = [
                i for i in range(EYE_SHAPES) if ("Look" in SHAPES[i]) is gaze and i not in BLINKS
            ]
            chosen = np.array([*skin, *lm.IRISES]) if gaze else skin
            points = np.concatenate([self.neutral[chosen, :2], border])
            values = np.zeros((len(points), len(shapes), 3), np.float32)
            values[: len(chosen)] = self.basis[np.array(shapes)][:, chosen].transpose(1, 0, 2)
            flat = values.reshape(len(points), -1)
            made = interpolate(points, flat, nodes.reshape(-1, 2), smoothing=0.3)
            by_shape = made.reshape(-1, len(shapes), 3).transpose(1, 0, 2)
            fields[shapes] = by_shape.reshape(len(shapes), -1)
        return fields

    def _blinks(self) -> FloatArray:
        """Ways back (2, 5, rows * columns * 2) on the finer grid of the left and right eye's blink
        at weights 0, 1/4, … 1. Lids slide over an eyeball that stays: what lies above the upper
        lid's edge comes with it, what lies below the lower one's with that."""
        nodes = self.lid_grid.nodes
        flat = nodes.reshape(-1, 2)
        border = np.concatenate([nodes[0], nodes[-1], nodes[:, 0], nodes[:, -1]])[::3]
        ways = np.zeros((2, BLINK_LEVELS, len(flat), 2), np.float32)
        for side, eye in enumerate((lm.LEFT_EYE, lm.RIGHT_EYE)):
            moved = self.basis[BLINKS[side], :468, :2] * self._lids_meet(BLINKS[side], eye)
            near = self._around(eye)
            for level in range(1, BLINK_LEVELS):
                shift = moved * np.float32(level / (BLINK_LEVELS - 1))
                ends = self.neutral[:468, :2] + shift
                upper = _edge(ends[list(eye[:9])], flat)
                lower = _edge(ends[[*eye[8:], eye[0]]], flat)
                middle = _edge(self.neutral[[eye[0], eye[8]], :2], self.neutral[near, :2])
                for edge, rim, sign in ((upper, eye[:9], -1), (lower, (*eye[8:], eye[0]), 1)):
                    beyond = sign * (self.neutral[near, 1] - middle) > 0
                    chosen = np.array(sorted({*near[beyond], *rim}))
                    points = np.concatenate([ends[chosen], border])
                    values = np.concatenate([-shift[chosen], np.zeros_like(border)])
                    made = interpolate(points, values, flat, smoothing=0.3)
                    outside = sign * (flat[:, 1] - edge) > 0
                    ways[side, level, outside] = made[outside]
        return ways.reshape(2, BLINK_LEVELS, -1)

    def _around(self, eye: tuple[int, ...]) -> npt.NDArray[np.intp]:
        """The points of `eye` and of the skin around it; what lies between the lids is no skin."""
        rim = self.neutral[list(eye), :2]
        low, high = rim.min(0), rim.max(0)
        reach = (high[0] - low[0]) * 0.55
        points = self.neutral[:468, :2]
        inside = (points > low - reach) & (points < high + reach)
        middle, half = (low + high) / 2, np.maximum((high - low) / 2, 1e-3)
        between = (((points - middle) / half) ** 2).sum(1) < 0.98
        between[list(eye)] = False
        return np.flatnonzero(inside.all(1) & ~between)

    def _lids_meet(self, shape: int, eye: tuple[int, ...]) -> np.float32:
        """The factor at which the blink brings the lids of `eye` (corner, upper, corner, lower)
        together without crossing them."""
        upper, lower = list(eye[2:7]), list(eye[14:9:-1])
        apart = self.neutral[lower, 1] - self.neutral[upper, 1]
        closing = self.basis[shape, upper, 1] - self.basis[shape, lower, 1]
        return np.float32(np.clip(apart.sum() / max(float(closing.sum()), 1e-3), 0, 1.5))

    def _place(self, frame: int) -> Placement:
        points = self._arrays.landmarks[frame]
        projection = _pose(self.neutral[lm.RIGID], points[lm.RIGID])
        flat = np.concatenate([self.neutral[:468, :2], np.ones((468, 1), np.float32)], axis=1)
        affine, *_ = np.linalg.lstsq(flat, points[:468, :2], rcond=None)
        linear, shift = affine[:2].T.astype(np.float32), affine[2].astype(np.float32)
        rest = points[:468, :2] - (self.neutral[:468, :2] @ linear.T + shift)
        shape = (self.grid.rows, self.grid.columns, 2)
        smooth = (self._rest_matrix @ floats(rest[_SPREAD])).reshape(shape)
        inverse = np.linalg.inv(linear).astype(np.float32)
        return Placement(linear, shift, projection, inverse, np.ascontiguousarray(smooth))


def calibrated(basis: FloatArray) -> FloatArray:
    """`basis` with mouthClose scaled so that it closes exactly what jawOpen opens.

    ARKit defines it so; measured or borrowed shapes are a little off, and lips that do not meet
    are the first thing one sees.
    """
    upper, lower = np.array(lm.GAPS).T
    gaps = basis[:, lower, 1] - basis[:, upper, 1]
    opens, closes = gaps[INDEX["jawOpen"]].mean(), gaps[INDEX["mouthClose"]].mean()
    result: FloatArray = basis.copy()
    if closes < 0 < opens:
        result[INDEX["mouthClose"]] *= -opens / closes
    return result


@cache
def general_basis() -> tuple[FloatArray, FloatArray]:
    """The average face and its shapes, in units of the distance of the eyes' outer corners."""
    source = resources.files("ditto_avatar.face.puppet") / "basis.npz"
    with resources.as_file(source) as path, np.load(path, allow_pickle=False) as file:
        return file["neutral"].astype(np.float32), file["blendshapes"].astype(np.float32)


def scaled_basis(points: FloatArray) -> FloatArray:
    """The general shapes (52, 478, 3) brought to size and proportions of the face whose neutral
    `points` (478, 3) are given."""
    neutral, shapes = general_basis()
    corners = points[[lm.RIGHT_EYE_OUTER, lm.LEFT_EYE_OUTER]]
    scale = np.linalg.norm(corners[1] - corners[0])
    mine = _mouth_width(points) / scale
    # A wider mouth than the average moves further when it opens or narrows.
    wider = np.clip(mine / _mouth_width(neutral), 0.8, 1.25)
    scaled = floats(shapes * scale * wider)
    keep_apart(points, scaled)
    return scaled


def _basis(avatar: Avatar) -> FloatArray:
    """The face's own shapes, or the general ones."""
    own = avatar.arrays.blendshapes
    return scaled_basis(avatar.arrays.neutral_landmarks) if own is None else own


def _mouth_width(points: FloatArray) -> float:
    return float(np.linalg.norm(points[291, :2] - points[61, :2]))


def _check(avatar: Avatar) -> None:
    """Refuse faces that the puppet would draw wrongly."""
    name, arrays = avatar.name, avatar.arrays
    neutral = arrays.neutral_landmarks
    face = neutral[list(lm.FACE_OVAL), :2]
    width = float(np.ptp(face[:, 0]))
    if width < _SMALLEST_FACE_PX:
        raise InvalidAvatar(
            f"avatar.npz: neutral_landmarks: expected a face at least {_SMALLEST_FACE_PX} px "
            f"wide in {name!r}, came {width:.0f} px."
        )
    mouth = arrays.landmarks[:, list(lm.LIPS), :2]
    if (mouth < 0).any() or (mouth > (avatar.width, avatar.height)).any():
        raise InvalidAvatar(
            f"avatar.npz: landmarks: expected the whole mouth of {name!r} inside the frame, "
            f"came one that is cut."
        )
    turn = float(np.abs(arrays.head_rotation[:, :2]).max())
    if turn > _FURTHEST_TURN_DEG:
        raise InvalidAvatar(
            f"avatar.npz: head_rotation: expected a face within {_FURTHEST_TURN_DEG} degrees of "
            f"the camera in {name!r}, came {turn:.0f}."
        )
    seen = float(arrays.visibility[:, list(lm.LIPS)].mean())
    if seen < 0.5:
        raise InvalidAvatar(
            f"avatar.npz: visibility: expected the lips of {name!r} in sight, "
            f"came {seen:.0%} of their points."
        )


def _face_grid(low: FloatArray, high: FloatArray) -> Grid:
    size = high - low
    step = max(4.0, float(size[0]) / _NODES_ACROSS)
    return grid_over(low - size * (0.35, 0.25), high + size * (0.35, 0.45), step)


def _eyes_grid(neutral: FloatArray) -> Grid:
    """The finer grid over both eyes, lids and a margin of skin."""
    eyes = neutral[[*lm.RIGHT_EYE, *lm.LEFT_EYE], :2]
    low, high = eyes.min(0), eyes.max(0)
    width = high[0] - low[0]
    margin = np.array([0.14, 0.16], np.float32) * width
    return grid_over(low - margin, high + margin, max(2.0, float(width) / 48))


def _edge(line: FloatArray, at: FloatArray) -> FloatArray:
    """The height y (q,) of the polyline `line` (m, 2) at the x of points `at` (q, 2)."""
    order = np.argsort(line[:, 0])
    return floats(np.interp(at[:, 0], line[order, 0], line[order, 1]))


def _rim(low: FloatArray, high: FloatArray) -> FloatArray:
    """Points (m, 3) around the face at the depth of the head's centre."""
    centre, half = (low + high) / 2, (high - low) / 2
    turn = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    ring = centre + np.stack([np.cos(turn) * 1.12, np.sin(turn) * 1.1], axis=1) * half
    return floats(np.concatenate([ring, np.zeros((24, 1))], axis=1))


def _anchors(low: FloatArray, high: FloatArray) -> FloatArray:
    """Points around the face that do not move: beside the head, above it, and on the neck."""
    centre, half = (low + high) / 2, (high - low) / 2
    turn = np.linspace(0, 2 * np.pi, 32, endpoint=False)
    ring = np.stack([np.cos(turn) * 1.45, np.sin(turn) * 1.4], axis=1)
    # Below the chin the neck's skin goes along with the jaw for a while.
    ring[:, 1] *= np.where(ring[:, 1] > 0, 1.25, 1.0)
    result: FloatArray = (centre + ring * half).astype(np.float32)
    return result


def _calm(grid: Grid, low: FloatArray, high: FloatArray) -> FloatArray:
    """Factors (rows, columns) that are 1 on the face and fall to 0 towards the grid's border."""
    centre, half = (low + high) / 2, (high - low) / 2
    offset = (grid.nodes - centre) / half
    offset[..., 1] /= np.where(offset[..., 1] > 0, 1.25, 1.0)
    reach = np.linalg.norm(offset, axis=2)
    share = np.clip((1.5 - reach) / 0.35, 0, 1)
    result: FloatArray = (share * share * (3 - 2 * share)).astype(np.float32)
    return result


def _pose(neutral: FloatArray, points: FloatArray) -> FloatArray:
    """The rotation and scale (2, 3) that takes displacements at the neutral pose to the frame."""
    (rotation,), (scale,) = rotations(neutral, points[None])
    result: FloatArray = (scale * rotation)[:2].astype(np.float32)
    return result
