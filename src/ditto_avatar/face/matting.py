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
_GRAB_HEIGHT_PX = 320
_GRAB_ROUNDS = 4
# A gap in the person this narrow, at the size above, is a fold or a shadow.
_GAP_PX = 8
_NEAR = 0.008
_GUIDE_RADIUS = 1
_GUIDE_EPS = 1e-4
# What differs from the backdrop by less, of 255, is the backdrop.
_NOISE = 4.0


@dataclass(frozen=True, slots=True)
class Plate:
    """What is behind the person.

    `backdrop` (h, w, 3) float32 RGB, 0 to 255; `reach` (h, w) is true wherever the person may be.
    One that is `known` is right behind the person, too.
    """

    backdrop: FloatArray
    reach: BoolArray
    known: bool = False


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
    person = (labels == labels[(top + bottom) // 2, middle]).astype(np.uint8)
    large = cv2.resize(person, (picture.shape[1], picture.shape[0]), interpolation=cv2.INTER_LINEAR)
    return np.asarray(large > 0)


def matte(picture: ByteArray, plate: Plate, inside: BoolArray) -> FloatArray:
    """How much of each pixel of `picture` (h, w, 3) RGB is the person, (h, w) from 0 to 1. `inside`
    is the person for sure."""
    colour = picture.astype(np.float32)
    difference = colour - plate.backdrop
    quiet = np.abs(difference).max(axis=2) < _NOISE
    if plate.known:
        inside = inside & ~_open_space(quiet)
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


def _open_space(quiet: BoolArray) -> BoolArray:
    """Where the backdrop is seen, and some pixels around it; not where a spot happens to be as
    bright."""
    filled = cv2.morphologyEx(quiet.astype(np.uint8), cv2.MORPH_CLOSE, _disc(1))
    opened = cv2.morphologyEx(filled, cv2.MORPH_OPEN, _disc(4))
    return _grown(opened > 0, 5)


def _disc(radius: int) -> ByteArray:
    size = 2 * radius + 1
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size)), np.uint8)
