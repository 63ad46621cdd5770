"""Who is on the pictures: the face is found, cut out, measured and followed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch

from ditto_avatar.errors import InvalidImage
from ditto_avatar.face.ditto.face_models import FaceDetector, FaceMesh, Landmarks203
from ditto_avatar.face.ditto.geometry import (
    PORTRAIT,
    crop_matrix,
    cut_out,
    eye_values,
    inverse,
    transform,
)
from ditto_avatar.face.ditto.layout import SourceMotion
from ditto_avatar.face.ditto.networks.pose import MotionOutput
from ditto_avatar.face.register.detection import Detection
from ditto_avatar.types import ByteArray, FloatArray

EXTRACTOR_SIZE = 256
SMALLEST_FACE_PX = 48
RIVAL_SHARE = 0.25  # of the largest face's area, from which a second face counts
TURNED_SHARE = 0.2  # the nose's place between the cheeks; 0.5 looks straight ahead
CUT_SHARE = 0.05  # of the landmarks, outside the picture
TRACKED_PASSES = 2
CHEEKS, NOSE_TIP = (234, 454), 1


@dataclass(frozen=True, slots=True)
class SourceFrame:
    """What one picture tells: `matrix` (3, 3) from the 512-pixel crop to the picture, `points`
    (203, 2) to follow the face by, `mesh` (478, 3) in pixels of the picture, the eyes' `opening`
    (2,) and `pupils` (6,), and the crop at 256 pixels (256, 256, 3)."""

    matrix: FloatArray
    points: FloatArray
    mesh: FloatArray
    opening: FloatArray
    pupils: FloatArray
    crop: ByteArray


class FaceReader:
    """Reads faces from pictures with the checkpoint's three face models."""

    def __init__(self, detector: FaceDetector, mesh: FaceMesh, landmarks: Landmarks203) -> None:
        self._detector = detector
        self._mesh = mesh
        self._landmarks = landmarks

    def read(self, picture: ByteArray, before: SourceFrame | None, name: str) -> SourceFrame:
        """One picture (h, w, 3) RGB; `before` is what the video's last frame told.

        Raises `InvalidImage` where no picture of one whole face from the front is seen."""
        if before is None:
            points = self._first(picture, name)
        else:
            points = self._landmarks(picture, before.points)
            check_whole(points, picture, name)
        matrix = crop_matrix(points, PORTRAIT)
        crop = cut_out(picture, matrix, PORTRAIT.size)
        back = inverse(matrix)
        mesh = self._mesh_of(crop)
        if mesh is None and before is None:
            raise InvalidImage(f"{name}: the face is not clear enough; use a sharper picture.")
        if mesh is None:
            assert before is not None
            opening, pupils, placed = before.opening, before.pupils, before.mesh
        else:
            opening, pupils = (v[0] for v in eye_values(mesh[None] / np.float32(PORTRAIT.size)))
            placed = place_mesh(mesh, back)
        small = cv2.resize(crop, (EXTRACTOR_SIZE, EXTRACTOR_SIZE), interpolation=cv2.INTER_AREA)
        return SourceFrame(back, points, placed, opening, pupils, np.asarray(small, np.uint8))

    def _first(self, picture: ByteArray, name: str) -> FloatArray:
        face = only_face(self._detector(picture) or self._closer(picture), name)
        mesh = self._mesh(picture, face)
        check_front(mesh, name)
        check_whole(mesh[:, :2], picture, name)
        points = mesh[:, :2]
        for _ in range(TRACKED_PASSES):
            points = self._landmarks(picture, points)
        return points

    def _closer(self, picture: ByteArray) -> list[Detection]:
        """Faces that are small in a large picture: looked for in overlapping quarters of it."""
        height, width = picture.shape[:2]
        side = max(height, width) // 2
        found: list[Detection] = []
        for top in sorted({0, max((height - side) // 2, 0), max(height - side, 0)}):
            for left in sorted({0, max((width - side) // 2, 0), max(width - side, 0)}):
                for face in self._detector(picture[top : top + side, left : left + side]):
                    offset = np.array([left, top, left, top], np.float32)
                    box = np.asarray(face.box, np.float32) + offset
                    centre = np.asarray((box[:2] + box[2:]) / 2, np.float32)
                    if not any(_inside(centre, other.box) for other in found):
                        found.append(
                            Detection(
                                (float(box[0]), float(box[1]), float(box[2]), float(box[3])),
                                face.eyes + offset[:2],
                                face.score,
                            )
                        )
        return found

    def _mesh_of(self, crop: ByteArray) -> FloatArray | None:
        faces = self._detector(crop)
        return self._mesh(crop, max(faces, key=lambda face: face.area)) if faces else None


def _inside(point: FloatArray, box: tuple[float, float, float, float]) -> bool:
    return bool(box[0] <= point[0] <= box[2] and box[1] <= point[1] <= box[3])


def place_mesh(mesh: FloatArray, matrix: FloatArray) -> FloatArray:
    """Mesh points (478, 3) of a crop in pixels of the picture, depth in the same unit."""
    zoom = np.float32(np.hypot(matrix[0, 0], matrix[1, 0]))
    return np.concatenate([transform(mesh[:, :2], matrix), mesh[:, 2:] * zoom], axis=1)


def only_face(faces: Sequence[Detection], name: str) -> Detection:
    """The one face. Raises `InvalidImage` for none, several, or one that is too small."""
    if not faces:
        raise InvalidImage(
            f"{name}: no face was found; use a picture of one person who looks at the camera."
        )
    ordered = sorted(faces, key=lambda face: -face.area)
    rivals = [face for face in ordered if face.area >= RIVAL_SHARE * ordered[0].area]
    if len(rivals) > 1:
        raise InvalidImage(
            f"{name} shows {len(rivals)} faces; crop it so that only one person is seen."
        )
    if ordered[0].width < SMALLEST_FACE_PX:
        raise InvalidImage(
            f"{name}: the face is {ordered[0].width:.0f} pixels wide and should have at least "
            f"{SMALLEST_FACE_PX}; crop the picture closer or use a larger one."
        )
    return ordered[0]


def check_front(mesh: FloatArray, name: str) -> None:
    """Raises `InvalidImage` for a face seen from the side."""
    left, right = mesh[CHEEKS[0], :2], mesh[CHEEKS[1], :2]
    across = right - left
    share = float((mesh[NOSE_TIP, :2] - left) @ across / max(float(across @ across), 1e-6))
    if not TURNED_SHARE <= share <= 1 - TURNED_SHARE:
        raise InvalidImage(
            f"{name}: the face is turned away; use a picture in which it looks at the camera."
        )


def check_whole(points: FloatArray, picture: ByteArray, name: str) -> None:
    """Raises `InvalidImage` for a face that the picture's border cuts."""
    height, width = picture.shape[:2]
    outside = (points < 0).any(axis=1) | (points >= np.array([width, height])).any(axis=1)
    if outside.mean() > CUT_SHARE:
        raise InvalidImage(
            f"{name}: the face is cut off by the border; use a picture that shows all of it."
        )


def read_faces(reader: FaceReader, frames: Sequence[ByteArray], name: str) -> list[SourceFrame]:
    """Every frame of a picture or video, each followed from the one before."""
    found: list[SourceFrame] = []
    for index, picture in enumerate(frames):
        label = name if len(frames) == 1 else f"{name}, frame {index + 1}"
        found.append(reader.read(picture, found[-1] if found else None, label))
    return found


def crop_tensor(crops: Sequence[ByteArray], device: torch.device) -> torch.Tensor:
    """Crops (256, 256, 3) as the extractors read them, (b, 3, 256, 256) in 0..1."""
    stacked = torch.from_numpy(np.stack(crops)).to(device)
    return stacked.permute(0, 3, 1, 2).float() / 255


@torch.inference_mode()
def source_motion(
    frames: Sequence[SourceFrame],
    extractor: Callable[[torch.Tensor], MotionOutput],
    device: torch.device,
    batch: int = 8,
) -> SourceMotion:
    """The motion that the extractor sees in the frames, not smoothed."""
    rows, keypoints = [], []
    for first in range(0, len(frames), batch):
        crops = crop_tensor([frame.crop for frame in frames[first : first + batch]], device)
        motion = extractor(crops)
        parts = [motion.scale - 1, motion.pitch, motion.yaw, motion.roll]
        parts += [motion.translation, motion.expression]
        rows.append(torch.cat(parts, dim=1).float().cpu().numpy())
        keypoints.append(motion.keypoints.float().cpu().numpy())
    together = np.concatenate(keypoints)
    return SourceMotion(
        np.concatenate(rows),
        together,
        np.stack([frame.opening for frame in frames]),
        np.stack([frame.pupils for frame in frames]),
        together[0],
    )
