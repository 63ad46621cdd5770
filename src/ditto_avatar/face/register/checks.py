"""Say what keeps a picture from becoming a good avatar: the reason, and the remedy.

The thresholds are in pixels of the picture and grey levels of 0 to 255. They were set on photos,
and on the rendered presenters made small, dark, bright, blurred, turned and covered.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from ditto_avatar.face.puppet import landmarks as lm
from ditto_avatar.face.puppet.fields import floats
from ditto_avatar.face.puppet.model import general_basis
from ditto_avatar.face.register.detection import Detection
from ditto_avatar.face.register.findings import Finding, Reason
from ditto_avatar.face.register.tracker import (
    FaceTracker,
    TrackedFace,
    eye_openings,
    head_rotations,
)
from ditto_avatar.types import ByteArray, FloatArray

SMALLEST_FACE_PX: Final = 80
# Narrower than this it works, and looks soft.
SHARP_FACE_PX: Final = 200
# A second face this much smaller is somebody in the background.
_OTHER_FACE: Final = 0.15
_MOST_YAW_DEG: Final = 18
_MOST_PITCH_DEG: Final = 18
_DARKEST: Final = 45
_BRIGHTEST: Final = 225
_CLIPPED: Final = 0.08
_SHARP_WIDTH_PX: Final = 200
_LEAST_SHARPNESS: Final = 22.0
_ENLARGED: Final = 1.25
# Lips that part by this share of the mouth's width show teeth.
TEETH_SHOW: Final = 0.04
_LEAST_CONFIDENCE: Final = 0.9
_COVERED_CHROMA: Final = 22.0
_COVERED_EYES: Final = 0.55
# Between the lids, white and iris differ by more than this share of the cheek's light; hair and
# fingers over an eye do not (0.15). Of the faces that were tried one behind glasses, in the light
# of one lamp, has 0.31, all others 0.46 and more; an eye that hair covers in part has 0.27.
_LEAST_EYE_RANGE: Final = 0.21
_UNDER_EYES: Final = ((230, 24), (450, 254))
_CHEEKS: Final = ((117, 50), (346, 280))
_GLASSES_EDGE: Final = 0.2
# The lower rims of glasses, from under each eye down to the cheek, where no frame crosses the
# bridge. A shadow or a wrinkle has less on one side at least.
_RIM_EDGE: Final = 0.3
_RIMS: Final = ((230, 50), (450, 280))


@dataclass(frozen=True, slots=True)
class Examined:
    """The face of a picture, if there is exactly one, and all that was found about it."""

    face: TrackedFace | None
    findings: tuple[Finding, ...]

    @property
    def blocking(self) -> tuple[Finding, ...]:
        """What must change before the picture can be used."""
        return tuple(finding for finding in self.findings if finding.blocks)


def examine(picture: ByteArray, tracker: FaceTracker, *, preview: bool = False) -> Examined:
    """Look for what is wrong with `picture` (h, w, 3) RGB. A `preview` is a small copy of a
    camera's picture, whose face may be half as wide."""
    faces = tracker.detect(picture)
    if not faces:
        return _refused(Reason.NO_FACE)
    if crowded(faces):
        return _refused(Reason.TWO_FACES)
    face = tracker.refine(picture, faces[0])
    if face.sure < _LEAST_CONFIDENCE:
        return _refused(Reason.NO_FACE)
    size = 0.5 if preview else 1.0
    reasons = [*_placement(picture, face.points, size), *_light(picture, face.points)]
    if Reason.CUT_OFF not in reasons:
        reasons += _features(picture, face.points)
    return Examined(face, tuple(Finding(reason) for reason in reasons))


def head_pose(points: FloatArray) -> FloatArray:
    """Return pitch, yaw and roll (3,) in degrees of a head; one that looks straight ahead has 0."""
    neutral, _ = general_basis()
    return floats(head_rotations(points[None], neutral)[0])


def lip_gap(points: FloatArray) -> float:
    """Return how far the lips are parted, in widths of the mouth."""
    upper, lower = np.array(lm.GAPS).T
    gap = np.linalg.norm(points[lower, :2] - points[upper, :2], axis=1).mean()
    return float(gap / max(float(np.linalg.norm(points[308, :2] - points[78, :2])), 1e-6))


def _refused(reason: Reason) -> Examined:
    return Examined(None, (Finding(reason),))


def crowded(faces: Sequence[Detection]) -> bool:
    """Return whether a second one of `faces`, the largest first, is more than somebody in the
    background."""
    return any(face.area > _OTHER_FACE * faces[0].area for face in faces[1:])


def _placement(picture: ByteArray, points: FloatArray, size: float) -> list[Reason]:
    height, width = picture.shape[:2]
    oval = points[list(lm.FACE_OVAL), :2]
    reasons = []
    across = np.ptp(oval[:, 0])
    if across < SMALLEST_FACE_PX * size:
        reasons.append(Reason.SMALL)
    elif across < SHARP_FACE_PX * size:
        reasons.append(Reason.SOFT)
    if (oval < 0).any() or (oval > (width - 1, height - 1)).any():
        reasons.append(Reason.CUT_OFF)
    pitch, yaw, _ = head_pose(points)
    if abs(yaw) > _MOST_YAW_DEG or abs(pitch) > _MOST_PITCH_DEG:
        reasons.append(Reason.TURNED)
    return reasons


def _light(picture: ByteArray, points: FloatArray) -> list[Reason]:
    """Light and focus of the skin, in a crop whose face is 200 px wide."""
    oval = points[list(lm.FACE_OVAL), :2]
    scale = _SHARP_WIDTH_PX / max(float(np.ptp(oval[:, 0])), 1.0)
    crop, shifted = _crop(picture, oval, scale)
    mask = np.zeros(crop.shape[:2], np.uint8)
    cv2.fillConvexPoly(mask, cv2.convexHull(np.round(shifted).astype(np.int32)), 255)
    inside = mask > 0
    if not inside.any():
        return [Reason.CUT_OFF]
    grey = np.asarray(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY), np.uint8)
    level = float(grey[inside].mean())
    reasons = []
    if level < _DARKEST:
        reasons.append(Reason.DARK)
    if level > _BRIGHTEST or float((crop[inside].min(axis=1) > 250).mean()) > _CLIPPED:
        reasons.append(Reason.BLOWN_OUT)
    edges = cv2.Laplacian(grey.astype(np.float32), cv2.CV_32F)
    # Contrast makes more of edges: they are set in relation to the light. A face that had to be
    # enlarged is soft without being blurred.
    if (
        scale < _ENLARGED
        and float(edges[inside].var()) * (110 / max(level, 40)) ** 2 < _LEAST_SHARPNESS
    ):
        reasons.append(Reason.BLURRED)
    return reasons


def _crop(picture: ByteArray, oval: FloatArray, scale: float) -> tuple[ByteArray, FloatArray]:
    """The face at `scale`, and where its oval lies there."""
    low = np.maximum(np.floor(oval.min(0)), 0).astype(int)
    high = np.minimum(np.ceil(oval.max(0)) + 1, picture.shape[1::-1]).astype(int)
    high = np.maximum(high, low + 1)
    part = picture[low[1] : high[1], low[0] : high[0]]
    if part.size == 0:
        part = picture[:1, :1]
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    crop = cv2.resize(part, None, fx=scale, fy=scale, interpolation=how)
    return np.asarray(crop, np.uint8), floats((oval - low) * scale)


def _features(picture: ByteArray, points: FloatArray) -> list[Reason]:
    """Eyes and mouth: covered, shut, behind glasses, showing teeth."""
    lab = np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2LAB), np.uint8)
    width = float(np.ptp(points[list(lm.FACE_OVAL), 0]))
    cheeks = _colour(lab, points, (117, 346, 50, 280, 9), width)
    reasons = []
    below = _colour(lab, points, (164, 18, 200, 57, 287), width)
    if float(np.linalg.norm(below[1:] - cheeks[1:])) > _COVERED_CHROMA:
        reasons.append(Reason.MOUTH_COVERED)
    under = [_colour(lab, points, places, width)[0] for places in _UNDER_EYES]
    if (
        np.mean(under) < _COVERED_EYES * cheeks[0]
        or _eye_range(lab, points, width) < _LEAST_EYE_RANGE
    ):
        reasons.append(Reason.EYES_COVERED)
    elif _eye_opening(points) < 0.12:
        reasons.append(Reason.EYES_SHUT)
    elif _edge(lab[..., 0], points, (9, 197), width) > _GLASSES_EDGE * cheeks[0] or all(
        _edge(lab[..., 0], points, rim, width) > _RIM_EDGE * cheeks[0] for rim in _RIMS
    ):
        reasons.append(Reason.GLASSES)
    if Reason.MOUTH_COVERED not in reasons and lip_gap(points) > TEETH_SHOW:
        reasons.append(Reason.TEETH)
    return reasons


def _eye_opening(points: FloatArray) -> float:
    """The wider of the two."""
    return float(eye_openings(points[None]).max())


def _colour(lab: ByteArray, points: FloatArray, places: Sequence[int], width: float) -> FloatArray:
    """The median colour (3,) around points of the face."""
    reach = max(1, round(0.02 * width))
    found = []
    for x, y in np.round(points[list(places), :2]).astype(int):
        part = lab[max(y - reach, 0) : y + reach + 1, max(x - reach, 0) : x + reach + 1]
        found.append(part.reshape(-1, 3))
    return floats(np.median(np.concatenate(found), axis=0))


def _eye_range(lab: ByteArray, points: FloatArray, width: float) -> float:
    """How much the light differs between the lids, in parts of the cheek's below; of the eye where
    it differs less."""
    found = []
    for eye, cheek in zip((lm.RIGHT_EYE, lm.LEFT_EYE), _CHEEKS, strict=True):
        inside = np.zeros(lab.shape[:2], np.uint8)
        cv2.fillPoly(inside, [np.round(points[list(eye), :2]).astype(np.int32)], 1)
        light = lab[..., 0][inside > 0]
        low, high = np.percentile(light, (10, 92)) if len(light) else (0.0, 0.0)
        found.append((high - low) / max(float(_colour(lab, points, cheek, width)[0]), 1.0))
    return float(min(found))


def _edge(light: ByteArray, points: FloatArray, ends: tuple[int, int], width: float) -> float:
    """The steepest step of brightness between two points, where a frame would lie."""
    top, bottom = points[list(ends), :2]
    steps = max(8, round(0.3 * width))
    along = np.linspace(0, 1, steps)[:, None] * (bottom - top) + top
    half = max(1, round(0.03 * width))
    across = np.arange(-half, half + 1)
    x = np.clip(np.round(along[:, 0, None] + across).astype(int), 0, light.shape[1] - 1)
    y = np.clip(np.round(along[:, 1, None]).astype(int), 0, light.shape[0] - 1)
    # A frame crosses the whole way; a highlight or a wrinkle does not.
    profile = light[y, x].astype(np.float32).mean(axis=1)
    rough = cv2.GaussianBlur(profile[:, None], (1, 0), sigmaX=0.1, sigmaY=max(steps / 6, 1.0))
    return float(np.abs(profile - rough[:, 0]).max())
