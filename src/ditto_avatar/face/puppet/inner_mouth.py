"""The inside of a mouth for faces that bring none: teeth and tongue of the studio's kit.

They are laid behind the lips as they are, never stretched: the upper row belongs to the skull, the
lower row and the tongue go down with the jaw. The light and the shade are the face's.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Final

import cv2
import numpy as np

from ditto_avatar.face.puppet import landmarks as lm
from ditto_avatar.face.puppet.fields import floats, pick, soften
from ditto_avatar.types import FloatArray

# The cavity in full light, RGB.
_CAVITY: Final = np.array([66, 22, 22], np.float32)
# The tongue in full light, RGB: the kit's own shines in the lamps of its studio.
_TONGUE: Final = np.array([214, 104, 98], np.float32)
# Green of the kit's tongue, beyond which its shine begins.
_TONGUE_SHINE: Final = 1.06
# What is shaded keeps its red longer than its blue: the light comes through lips and cheeks.
_SHADE_POWER: Final = np.array([0.82, 1.0, 1.04], np.float32)
# A tooth is at least this bright in its darkest colour, and hardly coloured.
_TOOTH_LEVEL: Final = 118
_TOOTH_COLOUR: Final = 0.25
# How much each layer is lit; what lies deeper gets less.
_UPPER_LIGHT: Final = 1.3
_LOWER_LIGHT: Final = 1.0
_TONGUE_LIGHT: Final = 0.82
# The rest of the jaw's way that the tongue makes.
_TONGUE_GOES: Final = 0.85
# The tongue lies this much lower than in the kit.
_TONGUE_LOWERED: Final = 0.04
# The teeth's upper edge against the line of the lips, in widths of the mouth.
_RAISED: Final = 0.03
# The lower row stands this much higher than in the kit: its edge shows in speech.
_LOWER_RAISED: Final = 0.015


@dataclass(frozen=True, slots=True)
class _Kit:
    """The layers (height, width, 4) RGB with opacity 0 to 1, their colours multiplied by it.
    `box` is where they lie in the picture whose face has these `landmarks`; the jaw of the lower
    ones hangs `jaw_px` down."""

    upper: FloatArray
    lower: FloatArray
    tongue: FloatArray
    box: FloatArray
    landmarks: FloatArray
    jaw_px: float


@cache
def _kit() -> _Kit:
    source = resources.files("ditto_avatar.face.puppet") / "inner_mouth.npz"
    with resources.as_file(source) as path, np.load(path, allow_pickle=False) as file:
        strip = cv2.imdecode(file["layers"], cv2.IMREAD_UNCHANGED)
        box, landmarks, jaw_px = file["box"], file["landmarks"], float(file["jaw_px"])
    assert strip is not None
    colours = floats(strip)[..., [2, 1, 0, 3]] / np.array([1, 1, 1, 255], np.float32)
    colours[..., :3] *= colours[..., 3:]
    upper, lower, tongue = (floats(layer) for layer in np.split(colours, 3))
    return _Kit(_teeth(upper, 1), _teeth(lower, -1), _tongue(tongue), box, landmarks, jaw_px)


def _teeth(row: FloatArray, gum: int) -> FloatArray:
    """`row` without what the kit closes its jaw with behind the teeth. Gum is kept on its side of
    the teeth: above them for `gum` 1, below them for -1."""
    bright = row[..., :3].min(axis=2) > _TOOTH_LEVEL
    pale = np.ptp(row[..., :3], axis=2) < _TOOTH_COLOUR * row[..., :3].max(axis=2)
    tooth = cv2.morphologyEx((bright & pale).astype(np.uint8), cv2.MORPH_OPEN, np.ones((5, 5)))
    heights = np.arange(len(row), dtype=np.float32)[:, None]
    # The edge along which the teeth of each column end.
    edge = np.where(tooth > 0, heights * gum, -np.inf).max(axis=0)
    known = np.flatnonzero(np.isfinite(edge))
    edge = np.interp(np.arange(row.shape[1]), known, edge[known])
    keep = np.clip(edge + 2.5 - heights * gum, 0, 1)
    keep[:, : known[0]] = keep[:, known[-1] + 1 :] = 0
    return floats(row * soften(floats(keep), 0.7)[..., None])


def _tongue(layer: FloatArray) -> FloatArray:
    """The kit's tongue in its own colour without its shine, dark at the back and the sides."""
    opacity = layer[..., 3]
    solid = opacity > 0.5
    green = layer[..., 1] / np.maximum(opacity, 1e-3)
    middle = float(np.median(green[solid]))
    relief = soften(floats(np.clip(green / middle, 0.6, _TONGUE_SHINE)), 2.0)
    rows, columns = np.flatnonzero(solid.any(axis=1)), np.flatnonzero(solid.any(axis=0))
    forward = np.clip((np.arange(len(layer)) - rows[0]) / len(rows), 0, 1)[:, None]
    aside = np.abs(np.arange(layer.shape[1]) - columns.mean()) / (len(columns) / 2)
    shade = (0.28 + 0.72 * forward**0.9) * np.clip(1.25 - 0.75 * aside**3, 0.3, 1)
    # A soft outline: the tongue's sides lie in the dark.
    opacity = soften(opacity, 2.5)
    colour = _TONGUE * (relief * shade)[..., None]
    return floats(np.concatenate([colour, np.ones_like(colour[..., :1])], 2) * opacity[..., None])


@dataclass(frozen=True, slots=True)
class InnerMouth:
    """The kit's mouth behind the lips of one face, whose points are `rest` (478, 2) with the lips
    shut. `light` (3,) is the light's colour, about 1 in a bright studio; `white` (3,) is the colour
    of the own teeth where a photo shows them, else None."""

    rest: FloatArray
    light: FloatArray
    white: FloatArray | None = None

    def draw(self, nodes: FloatArray, shape: FloatArray, jaw_px: float) -> FloatArray:
        """Return what is seen at the positions `nodes` (rows, columns, 2) with the points at
        `shape` (478, 2) and the jaw lowered by `jaw_px`: RGB (rows, columns, 3)."""
        kit = _kit()
        centre, turn, width = _mouth(self.rest)
        upright = (nodes - centre) @ turn.T
        across, down = floats(upright[..., 0] / width), floats(upright[..., 1] / width)
        depth = self._depth(nodes, shape, width)
        picture = _CAVITY * (0.45 + 0.55 * np.clip(depth * 3, 0, 1))[..., None]
        jaw = jaw_px / width
        tongue = self._layer(
            kit.tongue, across, floats(down - jaw * _TONGUE_GOES - _TONGUE_LOWERED)
        )
        picture = _over(picture, tongue, self._lit(_TONGUE_LIGHT, tooth=False))
        lower = self._layer(kit.lower, across, floats(down - jaw + _LOWER_RAISED))
        picture = _over(picture, lower, self._lit(_LOWER_LIGHT))
        upper = self._layer(kit.upper, across, down, lowered=False)
        picture = _over(picture, upper, self._lit(_UPPER_LIGHT))
        # The upper lip throws a shadow; towards the corners it grows dark, the side teeth too, but
        # they stay white against the gap beside them.
        shade = np.clip(0.8 + depth * 4, 0, 1) * np.clip(
            1.16 - (1.35 * np.abs(across)) ** 2, 0.34, 1
        )
        dark = shade[..., None] * self._rim(nodes, shape, width)
        return floats(picture * dark**_SHADE_POWER * self.light)

    def _layer(
        self, layer: FloatArray, across: FloatArray, down: FloatArray, *, lowered: bool = True
    ) -> FloatArray:
        """`layer` at positions in widths of the mouth from its middle."""
        kit = _kit()
        middle, _, kit_width = _mouth(kit.landmarks[:, :2])
        fit = self._fit(kit)
        own = np.stack([across, down], axis=2) * (kit_width / fit)
        own = own + middle - (0, _RAISED * kit_width)
        if lowered:
            own[..., 1] += kit.jaw_px
        scale = np.array([layer.shape[1] / kit.box[2], layer.shape[0] / kit.box[3]])
        return pick(_framed(layer), floats((own - kit.box[:2] + 0.5) * scale - 0.5 + 1))

    def _fit(self, kit: _Kit) -> float:
        """How much wider than the mouth's own share the teeth are: skulls differ less than mouths
        do, so the middle of both counts."""
        own = _mouth(self.rest)[2] / _eyes(self.rest)
        kits = _mouth(kit.landmarks[:, :2])[2] / _eyes(kit.landmarks[:, :2])
        return float(np.sqrt(np.clip(kits / own, 0.7, 1.4)))

    def _lit(self, light: float, *, tooth: bool = True) -> FloatArray:
        if not tooth or self.white is None:
            return floats([light] * 3)
        # Half the way to the own teeth's white: a smile's few pixels are not to be trusted wholly.
        tint = np.clip(self.white / (self.light * 205), 0.75, 1.2)
        return floats(light * (0.5 + 0.5 * tint))

    @staticmethod
    def _depth(nodes: FloatArray, shape: FloatArray, width: float) -> FloatArray:
        """How far below the upper lip's edge positions lie, in widths of the mouth."""
        edge = shape[list(lm.INNER_LIPS[:11])]
        order = np.argsort(edge[:, 0])
        top = np.interp(nodes[..., 0], edge[order, 0], edge[order, 1])
        return floats((nodes[..., 1] - top) / width)

    @staticmethod
    def _rim(nodes: FloatArray, shape: FloatArray, width: float) -> FloatArray:
        """The lips' own shade on what lies right behind them, (rows, columns, 1)."""
        ring = shape[list(lm.INNER_LIPS)] - nodes[0, 0]
        mask = np.zeros(nodes.shape[:2], np.uint8)
        cv2.fillPoly(mask, [np.round(ring * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
        away = cv2.distanceTransform((mask > 128).astype(np.uint8), cv2.DIST_L2, 5)
        shade = soften(floats(0.74 + 0.26 * np.clip(away / (0.04 * width), 0, 1)), 0.8)
        return shade[..., None]


def _framed(layer: FloatArray) -> FloatArray:
    """`layer` with a border of nothing: what is picked beyond it is nothing."""
    return floats(np.pad(layer, ((1, 1), (1, 1), (0, 0))))


def _mouth(points: FloatArray) -> tuple[FloatArray, FloatArray, float]:
    """Middle (2,) of the lips' line, the turn (2, 2) that makes it level, and its width."""
    left, right = points[78], points[308]
    middle = np.array([(left[0] + right[0]) / 2, (points[13, 1] + points[14, 1]) / 2])
    angle = np.arctan2(right[1] - left[1], right[0] - left[0])
    cosine, sine = np.cos(-angle), np.sin(-angle)
    turn = np.array([[cosine, -sine], [sine, cosine]])
    return floats(middle), floats(turn), max(float(np.linalg.norm(right - left)), 1.0)


def _eyes(points: FloatArray) -> float:
    corners = points[lm.LEFT_EYE_OUTER] - points[lm.RIGHT_EYE_OUTER]
    return max(float(np.linalg.norm(corners)), 1.0)


def _over(below: FloatArray, layer: FloatArray, light: FloatArray) -> FloatArray:
    return floats(below * (1 - layer[..., 3:]) + layer[..., :3] * light)
