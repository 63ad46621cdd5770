"""A photo made ready: righted, cut out, its lips closed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from ditto_avatar.face.puppet import landmarks as lm
from ditto_avatar.face.puppet.fields import Grid, floats, grid_over, interpolate, pick
from ditto_avatar.face.register.checks import TEETH_SHOW, lip_gap
from ditto_avatar.types import ByteArray, FloatArray

# The face's share of the picture's width, and how far below its middle the picture's lies.
_FACE_SHARE: Final = 0.45
_BELOW: Final = 0.06
# Widths that an avatar may have, at 4:5; the largest one for which the photo has the pixels.
_WIDTHS: Final = (768, 640, 512)
_ENOUGH: Final = 0.85
# A head tilted less than this is left as it is.
_TILT_DEG: Final = 2.5
_UPPER: Final = lm.INNER_LIPS[:11]
_LOWER: Final = (*lm.INNER_LIPS[10:], lm.INNER_LIPS[0])[::-1]
# Where the lips meet between the upper one's edge (0) and the lower one's (1), and how far the
# lips' outer edges follow.
_MEET: Final = 0.4
_UPPER_FOLLOWS: Final = 0.8
_LOWER_FOLLOWS: Final = 0.92
_OUTER_UPPER: Final = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291)
_OUTER_LOWER: Final = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291)
# The jaw comes up by this share of the gap: the lip's skin, and the chin.
_CHIN: Final = {152: 0.24, 148: 0.24, 377: 0.24, 175: 0.34, 199: 0.34, 200: 0.34, 18: 0.34,
                83: 0.34, 313: 0.34}  # fmt: skip
_FIXED: Final = (
    *(2, 98, 327, 1, 4, 33, 133, 263, 362, 168, 10, 234, 454, 50, 280, 205, 425, 116, 345),
    *(61, 291, 132, 361, 58, 288, 172, 397, 207, 427, 164),
)


@dataclass(frozen=True, slots=True)
class Still:
    """A photo (h, w, 3) RGB with closed lips, even sides at 4:5, and its points (478, 3). `white`
    (3,) is the colour of the teeth that the photo showed, if it did."""

    picture: ByteArray
    points: FloatArray
    white: FloatArray | None = None


def prepare_still(photo: ByteArray, points: FloatArray) -> Still:
    """Return `photo` (h, w, 3) RGB, whose face has these `points` (478, 3), made ready."""
    cut = cut_around(points, photo.shape[1], photo.shape[0])
    picture, placed = cut.picture(photo), cut.points(points)
    white = None
    if lip_gap(placed) > TEETH_SHOW:
        white = _teeth(picture, placed)
        picture, placed = close_lips(picture, placed)
    return Still(picture, placed, white)


@dataclass(frozen=True, slots=True)
class Cut:
    """How an upright 4:5 picture of `size` (width, height) is cut out: a position q of the photo
    lies at ``linear @ q + shift``."""

    linear: FloatArray
    shift: FloatArray
    size: tuple[int, int]

    def picture(self, photo: ByteArray) -> ByteArray:
        """Return what the cut shows of `photo` (h, w, 3)."""
        scale = float(np.sqrt(abs(np.linalg.det(self.linear))))
        if scale < 0.8:
            # What is made smaller is smoothed first: picked pixels alone would flicker.
            photo = np.asarray(cv2.GaussianBlur(photo, (0, 0), 0.36 / scale), np.uint8)
        matrix = np.concatenate([self.linear, self.shift[:, None]], axis=1)
        how = cv2.INTER_CUBIC if scale > 1 else cv2.INTER_LINEAR
        made = cv2.warpAffine(
            photo, matrix, self.size, flags=how, borderMode=cv2.BORDER_REFLECT_101
        )
        return np.asarray(made, np.uint8)

    def points(self, points: FloatArray) -> FloatArray:
        """Return where points (…, 3) lie in the cut."""
        placed = points.copy()
        placed[..., :2] = points[..., :2] @ self.linear.T + self.shift
        placed[..., 2] *= np.sqrt(abs(np.linalg.det(self.linear)))
        return floats(placed)


def cut_around(points: FloatArray, width: int, height: int) -> Cut:
    """Return the cut that shows the face at `points` (478, 3) of a photo of this size upright, and
    as large as the photo allows."""
    across = points[lm.LEFT_EYE_OUTER, :2] - points[lm.RIGHT_EYE_OUTER, :2]
    angle = float(np.arctan2(across[1], across[0]))
    if abs(np.degrees(angle)) < _TILT_DEG:
        angle = 0.0
    cosine, sine = np.cos(angle), np.sin(angle)
    turn = np.array([[cosine, sine], [-sine, cosine]])
    upright = points[list(lm.FACE_OVAL), :2] @ turn.T
    low, high = upright.min(0), upright.max(0)
    cut_width = float(high[0] - low[0]) / _FACE_SHARE
    shrink = min(1.0, width / cut_width, height / (cut_width * 1.25))
    cut = cut_width * shrink * np.array([1, 1.25])
    target = next((w for w in _WIDTHS if cut[0] >= _ENOUGH * w), _WIDTHS[-1])
    middle = (low + high) / 2 + (0, _BELOW * cut[1])
    if not angle:
        middle = np.clip(middle, cut / 2, np.array([width, height]) - cut / 2)
    scale = target / cut[0]
    size = (target, target * 5 // 4)
    shift = np.array(size) / 2 - scale * middle
    return Cut(floats(turn * scale), floats(shift), size)


def _teeth(picture: ByteArray, points: FloatArray) -> FloatArray | None:
    """The colour (3,) of the bright, hardly coloured pixels between the lips."""
    mask = np.zeros(picture.shape[:2], np.uint8)
    cv2.fillPoly(mask, [np.round(points[list(lm.INNER_LIPS), :2]).astype(np.int32)], 255)
    inside = picture[mask > 0].astype(np.float32)
    if len(inside) < 40:
        return None
    light = inside.max(axis=1)
    pale = (light - inside.min(axis=1)) < 0.35 * light
    bright = inside[pale & (light > np.percentile(light, 60))]
    return floats(np.median(bright, axis=0)) if len(bright) > 20 else None


def close_lips(picture: ByteArray, points: FloatArray) -> tuple[ByteArray, FloatArray]:
    """Return picture and points with the lips shut: each lip with its skin is drawn to the line on
    which they meet, and the chin comes up a little."""
    gap = float(np.mean([points[below, 1] - points[above, 1] for above, below in lm.GAPS]))
    target = points.copy()
    moves = _lip_moves(points, gap)
    known = np.array(list(moves))
    way = floats(list(moves.values()))
    others = np.setdiff1d(np.arange(468), known)
    target[known, :2] += way
    target[others, :2] += interpolate(points[known, :2], way, points[others, :2], 0.3)
    lips = np.concatenate([points[list(lm.OUTER_LIPS), :2], points[[lm.CHIN], :2]])
    margin = 0.42 * float(np.ptp(points[list(lm.OUTER_LIPS), 0]))
    limit = np.array(picture.shape[1::-1], np.float32) - 1
    grid = grid_over(
        floats(np.maximum(lips.min(0) - margin, 0)),
        floats(np.minimum(lips.max(0) + margin, limit)),
        1,
    )
    shut = _two_sided(picture, grid, points[:, :2], target[:, :2])
    x, y = int(grid.left), int(grid.top)
    out = picture.copy()
    region = out[y : y + grid.rows, x : x + grid.columns]
    shut = shut[: region.shape[0], : region.shape[1]]
    share = _feather(region.shape[0], region.shape[1])
    region[:] = np.clip(region * (1 - share) + shut * share + 0.5, 0, 255).astype(np.uint8)
    return out, floats(target)


def _lip_moves(points: FloatArray, gap: float) -> dict[int, FloatArray]:
    """How far each point goes, by its number."""
    moves = {index: np.zeros(2, np.float32) for index in _FIXED}
    line = points[list(_UPPER), :2] * (1 - _MEET) + points[list(_LOWER), :2] * _MEET
    for inner, outer, follows in (
        (_UPPER, _OUTER_UPPER, _UPPER_FOLLOWS),
        (_LOWER, _OUTER_LOWER, _LOWER_FOLLOWS),
    ):
        for index, edge, place in zip(inner, outer, line, strict=True):
            way = floats(place - points[index, :2])
            moves[index] = way
            if edge not in (61, 291):
                moves[edge] = floats(way * follows)
    moves |= {index: floats([0, -gap * share]) for index, share in _CHIN.items()}
    return moves


def _two_sided(
    picture: ByteArray, grid: Grid, points: FloatArray, target: FloatArray
) -> FloatArray:
    """The picture on `grid` with what is above the lips' line moved with the upper lip, and what is
    below with the lower one."""
    line = target[list(_UPPER)]
    order = np.argsort(line[:, 0])
    nodes = grid.nodes
    coarse = grid_over(nodes[0, 0], nodes[-1, -1], 3)
    reach = (np.abs(points - nodes.reshape(-1, 2).mean(0)) < 0.8 * np.ptp(nodes[..., 0])).all(1)
    between = np.interp(target[:, 0], line[order, 0], line[order, 1])
    sides = []
    for sign, lips, other in ((-1, _UPPER, _LOWER), (1, _LOWER, _UPPER)):
        beyond = (sign * (target[:, 1] - between) > 0.5) & reach
        beyond[468:] = False
        beyond[list(other)] = False
        beyond[list(lips)] = True
        chosen = np.flatnonzero(beyond)
        way = interpolate(
            floats(target[chosen]), floats(points[chosen] - target[chosen]),
            coarse.nodes.reshape(-1, 2), 0.5,
        )  # fmt: skip
        back = coarse.sample(way.reshape(coarse.rows, coarse.columns, 2), nodes)
        sides.append(pick(picture, floats(nodes + back)).astype(np.float32))
    edge = np.interp(nodes[..., 0], line[order, 0], line[order, 1])
    below = np.clip((nodes[..., 1] - edge) / 2 + 0.5, 0, 1)[..., None]
    return floats(sides[0] * (1 - below) + sides[1] * below)


def _feather(rows: int, columns: int) -> FloatArray:
    """Opacity (rows, columns, 1): 1 inside, 0 at the border."""
    y, x = np.mgrid[0:rows, 0:columns]
    away = np.minimum.reduce([x, y, columns - 1 - x, rows - 1 - y]) / (0.16 * columns)
    share = np.clip(away, 0, 1)
    return floats(share * share * (3 - 2 * share))[..., None]
