"""Cut a person out of pictures: how much of each pixel belongs to the person.

The camera stands still, so the loop itself shows most of what is behind the person. What it never
shows is filled in. A pixel between person and backdrop is a mix, C = a F + (1 - a) B: with B
known and F taken from the person nearby, a follows (Smith and Blinn, Blue Screen Matting, 1996).
A guided filter (He, Sun and Tang, 2010) then lets the matte follow the edges of the picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from ditto_avatar.types import ByteArray, FloatArray

BoolArray = npt.NDArray[np.bool_]

# In shares of the picture's height.
_BAND = 0.03
_MARGIN = 0.01
_GRAB_HEIGHT_PX = 320
_GRAB_ROUNDS = 4
# A gap in the person this narrow, at the size above, is a fold or a shadow.
_GAP_PX = 8
# In shares of the picture's area.
_HOLE = 0.02
_NEAR = 0.008
_GUIDE_RADIUS = 1
_GUIDE_EPS = 1e-4
# What differs from the backdrop by less, of 255, is the backdrop.
_NOISE = 4.0


@dataclass(frozen=True, slots=True)
class Plate:
    """What is behind the person: `backdrop` (h, w, 3) float32 RGB, 0 to 255, which is a guess
    where the person always is. `reach` (h, w) is true wherever the person may be."""

    backdrop: FloatArray
    reach: BoolArray


def find_plate(pictures: Sequence[ByteArray], head: FloatArray) -> Plate:
    """Find what is behind the person in `pictures` (h, w, 3) RGB of one still camera; `head` is
    left, top, right and bottom of the face in pixels."""
    rough = [rough_mask(picture, head) for picture in pictures]
    height = pictures[0].shape[0]
    reach = _grown(np.any(rough, axis=0), round(_BAND * height))
    shown = np.median(np.stack(pictures), axis=0).astype(np.uint8)
    # Far from the edge the colour behind the person is of no use: a smooth one will do.
    small = cv2.resize(shown, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    hidden = cv2.resize(reach.astype(np.uint8), (small.shape[1], small.shape[0]))
    filled = cv2.inpaint(small, hidden, 5, cv2.INPAINT_TELEA)
    filled = cv2.resize(filled, (shown.shape[1], shown.shape[0]), interpolation=cv2.INTER_CUBIC)
    backdrop = np.where(reach[..., None], filled, shown).astype(np.float32)
    return Plate(backdrop, reach)


def cut_out(picture: ByteArray, head: FloatArray) -> tuple[Plate, FloatArray]:
    """What is behind the person in a single `picture` (h, w, 3) RGB, and the person's opacity
    (h, w) from 0 to 1; `head` as in `find_plate`."""
    plate = find_plate([picture], head)
    inside = shrunk(rough_mask(picture, head), margin_of(picture.shape[0]))
    return plate, matte(picture, plate, inside)


def margin_of(height: int) -> int:
    """How far from a rough edge the person begins for sure, in pixels of a picture of `height`."""
    return round(_MARGIN * height)


def rough_mask(picture: ByteArray, head: FloatArray) -> BoolArray:
    """Find the person in `picture` (h, w, 3) RGB by GrabCut (Rother, Kolmogorov and Blake, 2004),
    begun from a head and shoulders around the face `head`."""
    scale = min(1.0, _GRAB_HEIGHT_PX / picture.shape[0])
    small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    rows, columns = small.shape[:2]
    left, top, right, bottom = (int(value * scale) for value in head)
    wide, tall = right - left, bottom - top
    mask = np.full((rows, columns), cv2.GC_PR_BGD, np.uint8)
    middle = (left + right) // 2
    cv2.ellipse(mask, (middle, top + tall // 3), (wide, tall), 0, 0, 360, cv2.GC_PR_FGD, -1)
    chest = np.array([[middle - wide // 2, bottom], [middle + wide // 2, bottom],
                      [middle + 2 * wide, rows], [middle - 2 * wide, rows]])  # fmt: skip
    cv2.fillPoly(mask, [chest], cv2.GC_PR_FGD)
    cv2.rectangle(mask, (left, top), (right, bottom), cv2.GC_FGD, -1)
    for edge in (mask[: max(1, top // 6)], mask[: rows // 2, :2], mask[: rows // 2, -2:]):
        edge[:] = cv2.GC_BGD
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.setRNGSeed(1)
    cv2.grabCut(small, mask, (0, 0, 1, 1), *models, _GRAB_ROUNDS, cv2.GC_INIT_WITH_MASK)
    found = ((mask == cv2.GC_FGD) | (mask == cv2.GC_PR_FGD)).astype(np.uint8)
    found = cv2.morphologyEx(found, cv2.MORPH_CLOSE, _disc(_GAP_PX))
    _, labels = cv2.connectedComponents(found)
    person = _filled((labels == labels[(top + bottom) // 2, middle]).astype(np.uint8))
    large = cv2.resize(person, (picture.shape[1], picture.shape[0]), interpolation=cv2.INTER_LINEAR)
    return np.asarray(large > 0)


def _filled(person: ByteArray) -> ByteArray:
    """Without the small holes: patterns in clothes that look like the backdrop. Large ones are what
    is seen between arm and body."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(1 - person)
    small = stats[:, cv2.CC_STAT_AREA] < _HOLE * person.size
    sides = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    small[np.unique(sides)] = False
    small[labels[person > 0]] = False
    return np.asarray((person > 0) | small[labels], np.uint8)


def matte(picture: ByteArray, plate: Plate, inside: BoolArray) -> FloatArray:
    """How much of each pixel of `picture` (h, w, 3) RGB is the person, (h, w) from 0 to 1. `inside`
    is the person for sure."""
    colour = picture.astype(np.float32)
    difference = colour - plate.backdrop
    quiet = np.abs(difference).max(axis=2) < _NOISE
    near = _near_colours(colour, inside)
    towards = near - plate.backdrop
    strength = np.maximum((towards**2).sum(axis=2), 1.0)
    alpha = (difference * towards).sum(axis=2) / strength
    alpha = np.where(quiet | ~plate.reach, 0.0, np.where(inside, 1.0, np.clip(alpha, 0, 1)))
    alpha = guided(
        alpha.astype(np.float32), cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) / np.float32(255)
    )
    alpha = np.where(inside, 1.0, np.where(plate.reach, alpha, 0.0))
    return np.clip(alpha, 0, 1).astype(np.float32)


def own_colours(picture: ByteArray, opacity: FloatArray, backdrop: FloatArray) -> FloatArray:
    """The person's own colours (h, w, 3) RGB from 0 to 255, everywhere: in `picture` (h, w, 3) they
    cover `backdrop` (h, w, 3) by `opacity` (h, w). Where the person is hardly seen or not at all,
    those nearby, by a pyramid of ever coarser pictures (push-pull: Gortler and others, 1996)."""
    levels = [_covered(picture, opacity, backdrop)]
    while min(levels[-1][1].shape) > 1:
        colours, share = levels[-1]
        size = ((share.shape[1] + 1) // 2, (share.shape[0] + 1) // 2)
        levels.append(
            (
                np.asarray(cv2.resize(colours, size, interpolation=cv2.INTER_AREA), np.float32),
                np.asarray(cv2.resize(share, size, interpolation=cv2.INTER_AREA), np.float32),
            )
        )
    colours, share = levels.pop()
    known = colours / np.maximum(share, 1e-6)[..., None]
    for colours, share in reversed(levels):
        size = (share.shape[1], share.shape[0])
        nearby = cv2.resize(known, size, interpolation=cv2.INTER_LINEAR)
        known = colours + (1 - share)[..., None] * nearby
    return np.clip(known, 0, 255).astype(np.float32)


def _covered(
    picture: ByteArray, opacity: FloatArray, backdrop: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Colours multiplied by the opacity, with the backdrop taken out; and the opacity."""
    share = opacity[..., None]
    without = picture - (1 - share) * backdrop
    return np.clip(without, 0, 255 * share).astype(np.float32), opacity


def guided(values: FloatArray, guide: FloatArray) -> FloatArray:
    """Smooth `values` (h, w) along the edges of `guide` (h, w)."""
    size = (2 * _GUIDE_RADIUS + 1, 2 * _GUIDE_RADIUS + 1)

    def mean(of: FloatArray) -> FloatArray:
        return np.asarray(cv2.blur(of, size), np.float32)

    middle, level = mean(guide), mean(values)
    slope = (mean(guide * values) - middle * level) / (mean(guide * guide) - middle**2 + _GUIDE_EPS)
    return mean(slope) * guide + mean(level - slope * middle)


def _near_colours(colour: FloatArray, inside: BoolArray) -> FloatArray:
    """The person's colours nearby, for every pixel: a mean of those `inside`, near ones most."""
    weight = inside.astype(np.float32)
    own = colour * weight[..., None]
    total = np.zeros_like(colour)
    weights = np.full(weight.shape, 1e-6, np.float32)
    height = colour.shape[0]
    for share, importance in ((_NEAR, 1.0), (2 * _NEAR, 1e-2), (8 * _NEAR, 1e-4)):
        side = 2 * max(1, round(share * height)) + 1
        total += importance * cv2.blur(own, (side, side))
        weights += importance * cv2.blur(weight, (side, side))
    return total / weights[..., None]


def _grown(mask: BoolArray, pixels: int) -> BoolArray:
    return np.asarray(cv2.dilate(mask.astype(np.uint8), _disc(pixels)) > 0)


def shrunk(mask: BoolArray, pixels: int) -> BoolArray:
    """`mask` without its outermost `pixels`."""
    return np.asarray(cv2.erode(mask.astype(np.uint8), _disc(pixels), borderValue=1) > 0)


def _disc(radius: int) -> ByteArray:
    size = 2 * radius + 1
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size)), np.uint8)
