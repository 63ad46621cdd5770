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
from ditto_avatar.face.puppet.arkit import SHAPES
from ditto_avatar.face.puppet.atlas import Mouth
from ditto_avatar.face.puppet.fields import Grid, enlarge, floats, pick, soften
from ditto_avatar.face.puppet.made_atlas import made_atlas
from ditto_avatar.face.puppet.model import FaceModel
from ditto_avatar.face.puppet.motion import REST, Pose
from ditto_avatar.face.puppet.planes import Planes, pixel_mesh, planes_of
from ditto_avatar.face.puppet.warp import Warp
from ditto_avatar.types import ByteArray, FloatArray

_SKIN_STEP: Final = 8
_EYE_STEP: Final = 2
_MOUTH_STEP: Final = 4
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
    """Draws one avatar. Holds nothing of a viewer: any thread may call `draw`, one frame
    after the other best through a `FramePainter`. `idle` are the pictures that it draws over."""

    def __init__(self, avatar: Avatar) -> None:
        self.model = FaceModel(avatar)
        self.idle = avatar.idle_frames
        self._closure = avatar.arrays.eye_closure
        self._width, self._height = avatar.width, avatar.height
        atlas = avatar.atlas or made_atlas(avatar, self.model.basis)
        self.mouth = Mouth(atlas, self.model.neutral, self.model.basis)
        self._mesh = pixel_mesh(self._width, self._height)
        self._half_mesh = pixel_mesh(self._width // 2, self._height // 2)
        self._tones: dict[int, FloatArray] = {}
        self._lock = threading.Lock()

    def draw(self, frame: int, pose: Pose) -> ByteArray:
        """Idle frame `frame` in `pose`: a new I420 picture (height * 3 / 2, width)."""
        idle = self.idle[frame]
        picture: ByteArray = idle.copy()
        if pose.still:
            return picture
        closure = None if self._closure is None else self._closure[frame]
        warp = Warp(self.model, self.model.placement(frame), pose, closure)
        source, target = planes_of(idle), planes_of(picture)
        self._bend(source, target, warp)
        self._fill_mouth(target, frame, warp, pose.weights)
        return picture

    def _bend(self, source: Planes, target: Planes, warp: Warp) -> None:
        moving = warp.moving()
        if moving is not None:
            region = self._cover(warp, moving, _SKIN_STEP)
            self._move(source, target, region, warp.back(region.grid.nodes))
        if warp.eyes_move:
            nodes = self.model.lid_grid.nodes
            region = self._cover(warp, floats([nodes[0, 0], nodes[-1, -1]]), _EYE_STEP)
            self._move(source, target, region, warp.back(region.grid.nodes, eyes=True))

    def _move(self, source: Planes, target: Planes, region: _Region, back: FloatArray) -> None:
        """Fill `region` of `target` with the pixels of `source` that lie `back` from its nodes."""
        full = region.enlarged(back)
        full += self._mesh[region.luma]
        target[0][region.luma] = pick(source[0], full)
        half = region.halved(back)
        half *= 0.5
        half += self._half_mesh[region.chroma]
        for index in (1, 2):
            target[index][region.chroma] = pick(source[index], half)

    def _fill_mouth(self, target: Planes, frame: int, warp: Warp, weights: FloatArray) -> None:
        mouth = self.mouth
        x, y, width, height = mouth.box
        strength = min(mouth.opening(weights) / (_FULL_ATLAS * width), 1.0)
        if strength < 0.02:
            return
        region = self._cover(warp, floats([[x, y], [x + width, y + height]]), _MOUTH_STEP)
        neutral = warp.neutral(region.grid.nodes)
        tone = mouth.grid.sample(self._tone(frame), neutral)
        luma = region.enlarged(np.ascontiguousarray(tone[..., 0]))
        chroma = region.halved(np.ascontiguousarray(tone[..., 1:]))
        for patch, share in mouth.choose(weights):
            sources = mouth.sources(patch, weights, neutral)
            luma += np.float32(share) * pick(mouth.luma[patch], region.enlarged(sources))
            chroma += np.float32(share) * pick(mouth.chroma[patch], region.halved(sources))
        inside = _inside(mouth.box, neutral)
        opacity = mouth.grid.sample(mouth.mask, neutral) * inside * np.float32(strength)
        _lay(target[0][region.luma], luma, region.enlarged(opacity))
        half = region.halved(opacity)
        _lay(target[1][region.chroma], chroma[..., 0], half)
        _lay(target[2][region.chroma], chroma[..., 1], half)

    def _tone(self, frame: int) -> FloatArray:
        """How the light of idle frame `frame` differs from the atlas's around the mouth: (rows,
        columns, 3) in Y, U and V on the mouth's grid."""
        with self._lock:
            found = self._tones.get(frame)
        if found is not None:
            return found
        mouth = self.mouth
        nodes = mouth.grid.nodes
        at = Warp(self.model, self.model.placement(frame), REST, None).frame(nodes)
        half = floats((at + 0.5) / 2 - 0.5)
        planes = planes_of(self.idle[frame])
        seen = [pick(floats(planes[0]), at), *(pick(floats(p), half) for p in planes[1:])]
        own = mouth.sources(mouth.rest, np.zeros(len(SHAPES), np.float32), nodes)
        chroma = pick(mouth.chroma[mouth.rest], own)
        made = [pick(mouth.luma[mouth.rest], own), chroma[..., 0], chroma[..., 1]]
        difference = np.stack(seen, axis=2) - np.stack(made, axis=2)
        tone = soften(difference, mouth.grid.columns / 8)
        with self._lock:
            self._tones[frame] = tone
        return tone

    def _cover(self, warp: Warp, corners: FloatArray, step: int) -> _Region:
        """The region of the frame around the neutral box `corners` (2, 2), its nodes `step` px
        apart."""
        (left, top), (right, bottom) = corners
        box = floats([[[left, top], [right, top]], [[left, bottom], [right, bottom]]])
        points = warp.frame(box).reshape(-1, 2)
        limit = np.array([self._width, self._height])
        low = np.clip(np.floor(points.min(0) / 2).astype(int) * 2, 0, limit - 2)
        high = np.clip(np.ceil(points.max(0) / 2).astype(int) * 2, low + 2, limit)
        columns, rows = np.maximum(-(-(high - low) // step), 2)
        grid = Grid(float(low[0]), float(low[1]), int(columns), int(rows), step)
        return _Region(int(low[0]), int(low[1]), int(high[0]), int(high[1]), grid)


class FramePainter:
    """Draws for one stream. Keeps the pictures around its place in the idle loop decoded."""

    def __init__(self, renderer: Renderer, frame: int) -> None:
        self._renderer = renderer
        self._held = renderer.idle[frame]

    def draw(self, frame: int, pose: Pose) -> ByteArray:
        """See `Renderer.draw`."""
        self._held = self._renderer.idle[frame]
        return self._renderer.draw(frame, pose)


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
