"""Drawing one frame: the idle picture, its skin bent by the shapes, the mouth from the atlas.

Only the region that moves is computed. Positions are worked out on coarse nodes and enlarged;
pixels are touched once per plane, directly in I420.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Final

import numpy as np

from ditto_avatar.face.avatar import Avatar
from ditto_avatar.face.puppet.actor import Pose
from ditto_avatar.face.puppet.arkit import SHAPES
from ditto_avatar.face.puppet.atlas import Mouth
from ditto_avatar.face.puppet.fields import Grid, enlarge, floats, pick, soften
from ditto_avatar.face.puppet.model import FaceModel, Placement
from ditto_avatar.types import ByteArray, FloatArray

# Displacements smaller than this, in px, are not worth a new picture.
_STILL_PX: Final = 0.06
_SKIN_STEP: Final = 8
_MOUTH_STEP: Final = 4
_TURNS: Final = 2
# Lips this far from rest, in shares of the mouth's width, show the atlas fully.
_FULL_ATLAS: Final = 0.02


@dataclass(frozen=True, slots=True)
class _Region:
    """A part of the frame with even corners, in px, and the nodes over it."""

    left: int
    top: int
    right: int
    bottom: int
    grid: Grid

    @property
    def luma(self) -> tuple[slice, slice]:
        return slice(self.top, self.bottom), slice(self.left, self.right)

    @property
    def chroma(self) -> tuple[slice, slice]:
        return (
            slice(self.top // 2, self.bottom // 2),
            slice(self.left // 2, self.right // 2),
        )

    def enlarged(self, field: FloatArray) -> FloatArray:
        """`field` (rows, columns, c) of the nodes for every pixel of the region."""
        step = int(self.grid.step)
        full = enlarge(field, self.grid.columns * step, self.grid.rows * step)
        return full[: self.bottom - self.top, : self.right - self.left]

    def halved(self, field: FloatArray) -> FloatArray:
        """The same for every chroma pixel; positions are not scaled."""
        step = int(self.grid.step) // 2
        full = enlarge(field, self.grid.columns * step, self.grid.rows * step)
        rows, columns = (self.bottom - self.top) // 2, (self.right - self.left) // 2
        return full[:rows, :columns]


class Renderer:
    """Draws one avatar. Holds nothing of a viewer: any thread may call `draw`."""

    def __init__(self, avatar: Avatar) -> None:
        self.model = FaceModel(avatar)
        self._idle = avatar.idle_frames
        self._width, self._height = avatar.width, avatar.height
        self.mouth: Mouth | None = None
        if avatar.atlas is not None:
            self.mouth = Mouth(avatar.atlas, self.model.neutral, self.model.basis)
        self._mesh = _mesh(self._width, self._height)
        self._half_mesh = _mesh(self._width // 2, self._height // 2)
        self._tones: dict[int, FloatArray] = {}
        self._lock = threading.Lock()

    def draw(self, frame: int, pose: Pose) -> ByteArray:
        """Idle frame `frame` in `pose`: a new I420 picture (height * 3 / 2, width)."""
        picture: ByteArray = self._idle[frame].copy()
        if pose.still:
            return picture
        place = self.model.placement(frame)
        flow = self._flow(place, pose.weights)
        self._bend(picture, self._idle[frame], place, flow)
        if self.mouth is not None:
            self._fill_mouth(picture, frame, place, pose.weights)
        return picture

    def _flow(self, place: Placement, weights: FloatArray) -> FloatArray:
        """How far the skin at each node of the model's grid moves, in px of the frame."""
        grid = self.model.grid
        moved = (weights @ self.model.fields).reshape(-1, 3)
        return floats(moved @ place.projection.T).reshape(grid.rows, grid.columns, 2)

    def _bend(
        self, picture: ByteArray, source: ByteArray, place: Placement, flow: FloatArray
    ) -> None:
        moving = np.abs(flow).max(2) > _STILL_PX
        if not moving.any():
            return
        region = self._region(place, moving)
        neutral = self._to_neutral(place, region.grid.nodes)
        at = neutral
        for _ in range(_TURNS):
            shift = self.model.grid.sample(flow, at)
            at = floats(neutral - shift @ place.inverse.T)
        back = -self.model.grid.sample(flow, at)
        luma, chroma = self._planes(source), self._planes(picture)
        rows, columns = region.luma
        full = region.enlarged(back)
        full += self._mesh[rows, columns]
        chroma[0][rows, columns] = pick(luma[0], full)
        rows, columns = region.chroma
        half = region.halved(back)
        half *= 0.5
        half += self._half_mesh[rows, columns]
        for index in (1, 2):
            chroma[index][rows, columns] = pick(luma[index], half)

    def _fill_mouth(
        self, picture: ByteArray, frame: int, place: Placement, weights: FloatArray
    ) -> None:
        mouth = self.mouth
        assert mouth is not None
        x, y, width, height = mouth.box
        strength = min(mouth.opening(weights) / (_FULL_ATLAS * width), 1.0)
        if strength < 0.02:
            return
        corners = np.array(
            [[x, y], [x + width, y], [x, y + height], [x + width, y + height]], np.float32
        )
        region = self._cover(corners @ place.linear.T + place.shift, _MOUTH_STEP)
        neutral = self._to_neutral(place, region.grid.nodes)
        tone = mouth.grid.sample(self._tone(frame, place), neutral)
        luma: FloatArray = region.enlarged(np.ascontiguousarray(tone[..., 0]))
        chroma: FloatArray = region.halved(np.ascontiguousarray(tone[..., 1:]))
        for patch, share in mouth.choose(weights):
            sources = mouth.sources(patch, weights, neutral)
            luma = luma + np.float32(share) * pick(mouth.luma[patch], region.enlarged(sources))
            chroma = chroma + np.float32(share) * pick(mouth.chroma[patch], region.halved(sources))
        inside = _inside(mouth.box, neutral)
        opacity = mouth.grid.sample(mouth.mask, neutral) * inside * np.float32(strength)
        planes = self._planes(picture)
        _lay(planes[0][region.luma], luma, region.enlarged(opacity))
        half = region.halved(opacity)
        _lay(planes[1][region.chroma], chroma[..., 0], half)
        _lay(planes[2][region.chroma], chroma[..., 1], half)

    def _tone(self, frame: int, place: Placement) -> FloatArray:
        """How the light of idle frame `frame` differs from the atlas's around the mouth: (rows,
        columns, 3) in Y, U and V on the mouth's grid."""
        with self._lock:
            found = self._tones.get(frame)
        if found is not None:
            return found
        mouth = self.mouth
        assert mouth is not None
        nodes = mouth.grid.nodes
        at = self._to_frame(place, nodes)
        planes = self._planes(self._idle[frame])
        seen = [pick(planes[0].astype(np.float32), at)]
        half = floats((at + 0.5) / 2 - 0.5)
        seen += [pick(plane.astype(np.float32), half) for plane in planes[1:]]
        own = mouth.sources(mouth.rest, np.zeros(len(SHAPES), np.float32), nodes)
        made = [pick(mouth.luma[mouth.rest], own)]
        chroma = pick(mouth.chroma[mouth.rest], own)
        made += [chroma[..., 0], chroma[..., 1]]
        difference = np.stack(seen, axis=2) - np.stack(made, axis=2)
        sigma = mouth.grid.columns / 8
        tone = soften(difference, sigma)
        with self._lock:
            self._tones[frame] = tone
        return tone

    def _to_neutral(self, place: Placement, at: FloatArray) -> FloatArray:
        """Neutral positions of frame positions (…, …, 2)."""
        first = floats((at - place.shift) @ place.inverse.T)
        return floats(first - self.model.grid.sample(place.rest, first) @ place.inverse.T)

    def _to_frame(self, place: Placement, at: FloatArray) -> FloatArray:
        """Frame positions of neutral positions (…, …, 2)."""
        return floats(at @ place.linear.T + place.shift + self.model.grid.sample(place.rest, at))

    def _region(self, place: Placement, moving: FloatArray) -> _Region:
        nodes = self.model.grid.nodes[moving]
        low, high = nodes.min(0) - self.model.grid.step, nodes.max(0) + self.model.grid.step
        corners = np.array([low, high, (low[0], high[1]), (high[0], low[1])], np.float32)
        return self._cover(corners @ place.linear.T + place.shift, _SKIN_STEP)

    def _cover(self, points: FloatArray, step: int) -> _Region:
        """The region of the frame that holds `points` (m, 2), its nodes `step` px apart."""
        limit = np.array([self._width, self._height])
        low = np.clip(np.floor(points.min(0) / 2).astype(int) * 2, 0, limit - 2)
        high = np.clip(np.ceil(points.max(0) / 2).astype(int) * 2, low + 2, limit)
        columns, rows = np.maximum(-(-(high - low) // step), 2)
        grid = Grid(float(low[0]), float(low[1]), int(columns), int(rows), step)
        return _Region(int(low[0]), int(low[1]), int(high[0]), int(high[1]), grid)

    def _planes(self, picture: ByteArray) -> tuple[ByteArray, ByteArray, ByteArray]:
        """Views of the Y, U and V planes."""
        rows, columns = self._height, self._width
        flat: ByteArray = picture.reshape(-1)
        luma, quarter = rows * columns, rows * columns // 4
        half = (rows // 2, columns // 2)
        return (
            flat[:luma].reshape(rows, columns),
            flat[luma : luma + quarter].reshape(half),
            flat[luma + quarter :].reshape(half),
        )


def _mesh(width: int, height: int) -> FloatArray:
    """The position (height, width, 2) of every pixel."""
    grid = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    result: FloatArray = np.stack(grid, axis=2)
    result.setflags(write=False)
    return result


def _inside(box: tuple[float, float, float, float], at: FloatArray) -> FloatArray:
    """1 where positions (…, …, 2) lie in the box, else 0."""
    x, y, width, height = box
    inside = (
        (at[..., 0] > x) & (at[..., 0] < x + width) & (at[..., 1] > y) & (at[..., 1] < y + height)
    )
    return inside.astype(np.float32)


def _lay(target: ByteArray, layer: FloatArray, opacity: FloatArray) -> None:
    """Put `layer` on `target` with `opacity`, in place."""
    below = target.astype(np.float32)
    mixed = below + (layer - below) * opacity
    target[:] = np.clip(mixed + np.float32(0.5), 0, 255).astype(np.uint8)
