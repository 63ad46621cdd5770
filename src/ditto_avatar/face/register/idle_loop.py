"""An idle loop out of a still face: it sways, breathes and blinks, and ends where it began."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

import cv2
import numpy as np

from ditto_avatar.face.puppet import landmarks as lm
from ditto_avatar.face.puppet.fields import Grid, enlarge, floats, grid_over, interpolate
from ditto_avatar.face.puppet.planes import Planes, pixel_mesh, planes_of
from ditto_avatar.face.register.eyelids import Eyelids
from ditto_avatar.face.register.gaze import gazes, look
from ditto_avatar.face.register.still import Still
from ditto_avatar.face.register.writing import i420
from ditto_avatar.types import FRAME_RATE_HZ, ByteArray, FloatArray

FRAMES: Final = 10 * FRAME_RATE_HZ
# Amplitudes: degrees of pitch, yaw and roll; widths of the face sideways and up.
_SWAY: Final = ((0.8, (1, 2, 3, 5)), (1.5, (1, 2, 3)), (0.7, (1, 2, 4)))
_SHIFT: Final = ((0.0045, (1, 2)), (0.0022, (1, 3)))
_BREATHS: Final = 3
_BREATH: Final = 0.007
# A blink, frame by frame; the lids fall faster than they rise.
_BLINK: Final = (0.3, 0.8, 1.0, 1.0, 0.75, 0.45, 0.2, 0.06)
_BLINKS_APART: Final = (55, 105)
_FIRST_BLINK: Final = (15, 60)
_STEP: Final = 4
# Pictures that are drawn before they are asked for.
_AHEAD: Final = 6
_NO_SECOND_MAP: Final[Any] = None

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class IdleLoop:
    """`pictures`, I420, one after the other, to be taken once; the points in each (n, 478, 3), and
    how far the eyes are shut (n, 2). `moved` moves a plane (h, w) of the still picture as each of
    the pictures moves."""

    pictures: Iterator[ByteArray]
    points: FloatArray
    closure: FloatArray
    moved: Callable[[FloatArray], Iterator[FloatArray]]


def make_idle(still: Still, progress: Progress | None = None, *, frames: int = FRAMES) -> IdleLoop:
    """Return a loop of `frames` pictures out of `still`. Another picture sways, looks and blinks at
    other times, the same one at the same. They are drawn, in a thread, while the caller takes them;
    whoever takes only some should close the iterator."""
    random = np.random.default_rng(
        np.frombuffer(sha256(still.picture.tobytes()).digest(), np.uint32)
    )
    motion = _motion(random, frames)
    closures = _blinks(random, frames)
    looks = gazes(random, frames)
    eyes, sway = _Eyes(still), _Sway(still)
    fields = [sway.field(pose) for pose in motion]
    points = [
        sway.points(eyes.points(float(closure), gaze), field)
        for closure, gaze, field in zip(closures, looks, fields, strict=True)
    ]

    def draw(index: int) -> ByteArray:
        planes = eyes.planes(float(closures[index]), looks[index])
        return sway.picture(planes, fields[index])

    pictures = _ahead(draw, frames, progress or (lambda done, total: None))
    return IdleLoop(
        pictures,
        np.stack(points),
        np.repeat(floats(closures)[:, None], 2, axis=1),
        lambda plane: (sway.plane(plane, field) for field in fields),
    )


def _ahead(draw: Callable[[int], ByteArray], count: int, progress: Progress) -> Iterator[ByteArray]:
    """What `draw` returns for 0 to `count` - 1: a thread draws a few ahead."""
    with ThreadPoolExecutor(1) as pool:
        waiting = deque(pool.submit(draw, index) for index in range(min(_AHEAD, count)))
        for done in range(1, count + 1):
            picture = waiting.popleft().result()
            if done + _AHEAD <= count:
                waiting.append(pool.submit(draw, done + _AHEAD - 1))
            progress(done, count)
            yield picture


def _motion(random: np.random.Generator, frames: int) -> FloatArray:
    """Pitch, yaw, roll, sideways, up and breath (n, 6): sums of whole waves, so that the end meets
    the beginning."""
    columns = [_waves(random, frames, waves) * most for most, waves in (*_SWAY, *_SHIFT)]
    breath = 0.5 - 0.5 * np.cos(np.arange(frames) / frames * 2 * np.pi * _BREATHS)
    motion = np.stack([*columns, breath * _BREATH], axis=1)
    # A browser may hesitate where the loop begins again: there the head hardly moves.
    steps = np.linalg.norm((np.roll(motion, -1, axis=0) - motion) / np.ptp(motion, axis=0), axis=1)
    return floats(np.roll(motion, -1 - int(steps.argmin()), axis=0))


def _waves(random: np.random.Generator, frames: int, waves: tuple[int, ...]) -> FloatArray:
    time = np.arange(frames) / frames * 2 * np.pi
    sum_ = np.zeros(frames)
    for count in waves:
        sum_ += random.normal() / count**0.7 * np.sin(count * time + random.uniform(0, 2 * np.pi))
    return floats(sum_ / np.abs(sum_).max())


def _blinks(random: np.random.Generator, frames: int) -> FloatArray:
    closures = np.zeros(frames, np.float32)
    at = int(random.integers(*_FIRST_BLINK))
    while at < frames - 2 * len(_BLINK):
        closures[at : at + len(_BLINK)] = _BLINK
        at += int(random.integers(*_BLINKS_APART))
    return closures


class _Eyes:
    """The still face with its eyes looking somewhere, more or less shut. Moments that are alike
    share a picture. Pictures are for one thread."""

    def __init__(self, still: Still) -> None:
        self._still = still
        self._lids: dict[bytes, Eyelids] = {}
        self._drawn: dict[tuple[bytes, float], Planes] = {}

    def points(self, closure: float, gaze: FloatArray) -> FloatArray:
        """Return the points (478, 3)."""
        return self._looking(gaze).points(closure)

    def planes(self, closure: float, gaze: FloatArray) -> Planes:
        """Return the picture's planes."""
        moment = gaze.tobytes(), closure
        if moment not in self._drawn:
            self._drawn[moment] = planes_of(i420(self._looking(gaze).shut(closure)))
        return self._drawn[moment]

    def _looking(self, gaze: FloatArray) -> Eyelids:
        where = gaze.tobytes()
        if where not in self._lids:
            self._lids[where] = Eyelids(*look(self._still.picture, self._still.points, gaze))
        return self._lids[where]


class _Sway:
    """Moves a still face by one field: near parts further than far ones, the background not."""

    def __init__(self, still: Still) -> None:
        height, width = still.picture.shape[:2]
        points = still.points
        oval = points[list(lm.FACE_OVAL), :2]
        low, high = oval.min(0), oval.max(0)
        self._size = high - low
        self._middle = (low + high) / 2
        self._chin = float(points[lm.CHIN, 1])
        self.grid: Grid = grid_over(floats([0, 0]), floats([width, height]), _STEP)
        self._pixels = pixel_mesh(width, height)
        self._half_pixels = pixel_mesh(width // 2, height // 2)
        self._near = self._depth(points)
        nodes, face = self.grid.nodes, self._size
        neck = _smooth((self._chin + 0.55 * face[1] - nodes[..., 1]) / (0.6 * face[1]))
        beside = _smooth((1.9 - np.abs(nodes[..., 0] - self._middle[0]) / face[0]) / 0.9)
        self._head = floats(neck * beside)
        self._chest = _smooth((nodes[..., 1] - self._chin - 0.05 * face[1]) / (0.8 * face[1]))
        self._pivot = np.array([self._middle[0], self._chin + 0.35 * face[1]], np.float32)
        self._calm = self._calmed()

    def _depth(self, points: FloatArray) -> FloatArray:
        """How near (rows, columns) each node is, in px: the face's own depth, 0 at the hair."""
        top = self._middle - (0, 0.12 * self._size[1])
        turn = np.linspace(0, 2 * np.pi, 28, endpoint=False)
        rim = top + np.stack([np.cos(turn) * 0.78, np.sin(turn) * 0.86], axis=1) * self._size
        some = points[np.arange(0, 468, 3)]
        back = points[:468, 2].max() + 0.07 * self._size[0]
        places = floats(np.concatenate([some[:, :2], rim]))
        depths = floats(np.concatenate([back - some[:, 2], np.zeros(len(rim))]))[:, None]
        nodes = self.grid.nodes
        near = interpolate(places, depths, nodes.reshape(-1, 2), 6.0)[:, 0].reshape(nodes.shape[:2])
        reach = np.hypot(*np.moveaxis((nodes - top) / (self._size * (0.82, 0.9)), 2, 0))
        return floats(np.maximum(near, 0) * _smooth((1.08 - reach) / 0.2))

    def _calmed(self) -> FloatArray:
        """Factors (rows, columns, 1): 1 on head and chest, 0 on the background away from them."""
        nodes = self.grid.nodes
        away = np.hypot(*np.moveaxis((nodes - self._middle) / (self._size * (1.15, 1.1)), 2, 0))
        below = _smooth((nodes[..., 1] - self._chin) / (0.3 * self._size[1]))
        body = below * _smooth(
            (1.75 - np.abs(nodes[..., 0] - self._middle[0]) / self._size[0]) / 0.8
        )
        return floats(np.maximum(_smooth((1.05 - away) / 0.4), body)[..., None])

    def field(self, pose: FloatArray) -> FloatArray:
        """How far each node goes (rows, columns, 2) in `pose` (6,)."""
        pitch, yaw, roll = pose[:3] * np.float32(np.pi / 180)
        across, up, breath = pose[3:] * np.float32(self._size[0])
        nodes = self.grid.nodes
        offset = nodes - self._pivot
        way = np.empty_like(nodes)
        way[..., 0] = yaw * self._near - roll * offset[..., 1] + across
        way[..., 1] = pitch * self._near + roll * offset[..., 0] + up
        way *= self._head[..., None]
        way[..., 1] -= breath * (self._chest + 0.45 * self._head)
        wider = np.sign(offset[..., 0]) * _smooth(np.abs(offset[..., 0]) / (0.8 * self._size[0]))
        way[..., 0] += 0.45 * breath * self._chest * wider
        return floats(way * self._calm)

    def picture(self, face: Planes, field: FloatArray) -> ByteArray:
        """`face` moved by `field`: an I420 picture."""
        height, width = face[0].shape
        moved = np.empty((height * 3 // 2, width), np.uint8)
        luma, *chroma = planes_of(moved)
        at = self._pixels - self._enlarged(field, _STEP, width, height)
        cv2.remap(face[0], at, _NO_SECOND_MAP, cv2.INTER_CUBIC, luma, cv2.BORDER_REPLICATE)
        way = self._enlarged(field, _STEP // 2, width // 2, height // 2)
        half = self._half_pixels - way * np.float32(0.5)
        for plane, target in zip(face[1:], chroma, strict=True):
            cv2.remap(plane, half, _NO_SECOND_MAP, cv2.INTER_LINEAR, target, cv2.BORDER_REPLICATE)
        return moved

    def plane(self, plane: FloatArray, field: FloatArray) -> FloatArray:
        """A `plane` (h, w) of the still picture, moved by `field`."""
        height, width = plane.shape
        at = self._pixels - self._enlarged(field, _STEP, width, height)
        moved = cv2.remap(plane, at, _NO_SECOND_MAP, cv2.INTER_LINEAR, None, cv2.BORDER_REPLICATE)
        return floats(moved)

    def _enlarged(self, field: FloatArray, step: int, width: int, height: int) -> FloatArray:
        full = enlarge(field, self.grid.columns * step, self.grid.rows * step)
        return full[:height, :width]

    def points(self, points: FloatArray, field: FloatArray) -> FloatArray:
        """`points` (478, 3) where `picture` shows them: the field says where a place comes from,
        and it is gentle, so few steps turn it round."""
        moved = points.copy()
        for _ in range(4):
            way = self.grid.sample(field, moved[None, :, :2])[0]
            moved[:, :2] = points[:, :2] + way
        return moved


def _smooth(values: FloatArray) -> FloatArray:
    share = np.clip(values, 0, 1)
    return floats(share * share * (3 - 2 * share))
