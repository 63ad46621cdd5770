"""Track one face: 478 points in a picture, or in each frame of a film."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from ditto_avatar.face.geometry import rotations
from ditto_avatar.face.puppet import landmarks as lm
from ditto_avatar.face.puppet.fields import floats
from ditto_avatar.face.register.detection import Detection, overlap
from ditto_avatar.face.register.networks import MESH_SIZE, FaceDetector, FaceMesh
from ditto_avatar.types import ByteArray, FloatArray

# What the detector calls a cat's face has less (0.58), the points' flag as well (0.55).
SURE_FACE: Final = 0.7
SURE_POINTS: Final = 0.9
# The crop around a face, in sizes of its box (MediaPipe's).
_ROI_SCALE: Final = 1.4
# Faces smaller than an eighth of the picture are searched for in overlapping tiles.
_TILES: Final = (2, 3)
# Grey levels of the brighter copy in which a face is looked for that was not found.
_BRIGHTER: Final = np.round(255 * (np.arange(256) / 255) ** 0.6).astype(np.uint8)
# MediaPipe's crop counts from the corner of the first pixel, a position here from its middle.
_PIXEL_MIDDLE: Final = 0.5
_EYES: Final = ((386, 374, 263, 362), (159, 145, 33, 133))  # above, below, corners: left, right
# An eye counts as shut below this opening, and as open from this share of its usual one.
_SHUT: Final = 0.06
_OPEN: Final = 0.85
_SMOOTHING_FRAMES: Final = 1.2


@dataclass(frozen=True, slots=True)
class TrackedFace:
    """The points (478, 3) of a face in pixels, and how sure the tracker is, from 0 to 1."""

    points: FloatArray
    sure: float


class FaceTracker:
    """Finds faces and their points. Loading takes some 50 ms; not for two threads at once."""

    def __init__(self) -> None:
        self._detector = FaceDetector()
        self._mesh = FaceMesh()

    def detect(self, picture: ByteArray) -> list[Detection]:
        """Return the faces in `picture` (h, w, 3) RGB, the largest first: over the whole picture;
        where there is none, in a brighter copy, and then over tiles."""
        found = self._whole(picture)
        if not found:
            # Dark skin in the light of one lamp is dark to the detector as well.
            found = self._whole(np.asarray(cv2.LUT(picture, _BRIGHTER), np.uint8))
        for tiles in _TILES:
            if found:
                break
            found = self._in_tiles(picture, tiles)
        return sorted(found, key=lambda face: -face.area)

    def _whole(self, picture: ByteArray) -> list[Detection]:
        return [face for face in self._detector(picture) if face.score >= SURE_FACE]

    def track(self, picture: ByteArray, last: FloatArray | None = None) -> TrackedFace | None:
        """Return the points in `picture`, starting from those of the `last` frame; None where no
        face is found."""
        if last is not None:
            face = self._points(picture, *_around(last))
            if face.sure >= SURE_POINTS:
                return face
        faces = self.detect(picture)
        return None if not faces else self.refine(picture, faces[0])

    def refine(self, picture: ByteArray, face: Detection) -> TrackedFace:
        """Return the points of a detected face: looked for twice, since the second crop fits
        better than the detector's (by 1 % of the eyes' distance)."""
        left, top, right, bottom = face.box
        centre = np.array([(left + right) / 2, (top + bottom) / 2])
        across = face.eyes[1] - face.eyes[0]
        angle = float(np.arctan2(across[1], across[0]))
        side = max(right - left, bottom - top) * _ROI_SCALE
        first = self._points(picture, centre, side, angle)
        return self._points(picture, *_around(first.points))

    def _in_tiles(self, picture: ByteArray, tiles: int) -> list[Detection]:
        height, width = picture.shape[:2]
        size = int(2 * max(height, width) / (tiles + 1))
        rows = np.unique(np.linspace(0, max(height - size, 0), tiles).astype(int))
        columns = np.unique(np.linspace(0, max(width - size, 0), tiles).astype(int))
        found: list[Detection] = []
        for y in rows:
            for x in columns:
                for face in self._detector(picture[y : y + size, x : x + size]):
                    moved = face.moved(float(x), float(y))
                    boxes = np.array([other.box for other in found]).reshape(-1, 4)
                    again = overlap(np.array(moved.box), boxes).max(initial=0) > 0.3
                    if moved.score >= SURE_FACE and not again:
                        found.append(moved)
        return found

    def _points(
        self, picture: ByteArray, centre: FloatArray, side: float, angle: float
    ) -> TrackedFace:
        """The points in the square around `centre` with this `side`, turned by `angle`."""
        cosine, sine = np.cos(angle), np.sin(angle)
        scale = MESH_SIZE / side
        linear = np.array([[cosine, sine], [-sine, cosine]]) * scale
        shift = MESH_SIZE / 2 - linear @ (centre + _PIXEL_MIDDLE)
        points, sure = self._mesh(_cut(picture, floats(linear), floats(shift), scale))
        flat = (points[:, :2] - shift) @ np.linalg.inv(linear).T - _PIXEL_MIDDLE
        depth = points[:, 2:] / scale
        return TrackedFace(np.concatenate([flat, depth], axis=1).astype(np.float32), sure)


def _cut(picture: ByteArray, linear: FloatArray, shift: FloatArray, scale: float) -> ByteArray:
    """The crop (192, 192, 3). `linear` and `shift` lead there, both counted from the corner of the
    first pixel. A large face is averaged, not picked from."""
    finer = max(1, round(1 / scale))
    size = MESH_SIZE * finer
    matrix = np.empty((2, 3))
    matrix[:, :2] = linear * finer
    matrix[:, 2] = shift * finer + matrix[:, :2] @ (0.5, 0.5) - 0.5
    crop = cv2.warpAffine(picture, matrix, (size, size), flags=cv2.INTER_LINEAR)
    if finer > 1:
        crop = cv2.resize(crop, (MESH_SIZE, MESH_SIZE), interpolation=cv2.INTER_AREA)
    return np.asarray(crop, np.uint8)


def _around(points: FloatArray) -> tuple[FloatArray, float, float]:
    """Centre, side and angle of the square around known points."""
    across = points[lm.LEFT_EYE_OUTER, :2] - points[lm.RIGHT_EYE_OUTER, :2]
    angle = float(np.arctan2(across[1], across[0]))
    cosine, sine = np.cos(angle), np.sin(angle)
    turn = np.array([[cosine, sine], [-sine, cosine]])
    upright = points[:468, :2] @ turn.T
    low, high = upright.min(0), upright.max(0)
    centre = turn.T @ ((low + high) / 2)
    return np.asarray(centre, np.float32), float((high - low).max()) * _ROI_SCALE, angle


def smoothed(points: FloatArray, frames: float = _SMOOTHING_FRAMES) -> FloatArray:
    """Return points (n, 478, 3) of a film without the tracker's jitter: averaged over time by a
    Gaussian of `frames`."""
    reach = int(np.ceil(3 * frames))
    share = np.exp(-0.5 * (np.arange(-reach, reach + 1) / frames) ** 2)
    share /= share.sum()
    padded = np.pad(points, ((reach, reach), (0, 0), (0, 0)), mode="edge")
    total = sum(share[i] * padded[i : i + len(points)] for i in range(len(share)))
    return np.asarray(total, np.float32)


def eye_openings(points: FloatArray) -> FloatArray:
    """Return how far the eyes are open (n, 2), left and right, in widths of the eye."""
    sides = []
    for above, below, outer, inner in _EYES:
        gap = np.linalg.norm(points[:, above, :2] - points[:, below, :2], axis=1)
        width = np.linalg.norm(points[:, outer, :2] - points[:, inner, :2], axis=1)
        sides.append(gap / np.maximum(width, 1e-6))
    return np.asarray(np.stack(sides, axis=1), np.float32)


def eye_closures(points: FloatArray) -> FloatArray:
    """Return how far the eyes are shut (n, 2), left and right: 0 open as usual, 1 shut."""
    openings = eye_openings(points)
    usual = np.percentile(openings, 80, axis=0)
    span = np.maximum(_OPEN * usual - _SHUT, 1e-3)
    return np.asarray(np.clip(1 - (openings - _SHUT) / span, 0, 1), np.float32)


def head_rotations(points: FloatArray, rest: FloatArray) -> FloatArray:
    """Return pitch, yaw and roll (n, 3) in degrees of heads (n, 478, 3) against the one at `rest`
    (478, 3), in the pack's directions."""
    turns, _ = rotations(rest[lm.RIGID], points[:, lm.RIGID])
    pitch = np.arctan2(-turns[:, 1, 2], turns[:, 2, 2])
    yaw = np.arcsin(np.clip(-turns[:, 0, 2], -1, 1))
    roll = np.arctan2(turns[:, 1, 0], turns[:, 0, 0])
    return np.asarray(np.degrees(np.stack([pitch, yaw, roll], axis=1)), np.float32)
