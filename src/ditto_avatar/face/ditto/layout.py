"""The 265 numbers that describe one frame's motion, and what the numbers mean.

A motion row is scale − 1 | pitch 66 | yaw 66 | roll 66 | translation 3 | expression 63. Angles are
logits over 66 bins of three degrees. Sources are described by the same rows, with their canonical
keypoints beside them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ditto_avatar.types import FloatArray

IndexArray = npt.NDArray[np.int64]

MOTION = 265
SCALE = slice(0, 1)
PITCH = slice(1, 67)
YAW = slice(67, 133)
ROLL = slice(133, 199)
TRANSLATION = slice(199, 202)
EXPRESSION = slice(202, 265)
POSE = (PITCH, YAW, ROLL)
KEYPOINTS = 21

LIPS = (6, 12, 14, 17, 19, 20)
EYES = (11, 13, 15, 16, 18)

BIN_DEGREES = 3.0
FIRST_BIN_DEGREES = -97.5


@dataclass(frozen=True, slots=True)
class SourceMotion:
    """The motion of `n` source frames.

    `rows` (n, 265), `keypoints` (n, 63) canonical, `eye_open` (n, 2) and `eye_ball` (n, 6) the
    eyes' opening and the pupils' places, `canonical` (63,) the keypoints that tell the model who
    this is: the first frame's, before smoothing.
    """

    rows: FloatArray
    keypoints: FloatArray
    eye_open: FloatArray
    eye_ball: FloatArray
    canonical: FloatArray

    def __len__(self) -> int:
        return len(self.rows)

    def smoothed(self, window: int = 13) -> SourceMotion:
        """The motion of a video, without the trembling of frame-by-frame estimates."""
        if len(self) == 1 or window <= 1:
            return self
        return replace(
            self,
            rows=mean_filter(self.rows, window),
            keypoints=mean_filter(self.keypoints, window),
        )


def mean_filter(rows: FloatArray, window: int) -> FloatArray:
    """Each row the mean of the `window` rows around it; at the ends, of those that exist."""
    half = window // 2
    count = len(rows)
    sums = np.concatenate([np.zeros((1, rows.shape[1])), rows.cumsum(axis=0, dtype=np.float64)])
    first = np.maximum(np.arange(count) - half, 0)
    last = np.minimum(np.arange(count) + half + 1, count)
    return np.asarray((sums[last] - sums[first]) / (last - first)[:, None], np.float32)


def mirror_index(index: IndexArray, count: int) -> IndexArray:
    """0, 1, … count − 1, count − 1, … 1, 0, 0, 1, …: a video played forwards and backwards."""
    turn, rest = np.divmod(index, count)
    return np.asarray(np.where(turn % 2 == 0, rest, count - 1 - rest), np.int64)


def degrees(logits: FloatArray) -> FloatArray:
    """Angles (…,) in degrees from logits (…, 66): the expected bin."""
    shares = np.exp(logits - logits.max(axis=-1, keepdims=True))
    shares /= shares.sum(axis=-1, keepdims=True)
    bins = np.arange(logits.shape[-1], dtype=np.float32)
    return np.asarray((shares @ bins) * BIN_DEGREES + FIRST_BIN_DEGREES, np.float32)


def rotation(pitch: FloatArray, yaw: FloatArray, roll: FloatArray) -> FloatArray:
    """Rotations (n, 3, 3) for row vectors from angles (n,) in degrees: about x, then y, then z."""
    sines, cosines = (
        function(np.radians(np.stack([pitch, yaw, roll], axis=1, dtype=np.float32)))
        for function in (np.sin, np.cos)
    )
    (sx, sy, sz), (cx, cy, cz) = sines.T, cosines.T
    one, zero = np.ones_like(sx), np.zeros_like(sx)

    def matrix(*entries: FloatArray) -> FloatArray:
        return np.stack(entries, axis=1).reshape(-1, 3, 3)

    about_x = matrix(one, zero, zero, zero, cx, -sx, zero, sx, cx)
    about_y = matrix(cy, zero, sy, zero, one, zero, -sy, zero, cy)
    about_z = matrix(cz, -sz, zero, sz, cz, zero, zero, zero, one)
    return np.swapaxes(about_z @ about_y @ about_x, 1, 2)


def place_keypoints(
    canonical: FloatArray, rows: FloatArray, pose: FloatArray | None = None
) -> FloatArray:
    """Keypoints in space (n, 21, 3): (canonical · R + expression) · scale, then moved in x and y.

    `pose` (n, 3) overrides pitch, yaw and roll, in degrees."""
    if pose is None:
        pose = np.stack([degrees(rows[:, part]) for part in POSE], axis=1)
    turned = canonical.reshape(-1, KEYPOINTS, 3) @ rotation(*pose.T)
    points = turned + rows[:, EXPRESSION].reshape(-1, KEYPOINTS, 3)
    points = points * (1 + rows[:, SCALE, None])
    points[:, :, :2] += rows[:, None, TRANSLATION][:, :, :2]
    return points.astype(np.float32)
