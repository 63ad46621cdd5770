"""Make an avatar pack for the puppet out of a photo or a film.

`register_face` and `check_face` are run by a guarded child process: see `face.register.guarded`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from ditto_avatar.errors import InvalidImage
from ditto_avatar.face import matting
from ditto_avatar.face.cutting import face_box, make_cutout, write_cutout
from ditto_avatar.face.pack import load_avatar
from ditto_avatar.face.puppet.made_atlas import atlas_of, shut_frame
from ditto_avatar.face.puppet.model import calibrated
from ditto_avatar.face.register.checks import Examined, examine
from ditto_avatar.face.register.film import read_film
from ditto_avatar.face.register.idle_film import write_idle
from ditto_avatar.face.register.idle_loop import make_idle
from ditto_avatar.face.register.shapes import fitted_shapes
from ditto_avatar.face.register.still import prepare_still
from ditto_avatar.face.register.tracker import FaceTracker, head_rotations
from ditto_avatar.face.register.writing import (
    Terms,
    write_about,
    write_arrays,
    write_atlas,
    write_poster,
)
from ditto_avatar.media.images import is_still, read_picture
from ditto_avatar.types import ByteArray, FloatArray

MAX_PHOTO_BYTES: Final = 40 * 1024 * 1024
_LONGEST_SIDE_PX: Final = 3_000

Progress = Callable[[str, int, int], None]


def read_photo(path: Path) -> ByteArray:
    """Return the photo at `path`, RGB as `read_picture` gives it, at most 3,000 px long. Raises
    `InvalidImage`."""
    if path.stat().st_size > MAX_PHOTO_BYTES:
        raise InvalidImage(f"The photo is larger than {MAX_PHOTO_BYTES >> 20} MB.")
    found = read_picture(path)
    shrink = _LONGEST_SIDE_PX / max(found.shape[:2])
    if shrink < 1:
        smaller = cv2.resize(found, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
        return np.asarray(smaller, np.uint8)
    return found


def require_usable(found: Examined) -> FloatArray:
    """Return the points of the face. Raises `InvalidImage` with everything that blocks it."""
    if found.face is None or found.blocking:
        raise InvalidImage(" ".join(finding.text() for finding in found.blocking))
    return found.face.points


@dataclass(frozen=True, slots=True)
class PuppetFace:
    """What the puppet draws a face with: the points (n, 478, 3) of its loop and how far the eyes
    are shut (n, 2); the points at rest; a picture (h, w, 3) RGB with shut lips and its points, for
    the mouth; the colour (3,) of the own teeth, if they were seen."""

    points: FloatArray
    closure: FloatArray
    neutral: FloatArray
    shut: ByteArray
    shut_points: FloatArray
    white: FloatArray | None = None


def write_puppet(folder: Path, face: PuppetFace) -> None:
    """Write what the puppet needs into the pack in `folder`, beside its loop: points, shapes and a
    mouth that fit the face."""
    shapes = fitted_shapes(face.neutral)
    atlas = atlas_of(face.shut, face.shut_points, face.neutral, calibrated(shapes), face.white)
    write_atlas(folder / "mouth.webp", atlas.patches())
    write_arrays(
        folder,
        face.points,
        head_rotations(face.points, face.neutral),
        face.neutral,
        eye_closure=face.closure,
        blendshapes=shapes,
        atlas_names=np.array(atlas.names),
        atlas_weights=atlas.weights,
        atlas_landmarks=atlas.landmarks,
        atlas_box=np.array(atlas.box, np.float32),
    )


@dataclass(frozen=True, slots=True)
class _Loop:
    """I420 pictures of a loop, to be taken once, and the face in it."""

    pictures: Iterable[ByteArray]
    face: PuppetFace
    moved: Callable[[FloatArray], Iterable[FloatArray]] | None = None
    """Moves a plane (h, w) of a photo as each picture of the loop moves; of a film there is none.
    """


def make_pack(
    path: Path,
    folder: Path,
    source: str,
    terms: Terms,
    progress: Progress,
    *,
    cutout: bool = False,
) -> None:
    """Fill the empty `folder` with the pack of the face in the photo or film at `path`, which its
    owner calls `source`; with a `cutout`, so that it can be shown before another background. Raises
    `InvalidImage`. Blocks for seconds."""
    tracker = FaceTracker()
    progress("face", 0, 1)
    loop = (_of_photo if is_still(path) else _of_film)(path, tracker, progress)
    write_idle(folder / "idle.mp4", loop.pictures)
    progress("mouth", 0, 1)
    write_poster(folder / "poster.webp", loop.face.shut)
    write_about(folder, source, terms)
    write_puppet(folder, loop.face)
    if cutout:
        progress("cutout", 0, 1)
        _cut_out(folder, loop)


def _cut_out(folder: Path, loop: _Loop) -> None:
    avatar = load_avatar(folder)
    if loop.moved is None:
        make_cutout(avatar)
        return
    # The background of a photo moves a little with the head: the photo itself is cut out, and the
    # opacity moved along.
    plate, opacity = matting.cut_out(loop.face.shut, face_box(loop.face.shut_points))
    write_cutout(avatar, plate.backdrop, loop.moved(opacity))


def _of_photo(path: Path, tracker: FaceTracker, progress: Progress) -> _Loop:
    photo = read_photo(path)
    still = prepare_still(photo, require_usable(examine(photo, tracker)))
    loop = make_idle(still, lambda done, total: progress("idle", done, total))
    face = PuppetFace(
        loop.points, loop.closure, still.points, still.picture, still.points, still.white
    )
    return _Loop(loop.pictures, face, loop.moved)


def _of_film(path: Path, tracker: FaceTracker, progress: Progress) -> _Loop:
    film = read_film(path, tracker, lambda done, total: progress("face", done, total))
    return _Loop(film.pictures, face_of_film(film.pictures, film.points, film.closure))


def face_of_film(
    pictures: Sequence[ByteArray], points: FloatArray, closure: FloatArray
) -> PuppetFace:
    """Return the face in the I420 `pictures` of a loop with these points (n, 478, 3) and eyes
    (n, 2): at rest where it is most as usual, its lips shut where they are shut best."""
    away = np.abs(points - np.median(points, axis=0)).mean(axis=(1, 2))
    neutral = points[int(np.argmin(away + 50 * closure.max(axis=1)))]
    shut = shut_frame(points)
    picture = np.asarray(cv2.cvtColor(pictures[shut], cv2.COLOR_YUV2RGB_I420), np.uint8)
    return PuppetFace(points, closure, neutral, picture, points[shut])
