"""Turn a frame of a film into the picture that a player shows: upright, and in plain colours."""

from __future__ import annotations

from functools import cache
from typing import Final, cast

import av
import cv2
import numpy as np

from ditto_avatar.types import ByteArray, FloatArray

# How ITU-T H.273 numbers the curves and matrices of high dynamic range.
_PQ, _HLG, _BT2020 = 16, 18, 9
# Nits of diffuse white, and the peak of a display for which HLG is defined (ITU-R BT.2408, 2100).
_WHITE_NITS: Final = 203.0
_HLG_PEAK_NITS: Final = 1_000.0
_HLG_GAMMA: Final = 1.2
# Above this share of white, highlights are bent so that the brightest of a mastering display,
# `_PEAK` times white, just reaches white.
_KNEE: Final = 0.7
_PEAK: Final = 1_000.0 / _WHITE_NITS
# Linear BT.2020 to BT.709 (ITU-R BT.2087).
_TO_BT709: Final = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]],
    np.float32,
)


def upright(frame: av.VideoFrame) -> ByteArray:
    """Return `frame` as RGB (h, w, 3), turned and mirrored as its film asks, and with its range
    made that of a usual screen."""
    transfer = int(frame.color_trc or 0)
    if transfer in (_PQ, _HLG):
        picture = _standard_range(frame, transfer)
    else:
        picture = np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
    return np.ascontiguousarray(_turned(picture, frame))


def _turned(picture: ByteArray, frame: av.VideoFrame) -> ByteArray:
    """Apply the display matrix: columns (a, c) and (b, d) say where right and down go."""
    if (side := frame.side_data.get("DISPLAYMATRIX")) is None:
        return picture
    a, b, _, c, d = np.frombuffer(cast(bytes, side), np.int32)[:5].astype(float)
    across = abs(b) > abs(a)
    if across:
        picture = picture.transpose(1, 0, 2)
    if (c if across else a) < 0:
        picture = picture[:, ::-1]
    if (b if across else d) < 0:
        picture = picture[::-1]
    return picture


def _standard_range(frame: av.VideoFrame, transfer: int) -> ByteArray:
    deep = frame.to_ndarray(format="rgb48le", src_colorspace=_BT2020)
    light = _light(transfer)[deep]  # linear, 1 is diffuse white
    if transfer == _HLG:
        # The opto-optical transfer of BT.2100: brighter scenes gain contrast.
        luma = light @ np.array([0.2627, 0.6780, 0.0593], np.float32)
        light = light * (np.maximum(luma, 1e-6) ** (_HLG_GAMMA - 1))[..., None]
        light = light * np.float32(_HLG_PEAK_NITS / _WHITE_NITS)
    light = np.maximum(cv2.transform(np.ascontiguousarray(light), _TO_BT709), 0)
    brightest = light.max(axis=2, keepdims=True)
    light = light * (_bent(brightest) / np.maximum(brightest, 1e-6))
    return np.asarray(_encoded(light) * 255 + 0.5, np.uint8)


def _bent(light: FloatArray) -> FloatArray:
    """Keep what is below the knee; above it, a curve with the same slope ends in 1 at the peak
    (Reinhard et al. 2002, equation 4, from the knee on)."""
    room = 1 - _KNEE
    over = np.maximum(light - _KNEE, 0) / room
    peak = (_PEAK - _KNEE) / room
    bent = over * (1 + over / peak**2) / (1 + over)
    return np.minimum(np.where(light > _KNEE, _KNEE + room * bent, light), 1).astype(np.float32)


def _encoded(light: FloatArray) -> FloatArray:
    """The curve of sRGB (IEC 61966-2-1)."""
    high = 1.055 * np.clip(light, 0.0031308, 1) ** (1 / 2.4) - 0.055
    return np.where(light <= 0.0031308, 12.92 * light, high).astype(np.float32)


@cache
def _light(transfer: int) -> FloatArray:
    """Linear light of each of 65,536 values. PQ: in white; HLG: of the scene, 0 to 1 (both ITU-R
    BT.2100)."""
    signal = np.arange(65_536, dtype=np.float64) / 65_535
    if transfer == _PQ:
        m1, m2, c1, c2, c3 = 0.1593017578125, 78.84375, 0.8359375, 18.8515625, 18.6875
        power = signal ** (1 / m2)
        nits = 10_000 * (np.maximum(power - c1, 0) / (c2 - c3 * power)) ** (1 / m1)
        return (nits / _WHITE_NITS).astype(np.float32)
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)
    return scene.astype(np.float32)
