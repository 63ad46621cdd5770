"""The mouth out of pictures: the nearest shapes of the atlas, each bent to the asked one."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import cv2
import numpy as np

from ditto_avatar.face.avatar import MouthAtlas
from ditto_avatar.face.puppet import landmarks as lm
from ditto_avatar.face.puppet.arkit import INDEX, SHAPES
from ditto_avatar.face.puppet.fields import Grid, combine, floats, grid_over, interpolate
from ditto_avatar.media.colour import RGB_TO_YUV, YUV_OFFSET
from ditto_avatar.types import ByteArray, FloatArray

_NODES_ACROSS: Final = 36
_NEIGHBOURS: Final = 4
# A patch this much further from the asked shape than the nearest, in mouth widths, has a third of
# its share.
_REACH: Final = 0.018
_LEAST_SHARE: Final = 0.12
# The tip of the tongue behind the teeth, of the patch called `ln`: ARKit has no shape for it, a
# little of tongueOut stands in.
_TONGUE_TIP: Final = 0.15
_FEATHER: Final = 0.22
# The upper teeth belong to the skull. They end this far below the line of the lips, and are held
# at these places across, in widths of the mouth.
_TEETH_END: Final = 0.11
_TEETH_AT: Final = (-0.3, -0.15, 0.0, 0.15, 0.3)
# Lips parted less than this, in widths of the mouth, may pass over them; more, and they are held
# wholly.
_TEETH_FREE: Final = 0.16
_TEETH_HELD: Final = 0.26
# Steps that turn a field of displacements round; the fields are gentle.
_TURNS: Final = 3


class Mouth:
    """An atlas prepared for one face; read-only."""

    def __init__(self, atlas: MouthAtlas, neutral: FloatArray, basis: FloatArray) -> None:
        atlas, patches = _distinct(atlas)
        x, y, width, height = atlas.box
        low = np.array([x, y], np.float32)
        self.box = (x, y, width, height)
        rows, columns = patches.shape[1:3]
        self.scale = np.array([columns / width, rows / height], np.float32)
        self.grid = grid_over(low, low + np.array([width, height]), width / _NODES_ACROSS)
        self.luma, self.chroma = _planes(patches)
        self.rest = _rest(atlas)
        self._lips = neutral[list(lm.LIPS)]
        self._lip_basis = basis[:, list(lm.LIPS)].reshape(len(SHAPES), -1)
        self._features = _features(atlas.landmarks[:, list(lm.LIPS)])
        self._tongue = np.array(
            [
                max(weight, _TONGUE_TIP) if name == "ln" else weight
                for name, weight in zip(
                    atlas.names, atlas.weights[:, INDEX["tongueOut"]], strict=True
                )
            ],
            np.float32,
        )
        self._size = max(float(np.ptp(neutral[list(lm.OUTER_LIPS), 0])), 1.0)
        self._fields, self._offsets = self._prepare(atlas, neutral, basis)
        self.mask = _mask(self.grid, self.box)

    def choose(self, weights: FloatArray) -> list[tuple[int, float]]:
        """The patches to blend for ARKit weights (52,), with shares that sum to 1.

        Shares change smoothly with the weights: a patch enters and leaves with nothing.
        """
        lips = self._lips.reshape(-1) + weights @ self._lip_basis
        asked = _features(lips.reshape(1, -1, 3))
        away = self._features - asked
        squared = (away[:, :-1] ** 2).mean(1)
        # Stretching a closed mouth open smears its line; pressing an open one shut does not.
        gap = away[:, -1]
        squared += np.where(gap < 0, 4.0, 0.25) * gap**2
        squared += ((self._tongue - weights[INDEX["tongueOut"]]) * self._size) ** 2
        distance = np.sqrt(squared)
        order = np.argsort(distance, kind="stable")[: _NEIGHBOURS + 1]
        closeness = np.exp((distance[order[0]] - distance[order]) / (_REACH * self._size))
        # The last neighbour has no share: that is how patches come and go without a jump. What
        # would hardly be seen is not worth bending a picture for.
        least = max(float(closeness[-1]) if len(order) > _NEIGHBOURS else 0.0, _LEAST_SHARE)
        shares = np.maximum(closeness - least, 0)
        if shares.sum() <= 0:
            return [(int(order[0]), 1.0)]
        shares /= shares.sum()
        return [(int(k), float(s)) for k, s in zip(order, shares, strict=True) if s > 0]

    def opening(self, weights: FloatArray) -> float:
        """How far the lips are from rest, in px of the neutral frame (largest of their points)."""
        moved = (weights @ self._lip_basis).reshape(-1, 3)
        return float(np.sqrt((moved**2).sum(1).max()))

    def sources(self, patch: int, weights: FloatArray, at: FloatArray) -> FloatArray:
        """Where in `patch` (its pixels) the neutral positions `at` (…, …, 2) come from when the
        patch is bent to ARKit weights (52,)."""
        flat = self._offsets[patch] + combine(weights, self._fields[patch])
        field = flat.reshape(self.grid.rows, self.grid.columns, 2)
        place = at
        for _ in range(_TURNS):
            place = at - self.grid.sample(field, place)
        corner = np.array(self.box[:2], np.float32)
        result: FloatArray = (place - corner + 0.5) * self.scale - 0.5
        return result

    def _prepare(
        self, atlas: MouthAtlas, neutral: FloatArray, basis: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Per patch, the field of each shape (k, 52, nodes * 2) and of the patch's own
        difference (k, nodes * 2) on the grid."""
        x, y, width, height = self.box
        middle = np.array([x + width / 2, y + height / 2])
        near = np.abs(neutral[:468, :2] - middle) < np.array([width, height]) * 0.7
        chosen = np.flatnonzero(near.all(1))
        nodes = self.grid.nodes.reshape(-1, 2)
        teeth = _teeth(neutral)
        fields, offsets = [], []
        for points in atlas.landmarks:
            values = np.concatenate([basis[:, chosen, :2], (neutral - points)[None, chosen, :2]])
            columns = values.transpose(1, 0, 2).reshape(len(chosen), -1)
            places = points[chosen, :2]
            held = self._teeth_held(points)
            if held > 0:
                loose = interpolate(places, columns, teeth, smoothing=1.0)
                places = np.concatenate([places, teeth])
                columns = np.concatenate([columns, (1 - held) * loose])
            moved = interpolate(places, columns, nodes, smoothing=1.0)
            moved = moved.reshape(len(nodes), -1, 2).transpose(1, 0, 2).reshape(len(values), -1)
            fields.append(moved[:-1])
            offsets.append(moved[-1])
        return np.stack(fields).astype(np.float32), np.stack(offsets).astype(np.float32)

    def _teeth_held(self, points: FloatArray) -> float:
        """How far the upper teeth stay in a patch with these `points` when it is bent, 0 to 1."""
        upper, lower = np.array(lm.GAPS).T
        gap = float((points[lower, 1] - points[upper, 1]).mean()) / self._size
        return float(np.clip((gap - _TEETH_FREE) / (_TEETH_HELD - _TEETH_FREE), 0, 1))


def _teeth(neutral: FloatArray) -> FloatArray:
    """Places (m, 2) at which the upper teeth of a face with the points `neutral` end."""
    right, left = neutral[61, :2], neutral[291, :2]
    across = left - right
    down = np.array([-across[1], across[0]])
    middle = neutral[[13, 14], :2].mean(axis=0)
    return floats([middle + at * across + _TEETH_END * down for at in _TEETH_AT])


def _distinct(atlas: MouthAtlas) -> tuple[MouthAtlas, ByteArray]:
    """`atlas` and its patches without those of the same shape as an earlier one: they would share
    its place."""
    keep: list[int] = []
    for index, weights in enumerate(atlas.weights):
        if not any(np.abs(atlas.weights[other] - weights).max() < 1e-3 for other in keep):
            keep.append(index)
    distinct = replace(
        atlas,
        names=tuple(atlas.names[index] for index in keep),
        weights=atlas.weights[keep],
        landmarks=atlas.landmarks[keep],
    )
    return distinct, atlas.patches()[keep]


def _features(lips: FloatArray) -> FloatArray:
    """What makes mouths look alike: the lips' points (k, 40 * 3) and the opening, in px."""
    upper = [lm.LIPS.index(pair[0]) for pair in lm.GAPS]
    lower = [lm.LIPS.index(pair[1]) for pair in lm.GAPS]
    gap = (lips[:, lower, 1] - lips[:, upper, 1]).mean(1, keepdims=True)
    return np.concatenate([lips.reshape(len(lips), -1), gap], axis=1).astype(np.float32)


def _planes(patches: ByteArray) -> tuple[ByteArray, ByteArray]:
    """Luma (k, height, width) and chroma (k, height, width, 2) of RGB patches, BT.601 limited
    range."""
    matrix = np.array(RGB_TO_YUV, np.float32)
    zero = np.array(YUV_OFFSET, np.float32) + np.float32(0.5)  # rounds
    luma = np.empty(patches.shape[:3], np.uint8)
    chroma = np.empty((*patches.shape[:3], 2), np.uint8)
    for index, patch in enumerate(patches):
        planes = patch.astype(np.float32) @ (matrix.T / 255) + zero
        luma[index] = planes[..., 0]
        chroma[index] = cv2.blur(planes[..., 1:], (2, 2))
    return luma, chroma


def _rest(atlas: MouthAtlas) -> int:
    """The patch that shows the mouth at rest."""
    if "rest" in atlas.names:
        return atlas.names.index("rest")
    return int(np.argmin((atlas.weights**2).sum(1)))


def _mask(grid: Grid, box: tuple[float, float, float, float]) -> FloatArray:
    """Opacity (rows, columns): 1 in the middle of the box, 0 at its border."""
    x, y, width, height = box
    nodes = grid.nodes
    across = np.abs((nodes[..., 0] - x) / width * 2 - 1)
    along = np.abs((nodes[..., 1] - y) / height * 2 - 1)
    reach = (across**4 + along**4) ** 0.25
    share = np.clip((0.97 - reach) / (2 * _FEATHER), 0, 1)
    result: FloatArray = (share * share * (3 - 2 * share)).astype(np.float32)
    return result
