"""Shut the eyes of a still face: the lids' own skin and lashes slide over the eyeball."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from ditto_avatar.face.puppet import landmarks as lm
from ditto_avatar.face.puppet.fields import floats, pick
from ditto_avatar.types import ByteArray, FloatArray

# The lids meet this far down between them.
_MEET: Final = 0.86
# Skin is drawn from this far above the upper lid and below the lower one, in openings of the eye.
_ABOVE: Final = 1.15
_BELOW: Final = 0.8
# The lids lie over each other by this many widths of the eye, so that no eyeball shines between.
_OVERLAP: Final = 0.012
# The wet rim of the lids, in widths of the eye, goes under: it would shine between them.
_UPPER_RIM: Final = 0.012
_LOWER_RIM: Final = 0.045
# The line of lashes that shut lids draw: half its thickness in widths of the eye, its opacity, and
# the closure from which it is seen.
_LASHES: Final = 0.018
_LASHES_DARK: Final = 0.7
_LASHES_FROM: Final = 0.65
# Closing lids shade the eye between them from this closure on; from that one on nothing of it is
# brighter than the lids. Beside their line they do so for this many widths of the eye.
_SHADED_FROM: Final = 0.2
_SHADED: Final = 0.8
_SHADE_REACH: Final = 0.045
# The shaded eye against the lids' own light.
_SHADED_LIGHT: Final = 0.8
_EYES: Final = (lm.LEFT_EYE, lm.RIGHT_EYE)


@dataclass(frozen=True, slots=True)
class _Lids:
    """Heights of the lids' edges, and where they meet, for every column of the picture from
    `left` on."""

    left: int
    upper: FloatArray
    lower: FloatArray
    meet: FloatArray
    opening: float
    width: float


class Eyelids:
    """The lids of one face: `picture` (h, w, 3) RGB with its points (478, 3)."""

    def __init__(self, picture: ByteArray, points: FloatArray) -> None:
        self._picture = picture
        self._points = points
        self._lids = [_find(points[:, :2], eye) for eye in _EYES]

    def shut(self, closure: float) -> ByteArray:
        """Return the picture with the eyes shut by `closure`, 0 to 1."""
        picture = self._picture.copy()
        if closure > 0:
            for lids in self._lids:
                self._draw(picture, lids, closure)
        return picture

    def points(self, closure: float) -> FloatArray:
        """Return the points with the eyes shut by `closure`, 0 to 1."""
        moved = self._points.copy()
        for eye, lids in zip(_EYES, self._lids, strict=True):
            for rim, edge in ((eye[1:8], lids.upper), (eye[9:], lids.lower)):
                for index in rim:
                    column = int(np.clip(round(moved[index, 0]) - lids.left, 0, len(edge) - 1))
                    moved[index, 1] += closure * (lids.meet[column] - edge[column])
        return moved

    def _draw(self, picture: ByteArray, lids: _Lids, closure: float) -> None:
        columns = len(lids.upper)
        slack = _OVERLAP * lids.width * closure * np.minimum(1, 4 * lids.opening / lids.width)
        upper = lids.upper + closure * (lids.meet - lids.upper) + slack
        lower = lids.lower + closure * (lids.meet - lids.lower)
        crease = lids.upper - _ABOVE * lids.opening
        bag = lids.lower + _BELOW * lids.opening
        top, bottom = int(crease.min()), int(np.ceil(bag.max())) + 1
        y = np.arange(top, bottom, dtype=np.float32)[:, None]
        x = np.broadcast_to(
            np.arange(lids.left, lids.left + columns, dtype=np.float32), (len(y), columns)
        )
        rims = closure * lids.width * np.minimum(1, 4 * lids.opening / lids.width)
        upper_skin = lids.upper - _UPPER_RIM * rims - crease
        lower_skin = np.maximum(bag - lids.lower - _LOWER_RIM * rims, 0.2 * lids.opening)
        above = crease + _stretched(y - crease, upper_skin, upper - crease)
        below = bag - _stretched(bag - y, lower_skin, bag - lower)
        drawn = picture[top:bottom, lids.left : lids.left + columns].astype(np.float32)
        for source, share in (
            (below, np.clip(y - lower + 0.5, 0, 1) * (y < bag)),
            (above, np.clip(upper - y + 0.5, 0, 1) * (y > crease)),
        ):
            at = np.stack([x, np.asarray(source, np.float32)], axis=2)
            layer = pick(self._picture, floats(at)).astype(np.float32)
            drawn += (layer - drawn) * share[..., None]
        between = np.clip(y - upper + 1, 0, 1) * np.clip(lower - y + 1, 0, 1)
        self._shade(drawn, lids, floats(between), floats(y - upper), closure)
        self._line_lashes(drawn, lids, y - upper, closure)
        picture[top:bottom, lids.left : lids.left + columns] = np.clip(drawn + 0.5, 0, 255)

    def _shade(
        self,
        drawn: FloatArray,
        lids: _Lids,
        between: FloatArray,
        below: FloatArray,
        closure: float,
    ) -> None:
        """Darken what is brighter than the lids where the eye is seen `between` them (rows,
        columns), and beside their line, where its wet rim shines; `below` it in px."""
        share = np.clip((closure - _SHADED_FROM) / (_SHADED - _SHADED_FROM), 0, 1)
        if not share:
            return
        x = np.arange(lids.left, lids.left + len(lids.upper), dtype=np.float32)
        skin = [
            pick(self._picture, np.stack([x, floats(height)], axis=1)[None])[0].mean(axis=1)
            for height in (
                lids.upper - 0.6 * _ABOVE * lids.opening,
                lids.lower + 0.6 * _BELOW * lids.opening,
            )
        ]
        # A wrinkle or a lash in one column is not the light of the lids.
        dimmer = np.minimum(*(np.full_like(x, np.median(one)) for one in skin))
        # Beside the line lies skin as well, which keeps its light.
        most = dimmer * (1 + (_SHADED_LIGHT - 1) * between)
        light = drawn.mean(axis=2)
        excess = 1 - np.minimum(most / np.maximum(light, 1), 1)
        along = np.linspace(-1, 1, len(x), dtype=np.float32)
        line = np.exp(-0.5 * (below / (_SHADE_REACH * lids.width)) ** 2) * (1 - along**6)
        where = np.maximum(between, line * closure**4)
        drawn *= (1 - share * where * excess)[..., None]

    def _line_lashes(
        self, drawn: FloatArray, lids: _Lids, below: FloatArray, closure: float
    ) -> None:
        """Draw the lashes' line along the upper lid's edge; `below` (rows, columns) it in px. It is
        as dark as the darkest of the edge, and thins out towards both corners."""
        seen = np.clip((closure - _LASHES_FROM) / (1 - _LASHES_FROM), 0, 1)
        if not seen:
            return
        x = np.arange(lids.left, lids.left + len(lids.upper), dtype=np.float32)
        edge = pick(self._picture, np.stack([x, lids.upper], axis=1)[None])[0]
        dark = np.percentile(edge.astype(np.float32), 12, axis=0)
        along = np.linspace(-1, 1, len(x), dtype=np.float32)
        thick = np.maximum(_LASHES * lids.width * (1 - along**4), 0.3)
        share = seen * _LASHES_DARK * np.exp(-0.5 * (below / thick) ** 2) * (1 - along**6)
        drawn += (dark - drawn) * share[..., None]


def _find(points: FloatArray, eye: tuple[int, ...]) -> _Lids:
    corners = points[[eye[0], eye[8]]]
    left, right = int(np.ceil(corners[:, 0].min())), int(np.floor(corners[:, 0].max()))
    x = np.arange(left, right + 1, dtype=np.float32)
    upper = _edge(points[list(eye[:9])], x)
    lower = np.maximum(_edge(points[[*eye[8:], eye[0]]], x), upper)
    meet = upper + _MEET * (lower - upper)
    # A smooth line: the iris must not show in the shape of the closed lids.
    meet = floats(np.polyval(np.polyfit(x - x.mean(), meet, 2), x - x.mean()))
    meet = floats(np.clip(meet, upper, lower))
    opening = float(np.max(lower - upper))
    return _Lids(left, floats(upper), floats(lower), meet, max(opening, 1.0), float(right - left))


def _edge(line: FloatArray, x: FloatArray) -> FloatArray:
    """The height of a lid's edge at columns `x`: a smooth curve through its points."""
    order = np.argsort(line[:, 0])
    known, heights = line[order, 0], line[order, 1]
    # A polynomial of degree 4 follows a lid; pinned to the corners by the straight rest.
    middle, half = known.mean(), max(float(np.ptp(known)) / 2, 1.0)
    fit = np.polyfit((known - middle) / half, heights, 4)
    return floats(np.polyval(fit, (x - middle) / half))


def _stretched(at: FloatArray, before: FloatArray, after: FloatArray) -> FloatArray:
    """Where a strip of skin of the length `before`, drawn out to `after`, comes from at `at`: as it
    was at both ends, so that lashes and crease keep their size, and drawn out between (a cubic
    Hermite curve)."""
    share = np.clip(at / np.maximum(after, 1e-3), 0, 1)
    square, cube = share**2, share**3
    ends = (cube - 2 * square + share) + 0.8 * (cube - square)
    return floats(before * (3 * square - 2 * cube) + after * ends)
