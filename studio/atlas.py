"""The mouth atlas: which shapes are drawn, and where in the picture."""

from __future__ import annotations

import numpy as np

from studio.arkit import Expression, weights
from studio.figure import Pose
from studio.kit import Points

JAWS = (0, 20, 45, 70, 100)
SCALE = 1.5
"""Pixels of a patch per pixel of the frame."""

LIPS: dict[str, Expression] = {
    "neutral": {},
    "wide": {"mouthStretch": 0.3, "mouthSmile": 0.25, "mouthUpperUp": 0.2, "mouthLowerDown": 0.25},
    "round": {"mouthPucker": 0.7, "mouthFunnel": 0.15},
    "funnel": {"mouthFunnel": 0.6, "mouthPucker": 0.2},
}

SHAPES: dict[str, Expression] = {
    "rest": {},
    **{
        f"jaw{jaw:02d}_{lips}": {"jawOpen": jaw / 100, **shape}
        for jaw in JAWS
        for lips, shape in LIPS.items()
    },
    "closed": {"mouthRollLower": 0.22, "mouthRollUpper": 0.18, "mouthShrugLower": 0.12},
    "fv": {"jawOpen": 0.05, "mouthRollLower": 0.55, "mouthUpperUp": 0.5, "mouthShrugLower": 0.1},
    "ln": {"jawOpen": 0.22, "mouthLowerDown": 0.2, "mouthUpperUp": 0.2},
    "th": {"jawOpen": 0.16, "mouthLowerDown": 0.25, "mouthUpperUp": 0.25, "tongueOut": 0.4},
    "ch": {"jawOpen": 0.06, "mouthFunnel": 0.5, "mouthUpperUp": 0.25, "mouthLowerDown": 0.3},
    "ss": {"jawOpen": 0.04, "mouthStretch": 0.25, "mouthUpperUp": 0.3, "mouthLowerDown": 0.45},
    "smile": {"mouthSmile": 0.5, "cheekSquint": 0.2},
    "smile_open": {"mouthSmile": 0.55, "mouthUpperUp": 0.3, "jawOpen": 0.14, "cheekSquint": 0.2},
}

TONGUE_UP = {"ln": 1.0}
"""Patches whose tongue comes up behind the upper teeth."""


def pose(name: str) -> Pose:
    """The pose of a patch."""
    return Pose(tuple(weights(SHAPES[name])), tongue_up=TONGUE_UP.get(name, 0.0))


def box(neutral: Points, shapes: Points) -> tuple[float, float, float, float]:
    """x, y, width, height of the patches in the neutral frame: nose to chin of every shape (k,
    478, 3), cheek to cheek; sizes are whole patches' pixels."""
    corners = neutral[[61, 291], 0]
    middle = corners.mean()
    half = 1.05 * abs(corners[1] - corners[0])
    top = neutral[[5, 2], 1].mean()
    bottom = shapes[:, 152, 1].max() + 8
    width = 8 * np.ceil(2 * half / 8)
    height = 8 * np.ceil((bottom - top) / 8)
    return float(round(middle - width / 2)), float(round(top)), float(width), float(height)
