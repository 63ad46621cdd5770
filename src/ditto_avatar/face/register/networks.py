"""The two networks of the face tracker: MediaPipe's BlazeFace and its Face Mesh with attention
(Grishchenko et al., arXiv 2006.10962), run by OpenCV.

They lie in the package in half precision; see NOTICE.
"""

from __future__ import annotations

from importlib import resources
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ditto_avatar.errors import Unavailable
from ditto_avatar.face.register.detection import DETECTOR_SIZE, Detection, anchors, read_detections
from ditto_avatar.types import ByteArray, FloatArray

MESH_SIZE = 192
MESH_POINTS = 478
_SKIN_POINTS = 468
# The head for the lips puts them this many pixels of the crop too high, on photos (edges of the
# lips) as on rendered faces whose points are known (1.3 to 1.9).
_LIPS_BELOW = 1.4


class Network:
    """One of the networks in `models/`. Not for two threads at once."""

    def __init__(self, file: str, outputs: tuple[str, ...]) -> None:
        data = (resources.files(__package__) / "models" / file).read_bytes()
        self._outputs = outputs
        try:
            self._net = cv2.dnn.readNetFromONNX(np.frombuffer(data, np.uint8))
        except cv2.error as error:
            raise Unavailable(
                f"The face tracker needs OpenCV 5, came {cv2.__version__}: "
                "pip install 'opencv-python-headless>=5'."
            ) from error

    def __call__(self, pixels: FloatArray) -> tuple[FloatArray, ...]:
        """Return each output, flat, for `pixels` (height, width, 3)."""
        self._net.setInput(np.ascontiguousarray(pixels[None], np.float32))
        # OpenCV's new engine wants all outputs to be asked for at once.
        found: Any = self._net.forward(self._outputs)
        return tuple(np.asarray(output, np.float32).reshape(-1) for output in found)


class FaceDetector:
    """Finds faces of at least an eighth of the longer side."""

    def __init__(self) -> None:
        self._network = Network("face_detection_short_range.onnx", ("regressors", "classificators"))
        self._anchors = anchors()

    def __call__(self, picture: ByteArray) -> list[Detection]:
        """Return the faces in `picture` (h, w, 3) RGB, the surest first."""
        height, width = picture.shape[:2]
        side = max(height, width)
        square = np.zeros((side, side, 3), np.uint8)
        square[:height, :width] = picture
        small = cv2.resize(square, (DETECTOR_SIZE, DETECTOR_SIZE), interpolation=cv2.INTER_AREA)
        numbers, logits = self._network(np.asarray(small / 127.5 - 1, np.float32))
        return read_detections(numbers.reshape(-1, 16), logits, self._anchors, side)


class FaceMesh:
    """Finds the 478 points of a face in an upright crop of it."""

    def __init__(self) -> None:
        self._network = Network("face_landmark_with_attention.onnx", (_MESH, *_PARTS, _FLAG))

    def __call__(self, crop: ByteArray) -> tuple[FloatArray, float]:
        """Return points (478, 3) in pixels of `crop` (192, 192, 3) RGB, its corner at 0, and how
        sure it is that there is a face, from 0 to 1."""
        mesh, *parts, flag = self._network(np.asarray(crop / 255, np.float32))
        points = np.zeros((MESH_POINTS, 3), np.float32)
        points[:_SKIN_POINTS] = mesh.reshape(-1, 3)
        for part, places in zip(parts, _PARTS.values(), strict=True):
            points[places, :2] = part.reshape(-1, 2)
        points[_PARTS["output_lips"], 1] += _LIPS_BELOW
        for iris, eye in ((range(468, 473), _EYE_RIMS[0]), (range(473, 478), _EYE_RIMS[1])):
            points[list(iris), 2] = points[list(eye), 2].mean()
        return points, float(1 / (1 + np.exp(-np.clip(flag[0], -50, 50))))


_MESH = "output_mesh_identity"
_FLAG = "conv_faceflag"
_EYE_RIMS = (
    (33, 7, 163, 144, 145, 153, 154, 155, 133, 246, 161, 160, 159, 158, 157, 173),
    (263, 249, 390, 373, 374, 380, 381, 382, 362, 466, 388, 387, 386, 385, 384, 398),
)
_RIGHT_EYE = (
    *_EYE_RIMS[0],
    *(130, 25, 110, 24, 23, 22, 26, 112, 243, 247, 30, 29, 27, 28, 56, 190, 226, 31, 228, 229),
    *(230, 231, 232, 233, 244, 113, 225, 224, 223, 222, 221, 189, 35, 124, 46, 53, 52, 65, 143),
    *(111, 117, 118, 119, 120, 121, 128, 245, 156, 70, 63, 105, 66, 107, 55, 193),
)
_LEFT_EYE = (
    *_EYE_RIMS[1],
    *(359, 255, 339, 254, 253, 252, 256, 341, 463, 467, 260, 259, 257, 258, 286, 414, 446, 261),
    *(448, 449, 450, 451, 452, 453, 464, 342, 445, 444, 443, 442, 441, 413, 265, 353, 276, 283),
    *(282, 295, 372, 340, 346, 347, 348, 349, 350, 357, 465, 383, 300, 293, 334, 296, 336, 285),
    417,
)
# Four rings, each from the right corner below to the left one, then above without the corners.
_LIPS = (
    *(61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 185, 40, 39, 37, 0, 267, 269, 270, 409),
    *(78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 191, 80, 81, 82, 13, 312, 311, 310, 415),
    *(76, 77, 90, 180, 85, 16, 315, 404, 320, 307, 306, 184, 74, 73, 72, 11, 302, 303, 304, 408),
    *(62, 96, 89, 179, 86, 15, 316, 403, 319, 325, 292, 183, 42, 41, 38, 12, 268, 271, 272, 407),
)
# What the attention heads refine, in the mesh's numbering. MediaPipe calls the person's right eye,
# which is on the left of the picture, the left one.
_PARTS: dict[str, npt.NDArray[np.intp]] = {
    "output_lips": np.array(_LIPS),
    "output_left_eye": np.array(_RIGHT_EYE),
    "output_right_eye": np.array(_LEFT_EYE),
    "output_left_iris": np.arange(468, 473),
    "output_right_iris": np.arange(473, 478),
}
