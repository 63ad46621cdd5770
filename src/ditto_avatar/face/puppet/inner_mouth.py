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
_CAVITY: Final = np.array([58, 20, 22], np.float32)
# How much each layer is lit; what lies deeper gets less.
_UPPER_LIGHT: Final = 1.3
_LOWER_LIGHT: Final = 1.0
_TONGUE_LIGHT: Final = 0.68
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
    upper, lower, tongue = np.split(colours, 3)
    return _Kit(floats(upper), floats(lower), floats(tongue), box, landmarks, jaw_px)


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
            1.16 - (1.35 * np.abs(across)) ** 2, 0.3, 1
        )
        return floats(picture * shade[..., None] * self.light * self._rim(nodes, shape, width))

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
