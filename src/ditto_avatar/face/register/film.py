"""A film made ready: its face tracked, and the best quiet stretch of it found."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from ditto_avatar.errors import InvalidImage
from ditto_avatar.face.puppet import landmarks as lm
from ditto_avatar.face.register.checks import (
    SMALLEST_FACE_PX,
    TEETH_SHOW,
    crowded,
    head_pose,
    lip_gap,
)
from ditto_avatar.face.register.looping import loop_of
from ditto_avatar.face.register.still import cut_around
from ditto_avatar.face.register.tracker import FaceTracker, eye_closures, smoothed
from ditto_avatar.face.register.writing import i420
from ditto_avatar.media.films import read_film as read_pictures
from ditto_avatar.media.films import steady
from ditto_avatar.types import FRAME_RATE_HZ, ByteArray, FloatArray

MOST_FRAMES: Final = 40 * FRAME_RATE_HZ
# A stretch that is played forwards and back makes a loop twice as long.
_LONGEST: Final = 8 * FRAME_RATE_HZ
_SHORTEST: Final = FRAME_RATE_HZ
_LONGEST_SIDE_PX: Final = 1_920
_MOST_TURN_DEG: Final = 20
# A frame in which the face is lost is made up from its neighbours, up to this many in a row.
_MOST_LOST: Final = 3
# Every so many frames other faces are looked for; a film with some in more than this share of them
# is refused.
_LOOK_AROUND: Final = FRAME_RATE_HZ
_MOST_CROWDED: Final = 0.3

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class QuietFilm:
    """I420 pictures of a loop at 25 a second, their points (n, 478, 3), and how far the
    eyes are shut (n, 2)."""

    pictures: list[ByteArray]
    points: FloatArray
    closure: FloatArray


def read_film(path: Path, tracker: FaceTracker, progress: Progress) -> QuietFilm:
    """Return the quiet loop in the film at `path`. Raises `InvalidImage`, with the reason, where
    there is none. Blocks for seconds."""
    tracked: list[FloatArray | None] = []
    crowds: list[bool] = []
    last, width, height = None, 0, 0
    for picture in _frames(path):
        height, width = picture.shape[:2]
        if len(tracked) % _LOOK_AROUND == 0:
            crowds.append(crowded(tracker.detect(picture)))
        face = tracker.track(picture, last)
        last = None if face is None else face.points
        tracked.append(last)
        progress(len(tracked), MOST_FRAMES)
    # Whom the points would follow is chance; somebody who walks by is none too many.
    if crowds and np.mean(crowds) > _MOST_CROWDED:
        raise InvalidImage(
            "The film cannot be used: there is more than one face in it. Be alone in the picture."
        )
    points, seen = _filled(tracked)
    first, end = quiet_stretch(points, seen)
    steady = smoothed(points[first:end])
    cut = cut_around(np.median(steady, axis=0), width, height)
    chosen = [
        i420(cut.picture(picture))
        for index, picture in enumerate(_frames(path))
        if first <= index < end
    ]
    loop = loop_of(cut.points(steady), eye_closures(points)[first:end])
    return QuietFilm(loop.mix(chosen), loop.points, loop.closure)


def quiet_stretch(points: FloatArray, seen: FloatArray) -> tuple[int, int]:
    """Return first and end of the longest stretch in which the person is silent and looks ahead.
    `points` (n, 478, 3), `seen` (n,) is 0 where the face was lost. Raises `InvalidImage`."""
    facing = np.array([np.abs(head_pose(p)[:2]).max() < _MOST_TURN_DEG for p in points])
    silent = np.array([lip_gap(p) < TEETH_SHOW for p in points])
    good = (seen > 0) & facing & silent
    first, end = _longest(good)
    if end - first >= _SHORTEST:
        return first, min(end, first + _LONGEST)
    if len(points) < _SHORTEST:
        reason = "it is shorter than a second"
    elif _longest((seen > 0) & facing)[1] - _longest((seen > 0) & facing)[0] < _SHORTEST:
        reason = "the head is turned away all the time"
    else:
        reason = "the person talks or shows their teeth all the time"
    raise InvalidImage(
        f"The film cannot be used: {reason}. Look into the camera for some seconds with your lips "
        "closed; blink as you like."
    )


def _longest(good: FloatArray) -> tuple[int, int]:
    best, begin = (0, 0), None
    for index, fine in enumerate([*good, False]):
        if fine and begin is None:
            begin = index
        elif not fine and begin is not None:
            if index - begin > best[1] - best[0]:
                best = (begin, index)
            begin = None
    return best


def _filled(tracked: list[FloatArray | None]) -> tuple[FloatArray, FloatArray]:
    """Points (n, 478, 3) of every frame, and whether they were seen (n,) or lie close to a frame
    in which they were. Raises `InvalidImage` where there is no face at all."""
    known = [index for index, points in enumerate(tracked) if points is not None]
    if not known:
        raise InvalidImage("The film cannot be used: no face was found in it.")
    found = np.stack([points for points in tracked if points is not None])
    oval = found[:, list(lm.FACE_OVAL), 0]
    if np.median(np.ptp(oval, axis=1)) < SMALLEST_FACE_PX:
        raise InvalidImage("The film cannot be used: the face is too small. Come closer.")
    every = np.arange(len(tracked))
    flat = found.reshape(len(known), -1)
    after = np.clip(np.searchsorted(known, every), 0, len(known) - 1)
    before = np.clip(after - 1, 0, len(known) - 1)
    left, right = np.array(known)[before], np.array(known)[after]
    share = np.clip((every - left) / np.maximum(right - left, 1), 0, 1)[:, None]
    points = flat[before] * (1 - share) + flat[after] * share
    near = np.minimum(np.abs(every - left), np.abs(every - right)) <= _MOST_LOST
    return points.reshape(-1, 478, 3).astype(np.float32), near.astype(np.float32)


def _frames(path: Path) -> Iterator[ByteArray]:
    """The frames at 25 a second, upright and at most 1,920 px long, RGB, the first 40 seconds."""
    fitted = ((at, lasts, _fitted(picture)) for at, lasts, picture in read_pictures(path))
    return islice(steady(fitted), MOST_FRAMES)


def _fitted(picture: ByteArray) -> ByteArray:
    shrink = _LONGEST_SIDE_PX / max(picture.shape[:2])
    if shrink >= 1:
        return picture
    return np.asarray(
        cv2.resize(picture, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA), np.uint8
    )
