"""Adds a presenter's loop without the backdrop to its pack, by the alpha that was drawn."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from ditto_avatar.face.cutting import write_cutout
from ditto_avatar.face.pack import load_avatar
from studio import backdrop
from studio.characters import Character

Alpha = npt.NDArray[np.float32]


def add_cutout(character: Character, pictures: Path, folder: Path) -> None:
    """Write ``cutout.mp4`` into the pack in `folder`, with the alpha of ``alpha_0000.png``… in
    `pictures` and the colours of the pack's loop."""
    avatar = load_avatar(folder)
    behind = backdrop.paint(character.backdrop, character.seed).astype(np.float32)
    write_cutout(avatar, behind, _opacities(pictures, avatar.frame_count))


def _opacities(pictures: Path, count: int) -> Iterator[Alpha]:
    """The alpha of each frame; where none was drawn, the mean of those before and after it."""
    drawn = {int(path.stem[-4:]): path for path in pictures.glob("alpha_*.png")}
    for index in range(count):
        near = [index] if index in drawn else [(index - 1) % count, (index + 1) % count]
        yield np.mean([read_alpha(drawn[at]) for at in near], axis=0, dtype=np.float32)


def read_alpha(path: Path) -> Alpha:
    """The alpha of a picture, (h, w) from 0 to 1. Raises ValueError for one without alpha."""
    picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if picture is None or picture.ndim != 3 or picture.shape[2] != 4:
        raise ValueError(f"{path} is no picture with alpha")
    return np.asarray(picture[..., 3], np.float32) / np.float32(255)
