"""From the channels of the mouth to ARKit's shapes."""

from __future__ import annotations

from typing import Final

import numpy as np

from ditto_avatar.face.puppet.arkit import INDEX, SHAPES, indices
from ditto_avatar.face.puppet.visemes import CHANNELS, Channel
from ditto_avatar.types import FloatArray

# What each channel does at 1; jaw and lips are joined further below.
_TABLE: Final[dict[Channel, dict[str, float]]] = {
    Channel.JAW: {"jawOpen": 0.72, "mouthLowerDown": 0.1},
    Channel.CLOSE: {"mouthRollLower": 0.22, "mouthRollUpper": 0.18, "mouthShrugLower": 0.12},
    Channel.BITE: {"mouthRollLower": 0.55, "mouthUpperUp": 0.45, "mouthShrugLower": 0.1},
    Channel.ROUND: {"mouthPucker": 0.75, "mouthFunnel": 0.2},
    Channel.FUNNEL: {"mouthFunnel": 0.6, "mouthPucker": 0.15},
    Channel.WIDE: {"mouthStretch": 0.3, "mouthSmile": 0.22, "mouthDimple": 0.08},
    Channel.TONGUE: {"tongueOut": 0.4, "mouthLowerDown": 0.12, "mouthUpperUp": 0.1},
    Channel.LIFT: {"mouthUpperUp": 0.35, "mouthLowerDown": 0.25},
}


def _matrix() -> FloatArray:
    matrix = np.zeros((CHANNELS, len(SHAPES)), np.float32)
    for channel, shapes in _TABLE.items():
        for name, weight in shapes.items():
            matrix[channel, list(indices(name))] = weight
    return matrix


_MATRIX: Final = _matrix()
# How much of a small opening of the jaw is shown.
_SHUT_JAW: Final = np.float32(0.35)
_JAW_OPEN: Final = INDEX["jawOpen"]
_MOUTH_CLOSE: Final = INDEX["mouthClose"]
# Shapes that part the lips without the jaw; pressed lips take them back.
_OPENERS: Final = [
    *indices("mouthLowerDown"),
    *indices("mouthUpperUp"),
    *indices("mouthFunnel"),
    *indices("tongueOut"),
]
# Shapes that draw the corners apart; rounded lips take most of them back.
_STRETCHERS: Final = [
    *indices("mouthSmile"),
    *indices("mouthStretch"),
    *indices("mouthDimple"),
]
_TAKEN_BACK: Final = 0.65


def beside_speech(face: FloatArray, channels: FloatArray) -> FloatArray:
    """What is left of an emotion's weights `face` (52,) while the mouth speaks: a smile does not
    keep lips from closing or from rounding."""
    left = face.copy()
    left[_OPENERS] *= 1 - max(channels[Channel.CLOSE], channels[Channel.BITE])
    rounded = max(channels[Channel.ROUND], channels[Channel.FUNNEL])
    left[_STRETCHERS] *= 1 - np.float32(_TAKEN_BACK) * rounded
    return left


def arkit_weights(channels: FloatArray) -> FloatArray:
    """ARKit weights (52,) of the channels (8,)."""
    shut = np.maximum(channels[Channel.CLOSE], channels[Channel.BITE])
    eased = channels.copy()
    # Lips meet more easily over a jaw that comes to meet them, and do not pull apart meanwhile.
    eased[Channel.JAW] *= 1 - np.float32(0.55) * shut
    # Lips part a little with the first movement of the jaw; consonants keep it small.
    eased[Channel.JAW] *= _SHUT_JAW + (1 - _SHUT_JAW) * eased[Channel.JAW]
    weights = eased @ _MATRIX
    openers = weights[_OPENERS] * (1 - channels[Channel.CLOSE])
    weights[_OPENERS] = openers
    # ARKit's mouthClose undoes jawOpen of the same weight at the lips.
    weights[_MOUTH_CLOSE] = weights[_JAW_OPEN] * np.maximum(
        channels[Channel.CLOSE], np.float32(0.75) * channels[Channel.BITE]
    )
    result: FloatArray = np.minimum(weights, 1)
    return result
