"""The contours of MediaPipe's face mesh that the puppet needs, by point index."""

from __future__ import annotations

from typing import Final

import numpy as np

FACE_OVAL: Final = (
    *(10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377),
    *(152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109),
)
# From the right corner (on the left of the picture) over the upper lip and back below.
OUTER_LIPS: Final = (
    *(61, 185, 40, 39, 37, 0, 267, 269, 270, 409),
    *(291, 375, 321, 405, 314, 17, 84, 181, 91, 146),
)
INNER_LIPS: Final = (
    *(78, 191, 80, 81, 82, 13, 312, 311, 310, 415),
    *(308, 324, 318, 402, 317, 14, 87, 178, 88, 95),
)
LIPS: Final = OUTER_LIPS + INNER_LIPS
# Pairs across the opening, upper and lower.
GAPS: Final = ((81, 178), (82, 87), (13, 14), (312, 317), (311, 402))

RIGHT_EYE: Final = (33, 246, 161, 160, 159, 158, 157, 173, 133, 155, 154, 153, 145, 144, 163, 7)
LEFT_EYE: Final = (263, 466, 388, 387, 386, 385, 384, 398, 362, 382, 381, 380, 374, 373, 390, 249)
IRISES: Final = tuple(range(468, 478))
RIGHT_EYE_OUTER: Final = 33
LEFT_EYE_OUTER: Final = 263
CHIN: Final = 152
NOSE_BASE: Final = 2
NOSE_BRIDGE: Final = 168

# Points that hardly move with the face's expression: they tell where the head is.
RIGID: Final = np.array(
    [
        *(10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 127, 234, 93, 162, 21, 54, 103, 67, 109),
        *(168, 6, 197, 195, 5, 4, 1, 33, 133, 362, 263, 151, 9, 8),
    ]
)
