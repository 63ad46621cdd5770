"""A complete avatar pack that is drawn, not rendered: an oval face that sways and blinks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import numpy.typing as npt

WIDTH, HEIGHT, FRAMES = 256, 320, 50
CENTRE = np.array([128.0, 150.0])

# MediaPipe's contours, each in order around its opening.
OVAL = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
    152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)  # fmt: skip
OUTER_LIPS = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409,
              291, 375, 321, 405, 314, 17, 84, 181, 91, 146)  # fmt: skip
INNER_LIPS = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415,
              308, 324, 318, 402, 317, 14, 87, 178, 88, 95)  # fmt: skip
RIGHT_EYE = (33, 246, 161, 160, 159, 158, 157, 173, 133, 155, 154, 153, 145, 144, 163, 7)
LEFT_EYE = (263, 466, 388, 387, 386, 385, 384, 398, 362, 382, 381, 380, 374, 373, 390, 249)
RIGHT_BROW = (70, 63, 105, 66, 107, 55, 65, 52, 53, 46)
LEFT_BROW = (300, 293, 334, 296, 336, 285, 295, 282, 283, 276)
NOSE = {168: -22, 6: -14, 197: -4, 195: 6, 5: 14, 4: 20, 1: 24, 2: 30}

# Places in ARKit's order that the drawn face knows.
BLINK_LEFT, BLINK_RIGHT, JAW_OPEN, MOUTH_CLOSE = 0, 7, 17, 18
FUNNEL, PUCKER, SMILE_LEFT, SMILE_RIGHT = 19, 20, 23, 24
BROW_INNER_UP = 43

Floats = npt.NDArray[np.float32]

ATLAS: Mapping[str, Mapping[int, float]] = {
    "rest": {},
    "closed": {JAW_OPEN: 0.1, MOUTH_CLOSE: 0.1},
    "jaw20_neutral": {JAW_OPEN: 0.2},
    "jaw45_neutral": {JAW_OPEN: 0.45},
    "jaw70_neutral": {JAW_OPEN: 0.7},
    "jaw100_neutral": {JAW_OPEN: 1.0},
    "jaw20_round": {JAW_OPEN: 0.2, PUCKER: 0.8},
    "jaw45_round": {JAW_OPEN: 0.45, PUCKER: 0.7, FUNNEL: 0.4},
    "smile": {SMILE_LEFT: 0.7, SMILE_RIGHT: 0.7},
}


def make_pack(
    folder: Path,
    *,
    frames: int = FRAMES,
    atlas: bool = True,
    blendshapes: bool = True,
    about: Mapping[str, Any] | None = None,
    enlarged: int = 1,
) -> Path:
    """Write a pack into `folder` (its name is the avatar's) and return it; its pictures `enlarged`
    times as wide and high, which the atlas is not drawn for."""
    if atlas and enlarged != 1:
        raise ValueError("an atlas is drawn in one size")
    folder.mkdir(parents=True, exist_ok=True)
    neutral, shapes = neutral_points(), shape_basis()
    landmarks = np.repeat(neutral[None], frames, axis=0)
    phase = 2 * np.pi * np.arange(frames) / frames
    landmarks[:, :, 0] += 2.0 * np.sin(phase)[:, None]
    landmarks[:, :, 1] += 1.0 * np.sin(2 * phase)[:, None]
    closure = np.repeat(np.clip(1 - np.abs(np.arange(frames) - 20) / 3, 0, 1)[:, None], 2, axis=1)
    landmarks += closure[:, :1, None] * (shapes[BLINK_LEFT] + shapes[BLINK_RIGHT])
    pictures = [
        cv2.resize(draw(points), None, fx=enlarged, fy=enlarged).astype(np.uint8)
        for points in landmarks
    ]
    _write_idle(folder / "idle.mp4", pictures)
    _write_picture(folder / "poster.webp", pictures[0])
    landmarks, neutral, shapes = landmarks * enlarged, neutral * enlarged, shapes * enlarged
    arrays: dict[str, npt.NDArray[Any]] = {
        "landmarks": landmarks.astype(np.float32),
        "visibility": np.ones((frames, 478), np.bool_),
        "head_rotation": np.stack([0 * phase, 2 * np.sin(phase), 0 * phase], 1).astype(np.float32),
        "neutral_landmarks": neutral,
        "eye_closure": closure.astype(np.float32),
    }
    if blendshapes:
        arrays["blendshapes"] = shapes
    if atlas:
        arrays |= _write_atlas(folder / "mouth.webp", neutral, shapes)
    np.savez(folder / "avatar.npz", **arrays)  # type: ignore[arg-type]
    content = {
        "format": 1,
        "name": folder.name,
        "display_name": {"en": folder.name.title(), "ko": "동그라미"},
        "description": {"en": "A drawn face for tests.", "ko": "시험용으로 그린 얼굴."},
        "license": "CC0-1.0",
        "provenance": "drawn by a program",
        "consent": "nobody",
        "voices": {"espeak": {"en": "en-us", "ko": "ko"}},
        "persona": {"en": "You are an oval."},
    }
    content |= about or {}
    text = json.dumps(content, ensure_ascii=False)
    (folder / "about.json").write_text(text, encoding="utf-8")
    return folder


def neutral_points() -> Floats:
    """The drawn face at rest, (478, 3) float32 in MediaPipe's order."""
    points = np.zeros((478, 3), np.float32)
    # A sunflower spreads the points that no contour names over the face.
    turn = np.arange(478) * 2.399963
    radius = np.sqrt(np.arange(478) / 478)
    points[:, 0] = CENTRE[0] + 62 * radius * np.cos(turn)
    points[:, 1] = CENTRE[1] + 84 * radius * np.sin(turn)
    angle = -np.pi / 2 + 2 * np.pi * np.arange(len(OVAL)) / len(OVAL)
    points[OVAL, 0] = CENTRE[0] + 72 * np.cos(angle)
    points[OVAL, 1] = CENTRE[1] + 96 * np.sin(angle)
    _ring(points, OUTER_LIPS, (128, 200), (26, 9))
    _ring(points, INNER_LIPS, (128, 200), (22, 0.4))
    for side, eye, brow, iris in ((-1, RIGHT_EYE, RIGHT_BROW, 468), (1, LEFT_EYE, LEFT_BROW, 473)):
        x = 128 + side * 30
        _ring(points, eye, (x, 132), (side * 14, 6))
        points[brow[:5], 0] = points[brow[:4:-1], 0] = x + side * np.linspace(16, -14, 5)
        points[brow[:5], 1], points[brow[:4:-1], 1] = 112, 116
        _ring(points, tuple(range(iris + 1, iris + 5)), (x, 132), (5, 5))
        points[iris, :2] = x, 132
    for index, y in NOSE.items():
        points[index, :2] = 128, CENTRE[1] + y
    out = (points[:, 0] - CENTRE[0]) / 72, (points[:, 1] - CENTRE[1]) / 96
    points[:, 2] = -60 * np.sqrt(np.clip(1 - out[0] ** 2 - out[1] ** 2, 0, 1))
    return points


def shape_basis() -> Floats:
    """Displacements (52, 478, 3) of the shapes that the drawn face knows; the rest is zero."""
    points = neutral_points()
    shapes = np.zeros((52, 478, 3), np.float32)
    x, y = points[:, 0] - 128, points[:, 1]
    lower = np.zeros(478, np.float32)
    below = y > 200
    lower[below] = np.clip(1 - np.abs(x[below]) / 90, 0, 1)
    # The lips' lower halves follow the jaw fully at the middle and not at the corners.
    for lips, wide in ((OUTER_LIPS, 26), (INNER_LIPS, 22)):
        lower[list(lips)] = 0
        half = list(lips[11:])
        lower[half] = np.sqrt(np.clip(1 - (x[half] / wide) ** 2, 0, 1))
    shapes[JAW_OPEN, :, 1] = 30 * lower
    mouth = np.exp(-((x / 30) ** 2) - ((y - 200) / 22) ** 2)
    lower_lips = np.zeros(478, np.float32)
    lower_lips[list(OUTER_LIPS[11:] + INNER_LIPS[11:])] = 1
    shapes[MOUTH_CLOSE, :, 1] = -30 * lower * lower_lips
    shapes[PUCKER, :, 0] = -0.4 * x * mouth
    shapes[FUNNEL, :, 0] = -0.3 * x * mouth
    shapes[FUNNEL, :, 1] = 0.5 * (y - 200) * mouth
    for shape, side in ((SMILE_LEFT, 1), (SMILE_RIGHT, -1)):
        near = np.exp(-(((x - side * 26) / 16) ** 2) - ((y - 200) / 16) ** 2)
        shapes[shape, :, 0], shapes[shape, :, 1] = side * 6 * near, -6 * near
    for shape, eye in ((BLINK_RIGHT, RIGHT_EYE), (BLINK_LEFT, LEFT_EYE)):
        upper = list(eye[1:8])
        shapes[shape, upper, 1] = 2 * (132 - y[upper])
    for brow in (LEFT_BROW, RIGHT_BROW):
        shapes[BROW_INNER_UP, list(brow), 1] = -8
    return shapes


def draw(points: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.uint8]:
    """The drawn face with its points there, (HEIGHT, WIDTH, 3) uint8 RGB."""
    rows = np.linspace(0, 1, HEIGHT)[:, None, None]
    picture = np.ascontiguousarray(
        np.broadcast_to(200 - 60 * rows, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    )
    oval = points[list(OVAL), :2]
    _fill(picture, (oval - oval.mean(0)) * (1.12, 1.15) + oval.mean(0) - (0, 14), (70, 50, 40))
    _fill(picture, oval, (225, 180, 150))
    for eye, iris in ((RIGHT_EYE, 468), (LEFT_EYE, 473)):
        white = np.zeros((HEIGHT, WIDTH), np.uint8)
        _fill(white, points[list(eye), :2], 255)
        ball = np.full_like(picture, 240)
        _fill(ball, points[iris + 1 : iris + 5, :2], (60, 40, 30))
        alpha = white[..., None].astype(np.float32) / 255
        picture[:] = (picture * (1 - alpha) + ball * alpha).astype(np.uint8)
        edge = np.round(points[list(eye[:9]), :2] * 16).astype(np.int32)
        cv2.polylines(picture, [edge], False, (60, 40, 35), 2, cv2.LINE_AA, 4)
    for brow in (RIGHT_BROW, LEFT_BROW):
        _fill(picture, points[list(brow), :2], (80, 55, 45))
    nose = np.round(points[[6, 4, 2], :2] * 16).astype(np.int32)
    cv2.polylines(picture, [nose], False, (200, 150, 125), 2, cv2.LINE_AA, 4)
    _fill(picture, points[list(OUTER_LIPS), :2], (185, 80, 85))
    inner = points[list(INNER_LIPS), :2]
    hole = np.zeros((HEIGHT, WIDTH), np.uint8)
    if np.ptp(inner[:, 1]) > 1.5:
        _fill(hole, inner, 255)
    inside = np.full_like(picture, (60, 20, 25))
    inside[: int(inner[:, 1].min()) + 7] = (235, 230, 225)
    alpha = hole[..., None].astype(np.float32) / 255
    picture[:] = (picture * (1 - alpha) + inside * alpha).astype(np.uint8)
    return picture


def _ring(
    points: Floats, indices: tuple[int, ...], centre: tuple[float, float], radii: tuple[float, ...]
) -> None:
    angle = np.pi + 2 * np.pi * np.arange(len(indices)) / len(indices)
    points[list(indices), 0] = centre[0] + radii[0] * np.cos(angle)
    points[list(indices), 1] = centre[1] + radii[1] * np.sin(angle)


def _fill(
    picture: npt.NDArray[np.uint8], points: npt.NDArray[Any], colour: tuple[int, int, int] | int
) -> None:
    corners = np.round(points * 16).astype(np.int32)
    cv2.fillPoly(picture, [corners], colour, cv2.LINE_AA, 4)


def _write_idle(path: Path, pictures: list[npt.NDArray[np.uint8]]) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "16", "bf": "0"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.time_base = Fraction(1, 25)
        for index, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def _write_picture(path: Path, picture: npt.NDArray[np.uint8]) -> None:
    _, data = cv2.imencode(".webp", picture[..., ::-1], [cv2.IMWRITE_WEBP_QUALITY, 92])
    path.write_bytes(data.tobytes())


def _write_atlas(path: Path, neutral: Floats, shapes: Floats) -> dict[str, npt.NDArray[Any]]:
    weights = np.zeros((len(ATLAS), 52), np.float32)
    for row, shape in zip(weights, ATLAS.values(), strict=True):
        for index, weight in shape.items():
            row[index] = weight
    landmarks = (neutral + np.einsum("ks,spc->kpc", weights, shapes)).astype(np.float32)
    left, top, width, height = 78, 172, 100, 76
    patches = [draw(points)[top : top + height, left : left + width] for points in landmarks]
    _write_picture(path, np.concatenate(patches))
    return {
        "atlas_names": np.array(list(ATLAS)),
        "atlas_weights": weights,
        "atlas_landmarks": landmarks,
        "atlas_box": np.array([left, top, width, height], np.float32),
    }
