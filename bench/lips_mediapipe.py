"""Read the lips off pictures with MediaPipe, in an environment of its own.

    pip install mediapipe==0.10.21        (it wants an old numpy, so not in the project's)
    python -m bench.quality --mediapipe path/to/its/python

Reads I420 pictures from standard input after a line ``width height``, writes one number a line: the
distance of the lips' inner edges (mean of three pairs) over the distance of the eyes' outer
corners, or ``nan`` where no face is found. Imports nothing of the project.
"""

from __future__ import annotations

import contextlib
import os
import sys

import cv2
import mediapipe as mp
import numpy as np

PAIRS = ((82, 87), (13, 14), (312, 317))
EYES = (33, 263)


def main() -> None:
    """One stream of pictures; several films may follow each other."""
    numbers = os.fdopen(os.dup(1), "w")
    # TensorFlow Lite talks on standard output.
    os.dup2(2, 1)
    width, height = (int(part) for part in sys.stdin.buffer.readline().split())
    mesh = mp.solutions.face_mesh.FaceMesh(
        static_image_mode=False, refine_landmarks=True, max_num_faces=1
    )
    size = width * height * 3 // 2
    with contextlib.closing(mesh):
        while len(data := sys.stdin.buffer.read(size)) == size:
            picture = np.frombuffer(data, np.uint8).reshape(height * 3 // 2, width)
            found = mesh.process(cv2.cvtColor(picture, cv2.COLOR_YUV2RGB_I420))
            numbers.write(f"{opening(found, width, height)}\n")
            numbers.flush()


def opening(found: object, width: int, height: int) -> float:
    """The opening in eye distances."""
    faces = getattr(found, "multi_face_landmarks", None)
    if not faces:
        return float("nan")
    points = np.array([(p.x * width, p.y * height) for p in faces[0].landmark])
    gaps = [np.linalg.norm(points[lower] - points[upper]) for upper, lower in PAIRS]
    return float(np.mean(gaps) / np.linalg.norm(points[EYES[1]] - points[EYES[0]]))


if __name__ == "__main__":
    main()
