"""What Ditto knows of an avatar: computed once, kept in its pack.

The file is ``features/ditto.npz``; its keys begin with ``ditto.<weights key>.``, so that features
of other weights are never mistaken for these, and the pack's fingerprint lies beside them, so that
neither are those of other pictures.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ditto_avatar.errors import InvalidAvatar
from ditto_avatar.face.arrays_file import ArraysFile
from ditto_avatar.face.avatar import Avatar
from ditto_avatar.face.ditto.layout import SourceMotion
from ditto_avatar.face.ditto.models import DittoModels
from ditto_avatar.face.ditto.source import SourceFrame, read_faces, source_motion
from ditto_avatar.files import write_whole
from ditto_avatar.types import ByteArray, FloatArray

log = logging.getLogger(__name__)

FEATURES_FILE = "ditto.npz"


@dataclass(frozen=True, slots=True)
class Registration:
    """A registered avatar of `n` idle frames.

    `motion` is that of the idle frames, `matrices` (n, 3, 3) lead from the crop to the picture.
    For an avatar made from a still picture, `still` (h, w, 3) is that picture: every frame is
    drawn from it, `anchor` (265,) is its motion and `keypoints` (21, 3) its keypoints in space.
    """

    motion: SourceMotion
    matrices: FloatArray
    anchor: FloatArray
    still: ByteArray | None = None
    keypoints: FloatArray | None = None


def register(
    pictures: Sequence[ByteArray], models: DittoModels, name: str
) -> tuple[Registration, list[SourceFrame]]:
    """Registers the frames (h, w, 3) RGB of a video. Blocks. Raises `InvalidImage`."""
    frames = read_faces(models.reader, pictures, name)
    motion = source_motion(frames, models.runners.motion, models.runners.device)
    motion = motion.smoothed(models.config.smooth_source)
    matrices = np.stack([frame.matrix for frame in frames])
    return Registration(motion, matrices, motion.rows[0]), frames


def idle_pictures(avatar: Avatar) -> list[ByteArray]:
    """The idle loop as RGB (h, w, 3). Blocks while decoding."""
    return [rgb(frame) for frame in avatar.idle_frames]


def rgb(yuv: ByteArray) -> ByteArray:
    """An I420 picture as RGB (h, w, 3)."""
    return np.asarray(cv2.cvtColor(yuv, cv2.COLOR_YUV2RGB_I420), np.uint8)


def registered(avatar: Avatar, models: DittoModels) -> Registration:
    """The avatar's registration: from its pack, or computed and put there. Blocks.

    Raises `InvalidImage` where the idle loop does not show one whole face."""
    path = avatar.features_folder / FEATURES_FILE
    found = load_registration(path, models.key, avatar.fingerprint)
    if found is not None and len(found.motion) == avatar.frame_count:
        return found
    log.info("Registering %s for Ditto: %d frames.", avatar.name, avatar.frame_count)
    registration, _ = register(idle_pictures(avatar), models, f"avatar {avatar.name}")
    try:
        save_registration(path, models.key, avatar.fingerprint, registration)
    except OSError as error:
        log.warning("The registration of %s is kept in memory only: %s.", avatar.name, error)
    return registration


def save_registration(path: Path, key: str, fingerprint: str, registration: Registration) -> None:
    """Writes the file whole or not at all; features of other weights in it are kept.
    `fingerprint` is the pack's."""
    motion = registration.motion
    arrays: dict[str, npt.NDArray[Any]] = {
        "rows": motion.rows,
        "keypoints": motion.keypoints,
        "eye_open": motion.eye_open,
        "eye_ball": motion.eye_ball,
        "canonical": motion.canonical,
        "matrices": registration.matrices,
        "anchor": registration.anchor,
        "fingerprint": np.array(fingerprint),
    }
    if registration.still is not None and registration.keypoints is not None:
        arrays |= {"still": registration.still, "still_keypoints": registration.keypoints}
    content = _read_arrays(path)
    prefix = f"ditto.{key}."
    content = {name: value for name, value in content.items() if not name.startswith(prefix)}
    content |= {prefix + name: value for name, value in arrays.items()}

    def write(unfinished: Path) -> None:
        with unfinished.open("wb") as file:
            np.savez(file, **content)  # type: ignore[arg-type]

    write_whole(path, write)


def load_registration(path: Path, key: str, fingerprint: str) -> Registration | None:
    """The registration made with these weights of the pack with this fingerprint, or None where
    there is none that can be read."""
    prefix = f"ditto.{key}."
    arrays = {
        name.removeprefix(prefix): value
        for name, value in _read_arrays(path).items()
        if name.startswith(prefix)
    }
    if not arrays or str(arrays.get("fingerprint")) != fingerprint:
        return None
    try:
        motion = SourceMotion(
            *(arrays[name] for name in ("rows", "keypoints", "eye_open", "eye_ball", "canonical"))
        )
        return Registration(
            motion,
            arrays["matrices"],
            arrays["anchor"],
            arrays.get("still"),
            arrays.get("still_keypoints"),
        )
    except KeyError as error:
        log.warning("%s lacks %s and is computed again.", path, error)
        return None


def _read_arrays(path: Path) -> dict[str, npt.NDArray[Any]]:
    """Everything in a file of features; nothing where it is missing or damaged."""
    if not path.is_file():
        return {}
    try:
        with ArraysFile(path) as file:
            return {key: file.raw(key) for key in file.keys}
    except InvalidAvatar as error:
        log.warning("%s cannot be read and is computed again: %s.", path, error)
        return {}
