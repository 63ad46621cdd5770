"""The 52 face shapes, in the order of Apple's Live Link Face columns."""

from __future__ import annotations

SHAPES: tuple[str, ...] = (
    *(f"eye{what}Left" for what in ("Blink", "LookDown", "LookIn", "LookOut", "LookUp")),
    *("eyeSquintLeft", "eyeWideLeft"),
    *(f"eye{what}Right" for what in ("Blink", "LookDown", "LookIn", "LookOut", "LookUp")),
    *("eyeSquintRight", "eyeWideRight"),
    *("jawForward", "jawLeft", "jawRight", "jawOpen"),
    *("mouthClose", "mouthFunnel", "mouthPucker", "mouthLeft", "mouthRight"),
    *("mouthSmileLeft", "mouthSmileRight", "mouthFrownLeft", "mouthFrownRight"),
    *("mouthDimpleLeft", "mouthDimpleRight", "mouthStretchLeft", "mouthStretchRight"),
    *("mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper"),
    *("mouthPressLeft", "mouthPressRight", "mouthLowerDownLeft", "mouthLowerDownRight"),
    *("mouthUpperUpLeft", "mouthUpperUpRight"),
    *("browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight"),
    *("cheekPuff", "cheekSquintLeft", "cheekSquintRight"),
    *("noseSneerLeft", "noseSneerRight", "tongueOut"),
)

INDEX = {name: index for index, name in enumerate(SHAPES)}

Expression = dict[str, float]
"""Weights by shape; `mouthSmile` without a side means both sides."""


def weights(expression: Expression) -> list[float]:
    """The 52 weights of an expression. Raises KeyError for an unknown shape."""
    row = [0.0] * len(SHAPES)
    for name, weight in expression.items():
        for shape in (name,) if name in INDEX else (f"{name}Left", f"{name}Right"):
            row[INDEX[shape]] += weight
    return row
