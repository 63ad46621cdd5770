"""The checkpoint's face models over ONNX Runtime: BlazeFace, Face Mesh and the 203 landmarks.

BlazeFace (Bazarevsky et al., arXiv 1907.05047) and Face Mesh (Kartynnik et al., arXiv 1907.06724)
are MediaPipe's, the 203 landmarks LivePortrait's.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ditto_avatar.errors import InvalidCheckpoint
from ditto_avatar.face.ditto.geometry import TRACK, crop_matrix, cut_out, inverse, transform
from ditto_avatar.face.ditto.onnx_session import open_session
from ditto_avatar.face.register.detection import (
    DETECTOR_SIZE,
    Detection,
    anchors,
    read_detections,
)
from ditto_avatar.types import ByteArray, FloatArray

MESH_SIZE = 256
MESH_POINTS = 478
ROI_SCALE = 1.5

AnyArray = npt.NDArray[Any]


class FaceDetector:
    """Finds faces in a picture (h, w, 3) RGB, the surest first."""

    def __init__(self, path: Path, device: str = "cpu") -> None:
        self._session = open_session(path, device, threads=1)
        self._anchors = anchors()

    def __call__(self, picture: ByteArray) -> list[Detection]:
        height, width = picture.shape[:2]
        side = max(height, width)
        square = np.zeros((side, side, 3), np.uint8)
        square[:height, :width] = picture
        small = cv2.resize(square, (DETECTOR_SIZE, DETECTOR_SIZE), interpolation=cv2.INTER_AREA)
        pixels = small[None].astype(np.float32) / 127.5 - 1
        outputs = [np.asarray(o) for o in self._session.run(None, {"input": pixels})]
        shapes = {output.shape[-1]: output for output in outputs}
        if not {16, 1} <= set(shapes):
            raise InvalidCheckpoint("blaze_face.onnx should give 16 numbers and 1 score an anchor.")
        return read_detections(shapes[16][0], shapes[1][0, :, 0], self._anchors, side)


class FaceMesh:
    """The 478 points (478, 3) of a detected face, in pixels of the picture, irises included."""

    def __init__(self, path: Path, device: str = "cpu") -> None:
        self._session = open_session(path, device, threads=1)

    def __call__(self, picture: ByteArray, face: Detection) -> FloatArray:
        left, top, right, bottom = face.box
        side = max(right - left, bottom - top) * ROI_SCALE
        centre = np.array([(left + right) / 2, (top + bottom) / 2])
        across = face.eyes[1] - face.eyes[0]
        angle = float(np.arctan2(across[1], across[0]))
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        matrix = np.eye(3, dtype=np.float32)
        matrix[:2, :2] = turn * (MESH_SIZE / side)
        matrix[:2, 2] = MESH_SIZE / 2 - matrix[:2, :2] @ centre
        pixels = cut_out(picture, matrix, MESH_SIZE)[None].astype(np.float32) / 255
        outputs = [np.asarray(o) for o in self._session.run(None, {"input": pixels})]
        points = next((o for o in outputs if o.size == 3 * MESH_POINTS), None)
        if points is None:
            raise InvalidCheckpoint(f"face_mesh.onnx should give {MESH_POINTS} points.")
        points = points.reshape(MESH_POINTS, 3)
        flat = transform(points[:, :2], inverse(matrix))
        depth = points[:, 2:] * np.float32(side / MESH_SIZE)
        return np.concatenate([flat, depth], axis=1)


class Landmarks203:
    """LivePortrait's 203 landmarks (203, 2) in pixels, from rough ones of any known kind."""

    def __init__(self, path: Path, device: str = "cpu") -> None:
        self._session = open_session(path, device, threads=1)

    def __call__(self, picture: ByteArray, points: FloatArray) -> FloatArray:
        matrix = crop_matrix(points, TRACK)
        crop = cut_out(picture, matrix, TRACK.size).astype(np.float32) / 255
        outputs = self._session.run(None, {"input": crop.transpose(2, 0, 1)[None]})
        # The exported file has one output, the original three, of which the last is meant.
        found = [np.asarray(o) for o in outputs if np.asarray(o).size == 406]
        if not found:
            raise InvalidCheckpoint("landmark203.onnx should give 203 points.")
        return transform(found[-1].reshape(203, 2) * TRACK.size, inverse(matrix))
