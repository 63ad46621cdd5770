"""Say what keeps a picture from becoming a good avatar: the reason, and the remedy.

The thresholds are in pixels of the picture and grey levels of 0 to 255. They were set on photos,
and on the rendered presenters made small, dark, bright, blurred, turned and covered.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import cv2
import numpy as np

from ditto_avatar.face.puppet import landmarks as lm
from ditto_avatar.face.puppet.fields import floats
from ditto_avatar.face.puppet.model import general_basis
from ditto_avatar.face.register.detection import Detection
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
# Hair over one eye is darker against the other cheek than any shade.
_COVERED_EYE: Final = 0.3
_UNDER_EYES: Final = ((230, 24), (450, 254))
_CHEEKS: Final = ((117, 50), (346, 280))
_GLASSES_EDGE: Final = 0.2


class Reason(StrEnum):
    """What is wrong, or to be known, about a picture."""

    NO_FACE = "no_face"
    TWO_FACES = "two_faces"
    SMALL = "small"
    SOFT = "soft"
    CUT_OFF = "cut_off"
    TURNED = "turned"
    DARK = "dark"
    BLOWN_OUT = "blown_out"
    BLURRED = "blurred"
    MOUTH_COVERED = "mouth_covered"
    EYES_COVERED = "eyes_covered"
    EYES_SHUT = "eyes_shut"
    GLASSES = "glasses"
    TEETH = "teeth"


# These are told, and the picture is used all the same.
NOTES: Final = frozenset({Reason.SOFT, Reason.GLASSES, Reason.TEETH})

REMEDIES: Final[Mapping[Reason, Mapping[str, str]]] = {
    Reason.NO_FACE: {
        "en": "No face was found. Look straight into the camera, with your whole head visible.",
        "ko": "얼굴을 찾지 못했어요. 머리 전체가 보이도록 카메라를 정면으로 봐 주세요.",
    },
    Reason.TWO_FACES: {
        "en": "There is more than one face. Use a picture of one person alone.",
        "ko": "얼굴이 두 명 이상 보여요. 한 사람만 나온 사진을 써 주세요.",
    },
    Reason.SMALL: {
        "en": "The face is too small. Come closer, or use a larger picture.",
        "ko": "얼굴이 너무 작아요. 더 가까이 오거나 더 큰 사진을 써 주세요.",
    },
    Reason.SOFT: {
        "en": "The face has few pixels and will look soft. Come closer, or use a larger picture.",
        "ko": "해상도가 낮아 흐릿하게 보일 수 있어요. 더 가까이 오거나 더 큰 사진을 써 주세요.",
    },
    Reason.CUT_OFF: {
        "en": "The face is cut off. Leave some space around your head.",
        "ko": "얼굴이 잘렸어요. 머리 둘레에 여유를 두어 주세요.",
    },
    Reason.TURNED: {
        "en": "The head is turned. Look straight into the camera, at the height of your eyes.",
        "ko": "고개가 돌아가 있어요. 눈높이의 카메라를 정면으로 봐 주세요.",
    },
    Reason.DARK: {
        "en": "The face is too dark. Turn towards a window or a lamp.",
        "ko": "얼굴이 너무 어두워요. 창문이나 조명 쪽을 바라봐 주세요.",
    },
    Reason.BLOWN_OUT: {
        "en": "The face is too bright. Move away from the strong light.",
        "ko": "얼굴이 너무 밝아요. 강한 빛을 피해 주세요.",
    },
    Reason.BLURRED: {
        "en": "The face is blurred. Hold still, and wipe the lens.",
        "ko": "얼굴이 흐려요. 움직이지 말고, 렌즈를 닦아 주세요.",
    },
    Reason.MOUTH_COVERED: {
        "en": "The mouth is covered. Take off the mask, or move your hand away.",
        "ko": "입이 가려져 있어요. 마스크를 벗거나 손을 치워 주세요.",
    },
    Reason.EYES_COVERED: {
        "en": "The eyes are covered. Take off dark glasses, and move hair aside.",
        "ko": "눈이 가려져 있어요. 선글라스를 벗고 머리카락을 넘겨 주세요.",
    },
    Reason.EYES_SHUT: {
        "en": "The eyes are shut. Take another picture with open eyes.",
        "ko": "눈을 감고 있어요. 눈을 뜬 사진을 써 주세요.",
    },
    Reason.GLASSES: {
        "en": "With glasses, blinks look less natural. Without them it works better.",
        "ko": "안경을 쓰면 눈 깜빡임이 덜 자연스러워요. 벗으면 더 잘 나와요.",
    },
    Reason.TEETH: {
        "en": "Your teeth show; the lips will be closed. A relaxed, closed mouth works best.",
        "ko": "이가 보여서 입술을 다문 모습으로 바꿔요. 편하게 다문 입이 가장 잘 나와요.",
    },
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing about a picture. It `blocks` unless the picture can be used all the same."""

    reason: Reason

    @property
    def blocks(self) -> bool:
        return self.reason not in NOTES

    def text(self, language: str = "en") -> str:
        """Return reason and remedy in `language`, English where it is not known."""
        texts = REMEDIES[self.reason]
        return texts.get(language, texts["en"])


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
    if _others(faces):
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


def _others(faces: Sequence[Detection]) -> bool:
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
    brighter = max(_colour(lab, points, places, width)[0] for places in _CHEEKS)
    if np.mean(under) < _COVERED_EYES * cheeks[0] or min(under) < _COVERED_EYE * brighter:
        reasons.append(Reason.EYES_COVERED)
    elif _eye_opening(points) < 0.12:
        reasons.append(Reason.EYES_SHUT)
    elif _bridge_edge(lab[..., 0], points, width) > _GLASSES_EDGE * cheeks[0]:
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


def _bridge_edge(light: ByteArray, points: FloatArray, width: float) -> float:
    """The steepest step of brightness down the bridge of the nose, where a frame would lie."""
    top, bottom = points[9, :2], points[197, :2]
    steps = max(8, round(0.3 * width))
    along = np.linspace(0, 1, steps)[:, None] * (bottom - top) + top
    half = max(1, round(0.03 * width))
    across = np.arange(-half, half + 1)
    x = np.clip(np.round(along[:, 0, None] + across).astype(int), 0, light.shape[1] - 1)
    y = np.clip(np.round(along[:, 1, None]).astype(int), 0, light.shape[0] - 1)
    # A frame crosses the whole bridge; a highlight or a wrinkle does not.
    profile = light[y, x].astype(np.float32).mean(axis=1)
    rough = cv2.GaussianBlur(profile[:, None], (1, 0), sigmaX=0.1, sigmaY=max(steps / 6, 1.0))
    return float(np.abs(profile - rough[:, 0]).max())
