"""A mouth atlas for a face that brings none.

The lips are cut along their line: what is above goes with the upper lip, what is below with the
lower one. Between them shows the kit's inner mouth in the light of the face.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

from ditto_avatar.face.avatar import Avatar, MouthAtlas
from ditto_avatar.face.puppet import landmarks as lm
from ditto_avatar.face.puppet.arkit import INDEX, SHAPES, indices
from ditto_avatar.face.puppet.fields import (
    Grid,
    floats,
    grid_over,
    interpolate,
    pick,
    soften,
)
from ditto_avatar.face.puppet.inner_mouth import InnerMouth
from ditto_avatar.types import ByteArray, FloatArray

_SHAPES: Final[dict[str, dict[str, float]]] = {
    "rest": {},
    "closed": {"mouthPress": 0.4},
    "wide": {"mouthStretch": 0.5, "mouthSmile": 0.3, "jawOpen": 0.06},
    "round": {"mouthPucker": 0.9, "jawOpen": 0.06},
    **{f"jaw{jaw:.2f}": {"jawOpen": jaw} for jaw in (0.1, 0.17, 0.25, 0.35, 0.5, 0.75)},
    **{
        f"jaw{jaw:.2f}_round": {"jawOpen": jaw, "mouthPucker": 0.6, "mouthFunnel": 0.3}
        for jaw in (0.2, 0.35, 0.5)
    },
    **{
        f"jaw{jaw:.2f}_wide": {"jawOpen": jaw, "mouthStretch": 0.4, "mouthSmile": 0.2}
        for jaw in (0.2, 0.45)
    },
}
# A field's nodes lie this far apart: so many px, or so many across the patch.
_NODE_PX: Final = 3.0
_NODES_ACROSS: Final = 60
_UPPER: Final = lm.INNER_LIPS[:11]
_LOWER: Final = (*lm.INNER_LIPS[10:], lm.INNER_LIPS[0])


@dataclass(frozen=True, slots=True)
class _Source:
    """The face at rest around its mouth, in neutral coordinates.

    `picture` (height, width, 3) float32 RGB covers `grid`, one node a pixel; `points` (478, 2).
    """

    grid: Grid
    picture: FloatArray
    points: FloatArray
    inside: InnerMouth


def made_atlas(avatar: Avatar, basis: FloatArray) -> MouthAtlas:
    """An atlas of 15 shapes out of the avatar's own idle frames; `basis` (52, 478, 3)."""
    arrays = avatar.arrays
    frame = shut_frame(arrays.landmarks)
    picture = np.asarray(cv2.cvtColor(avatar.idle_frames[frame], cv2.COLOR_YUV2RGB_I420), np.uint8)
    return atlas_of(picture, arrays.landmarks[frame], arrays.neutral_landmarks, basis)


def shut_frame(points: FloatArray) -> int:
    """Return the frame of `points` (n, 478, 3) whose lips are shut best."""
    upper, lower = np.array(lm.GAPS).T
    return int(np.argmin((points[:, lower, 1] - points[:, upper, 1]).mean(1)))


def atlas_of(
    picture: ByteArray,
    seen: FloatArray,
    neutral: FloatArray,
    basis: FloatArray,
    white: FloatArray | None = None,
) -> MouthAtlas:
    """An atlas of 15 shapes out of `picture` (h, w, 3) RGB, whose points (478, 3) are `seen`, for a
    face at rest at `neutral`. `white` is the colour (3,) of the own teeth, where it is known."""
    weights = np.zeros((len(_SHAPES), len(SHAPES)), np.float32)
    for row, shape in zip(weights, _SHAPES.values(), strict=True):
        for name, weight in shape.items():
            row[list(indices(name))] = weight
    points = floats(neutral + np.tensordot(weights, basis, axes=1))
    source = _source(picture, seen[:468, :2], neutral[:, :2], points, white)
    jaw = basis[INDEX["jawOpen"], 14, 1]
    patches = [
        _patch(source, shape[:, :2], float(row[INDEX["jawOpen"]] * jaw))
        for row, shape in zip(weights, points, strict=True)
    ]
    grid = source.grid
    return MouthAtlas(
        names=tuple(_SHAPES),
        weights=weights,
        landmarks=points,
        box=(grid.left, grid.top, float(grid.columns), float(grid.rows)),
        patches=partial(np.stack, patches),
    )


def _source(
    frame: ByteArray,
    seen: FloatArray,
    neutral: FloatArray,
    shapes: FloatArray,
    white: FloatArray | None,
) -> _Source:
    lips = shapes[:, list(lm.OUTER_LIPS), :2].reshape(-1, 2)
    margin = 0.42 * np.ptp(neutral[list(lm.OUTER_LIPS), 0])
    grid = grid_over(floats(lips.min(0) - margin), floats(lips.max(0) + margin), 1.0)
    coarse = grid_over(grid.nodes[0, 0], grid.nodes[-1, -1], 8.0)
    moved = interpolate(neutral[:468:2], seen[::2] - neutral[:468:2], coarse.nodes.reshape(-1, 2),
                        smoothing=1.0)  # fmt: skip
    way = coarse.sample(moved.reshape(coarse.rows, coarse.columns, 2), grid.nodes)
    picture = pick(floats(frame), floats(grid.nodes + way))
    cheeks = pick(picture, floats(neutral[None, [50, 280, 199]] - (grid.left, grid.top)))
    points = floats(neutral)
    inside = InnerMouth(points, _light(cheeks), white)
    return _Source(grid, picture, points, inside)


def _light(cheeks: FloatArray) -> FloatArray:
    """The colour (3,) of the light on skin (1, n, 3), about 1 in a bright studio."""
    bright = cheeks.reshape(-1, 3).mean(0)
    # A dark skin is not a dark room: the light is judged by its square root, its tint slightly.
    level = np.sqrt(np.clip(bright.max() / 215, 0.15, 1.1))
    tint = (bright / bright.mean()) ** 0.15
    return floats(level * tint)


def _patch(source: _Source, shape: FloatArray, jaw_px: float) -> ByteArray:
    """The mouth with its points at `shape` (478, 2), the jaw lowered by `jaw_px`."""
    grid = source.grid
    nodes = grid.nodes
    coarse = grid_over(nodes[0, 0], nodes[-1, -1], max(_NODE_PX, grid.columns / _NODES_ACROSS))
    line = _line(shape)
    skin = []
    for sign, lips in ((-1, _UPPER), (1, _LOWER)):
        middle = _height(_line(source.points), source.points[:468])
        beyond = sign * (source.points[:468, 1] - middle) > 0.5
        others = set(lm.INNER_LIPS) - set(lips)
        near = {int(i) for i in np.flatnonzero(beyond) if _near(source, int(i))}
        chosen = sorted((near - others) | set(lips))
        way = interpolate(
            shape[chosen],
            source.points[chosen] - shape[chosen],
            coarse.nodes.reshape(-1, 2),
            smoothing=0.5,
        )
        at = nodes + coarse.sample(way.reshape(coarse.rows, coarse.columns, 2), nodes)
        skin.append(pick(source.picture, floats(at - (grid.left, grid.top))))
    below = np.clip((nodes[..., 1] - _height(line, nodes)) / 2 + 0.5, 0, 1)
    face = _over(skin[0], skin[1], floats(below))
    hole = _hole(source, shape)
    if hole.max() > 0:
        face = _over(face, source.inside.draw(nodes, shape, jaw_px), hole)
    result: ByteArray = np.clip(face + 0.5, 0, 255).astype(np.uint8)
    return result


def _near(source: _Source, index: int) -> bool:
    """Whether a point counts for the patch: in it, or a little outside."""
    x, y = source.points[index]
    grid = source.grid
    margin = 0.3 * grid.columns
    return bool(
        grid.left - margin < x < grid.left + grid.columns + margin
        and grid.top - margin < y < grid.top + grid.rows + margin
    )


def _line(points: FloatArray) -> FloatArray:
    """The line (11, 2) along which the lips meet, from corner to corner."""
    return floats((points[list(_UPPER)] + points[list(_LOWER)[::-1]]) / 2)


def _height(line: FloatArray, at: FloatArray) -> FloatArray:
    """The height y of `line` at the x of `at` (…, 2)."""
    order = np.argsort(line[:, 0])
    return floats(np.interp(at[..., 0], line[order, 0], line[order, 1]))


def _hole(source: _Source, shape: FloatArray) -> FloatArray:
    """Opacity (height, width) of what is seen between the lips at `shape`."""
    grid = source.grid
    ring = shape[list(lm.INNER_LIPS)] - (grid.left, grid.top)
    rest = source.points[list(lm.INNER_LIPS)]
    parted = _gap(shape) - _gap(source.points)
    mask = np.zeros((grid.rows, grid.columns), np.uint8)
    corners: npt.NDArray[Any] = np.round(ring * 16).astype(np.int32)
    cv2.fillPoly(mask, [corners], 255, cv2.LINE_AA, 4)
    # Closed lips show nothing, however their points lie.
    strength = np.clip(parted / (0.03 * np.ptp(rest[:, 0])), 0, 1)
    return floats(soften(floats(mask / 255), 0.7) * strength)


def _gap(points: FloatArray) -> float:
    upper, lower = np.array(lm.GAPS).T
    return float((points[lower, 1] - points[upper, 1]).mean())


def _over(below: FloatArray, above: FloatArray, opacity: FloatArray) -> FloatArray:
    return floats(below + (above - below) * opacity[..., None])
