"""Runs MediaPipe's Face Mesh on pictures. Needs an environment of its own (see README.md):

    <python with mediapipe 0.10.21> studio/detect.py --out points.npz a.png b.png ...

`points` (pictures, 478, 3) are pixels x, y and MediaPipe's relative depth in pixels; NaN where
no face was found.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import mediapipe as mp  # type: ignore[import-not-found]
import numpy as np


def detect(pictures: list[Path]) -> np.ndarray[tuple[int, int, int], np.dtype[np.float32]]:
    """Face Mesh on each picture."""
    found = np.full((len(pictures), 478, 3), np.nan, np.float32)
    with mp.solutions.face_mesh.FaceMesh(
        static_image_mode=True, max_num_faces=1, refine_landmarks=True
    ) as mesh:
        for row, path in enumerate(pictures):
            image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
            if image is None:
                raise FileNotFoundError(path)
            if image.shape[2] == 4:
                alpha = image[..., 3:] / 255
                image = (image[..., :3] * alpha + 140 * (1 - alpha)).astype(np.uint8)
            faces = mesh.process(np.ascontiguousarray(image[..., ::-1])).multi_face_landmarks
            if faces:
                points = np.array([[p.x, p.y, p.z] for p in faces[0].landmark], np.float32)
                found[row] = points * [image.shape[1], image.shape[0], image.shape[1]]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("pictures", type=Path, nargs="+")
    given = parser.parse_args()
    np.savez(given.out, points=detect(given.pictures))


if __name__ == "__main__":
    main()
