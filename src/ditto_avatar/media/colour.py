"""Define the colours of all pictures: BT.601 in limited range, as the idle loops carry it."""

from __future__ import annotations

from typing import Any

RGB_TO_YUV = ((65.481, 128.553, 24.966), (-37.797, -74.203, 112.0), (112.0, -93.786, -18.214))
"""Rows Y, U, V for red, green and blue from 0 to 1 (ITU-R BT.601)."""
YUV_OFFSET = (16.0, 128.0, 128.0)

# How ITU-T H.273 numbers them.
_BT601, _LIMITED = 6, 1


def tag_colours(codec: Any) -> None:
    """Write these colours into the stream of a video codec's context, so that players need not
    guess."""
    codec.colorspace = codec.color_primaries = codec.color_trc = _BT601
    codec.color_range = _LIMITED
