"""Keep the skin beside the lips apart from them: where it is narrow, the shapes of an average face
would push the lip over it, and the drawn lip would be folded."""

from __future__ import annotations

from typing import Final

from ditto_avatar.face.puppet.arkit import INDEX
from ditto_avatar.types import FloatArray

# Points of the lips' outer edges, each with the next one of the skin below or above it.
_LOWER: Final = ((17, 18), (84, 83), (314, 313), (181, 182), (405, 406), (91, 106), (321, 335))
_UPPER: Final = ((0, 164), (37, 167), (267, 393), (39, 165), (269, 391), (40, 92), (270, 322))
# How much of the skin between them each shape may take up at weight 1, so that what is said with
# all three at once leaves some.
_MOST: Final = {"jawOpen": 0.6, "mouthPucker": 0.4, "mouthFunnel": 0.4}


def keep_apart(neutral: FloatArray, shapes: FloatArray) -> None:
    """Move points of the skin in `shapes` (52, 478, 3), in place, where the lips of the face at
    rest at `neutral` (478, 3) would come too close."""
    for down, pairs in ((1, _LOWER), (-1, _UPPER)):
        lip, skin = (list(points) for points in zip(*pairs, strict=True))
        between = down * (neutral[skin, 1] - neutral[lip, 1])
        for name, share in _MOST.items():
            shape = shapes[INDEX[name]]
            taken = down * (shape[lip, 1] - shape[skin, 1])
            shape[skin, 1] += down * (taken - share * between).clip(min=0)
