"""Motion of a face: ARKit weights and head rotation, 25 times a second; and its file format.

The file is the CSV that Apple's Live Link Face app records: a timecode, the number of shapes, the
52 shapes, then head, left eye and right eye rotations in radians.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from ditto_avatar.errors import InvalidInput
from ditto_avatar.face.puppet.arkit import INDEX, SHAPES
from ditto_avatar.types import FRAME_RATE_HZ, FloatArray

_HEAD = ("HeadYaw", "HeadPitch", "HeadRoll")
_EYES = (
    *("LeftEyeYaw", "LeftEyePitch", "LeftEyeRoll"),
    *("RightEyeYaw", "RightEyePitch", "RightEyeRoll"),
)
MAX_FRAMES: Final = 60 * 60 * FRAME_RATE_HZ


@dataclass(frozen=True, slots=True, eq=False)
class Pose:
    """One frame of motion: `weights` (52,) and `head` (3,) as in `MotionTrack`."""

    weights: FloatArray
    head: FloatArray

    @property
    def still(self) -> bool:
        """Whether the idle loop's own picture is the right one."""
        return not self.weights.any() and not self.head.any()


REST: Final = Pose(np.zeros(len(SHAPES), np.float32), np.zeros(3, np.float32))


@dataclass(frozen=True, slots=True, eq=False)
class MotionTrack:
    """`n` frames of motion at 25 frames a second.

    `weights` (n, 52) float32 in the order of `arkit.SHAPES`, mostly 0 to 1. `head` (n, 3)
    float32: pitch, yaw and roll in degrees on top of the idle loop's own pose; positive: chin
    down, turned to its own left, tilted to its own left shoulder.
    """

    weights: FloatArray
    head: FloatArray

    def __post_init__(self) -> None:
        count = len(self.weights)
        if self.weights.shape != (count, len(SHAPES)) or self.head.shape != (count, 3):
            raise InvalidInput(
                f"A motion track needs weights (n, {len(SHAPES)}) and head (n, 3), "
                f"not {self.weights.shape} and {self.head.shape}."
            )

    def __len__(self) -> int:
        return len(self.weights)

    def pose(self, frame: int) -> Pose:
        """The pose at `frame`; at rest after the end."""
        return Pose(self.weights[frame], self.head[frame]) if frame < len(self) else REST


def write_motion_csv(track: MotionTrack, path: Path) -> None:
    """Write `track` as a Live Link Face recording at 25 frames a second."""
    eyes = _eye_angles(track.weights)
    radians = np.radians(track.head)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        names = [name[0].upper() + name[1:] for name in SHAPES]
        writer.writerow(["Timecode", "BlendshapeCount", *names, *_HEAD, *_EYES])
        for frame, (weights, head, eye) in enumerate(
            zip(track.weights, radians, eyes, strict=True)
        ):
            numbers = [*weights, head[1], head[0], head[2], *eye]
            writer.writerow(
                [_timecode(frame), len(SHAPES) + 9, *(f"{number:.6f}" for number in numbers)]
            )


def read_motion_csv(path: Path) -> MotionTrack:
    """Read a Live Link Face recording; other rates are brought to 25 frames a second by its
    timecodes where they tell the rate.

    Raises `InvalidInput` naming the missing columns, or the line and what is wrong in it.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path.name}: expected a CSV file in UTF-8, came {error}.") from error
    rows = list(csv.reader(text.splitlines()))
    if not rows:
        raise InvalidInput(f"{path.name}: expected a line of column names, came an empty file.")
    columns = {name.strip().lower(): place for place, name in enumerate(rows[0])}
    missing = [name for name in SHAPES if name.lower() not in columns]
    if missing:
        raise InvalidInput(
            f"{path.name}: expected the {len(SHAPES)} ARKit columns, "
            f"missing are {', '.join(missing[:4])}"
            f"{f' and {len(missing) - 4} more' if len(missing) > 4 else ''}."
        )
    body = [row for row in rows[1:] if any(cell.strip() for cell in row)]
    if not 0 < len(body) <= MAX_FRAMES:
        raise InvalidInput(f"{path.name}: expected 1 to {MAX_FRAMES} frames, came {len(body)}.")
    names = [*SHAPES, *(name for name in _HEAD if name.lower() in columns)]
    places = [columns[name.lower()] for name in names]
    table = np.stack([_numbers(path, line, row, places) for line, row in enumerate(body, 2)])
    head = np.zeros((len(table), 3), np.float32)
    for axis, name in ((1, "HeadYaw"), (0, "HeadPitch"), (2, "HeadRoll")):
        if name in names:
            head[:, axis] = np.degrees(table[:, names.index(name)])
    weights = np.clip(table[:, : len(SHAPES)], 0, 1)
    return _at_our_rate(MotionTrack(weights, head), _rate(body, columns))


def _numbers(path: Path, line: int, row: list[str], places: list[int]) -> FloatArray:
    try:
        numbers = np.array([float(row[place]) for place in places], np.float32)
    except (IndexError, ValueError) as error:
        raise InvalidInput(f"{path.name}: line {line}: expected numbers, came {error}.") from error
    if not np.isfinite(numbers).all():
        raise InvalidInput(f"{path.name}: line {line}: expected finite numbers, came NaN or inf.")
    return numbers


def _timecode(frame: int) -> str:
    seconds, rest = divmod(frame, FRAME_RATE_HZ)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}:{rest:02}.000"


def _eye_angles(weights: FloatArray) -> FloatArray:
    """Yaw, pitch and roll of both eyes in radians, (n, 6), from the gaze shapes."""
    full = np.radians(30)
    angles = np.zeros((len(weights), 6), np.float32)
    for column, side in ((0, "Left"), (3, "Right")):
        inward = weights[:, INDEX[f"eyeLookIn{side}"]] - weights[:, INDEX[f"eyeLookOut{side}"]]
        down = weights[:, INDEX[f"eyeLookDown{side}"]] - weights[:, INDEX[f"eyeLookUp{side}"]]
        angles[:, column] = full * inward * (-1 if side == "Left" else 1)
        angles[:, column + 1] = full * down
    return angles


def _rate(rows: list[list[str]], columns: dict[str, int]) -> float:
    """Frames a second: the highest frame number of a whole second's timecodes, plus one."""
    place = columns.get("timecode")
    if place is None:
        return FRAME_RATE_HZ
    stamps = []
    for row in rows:
        parts = row[place].split(":") if place < len(row) else []
        try:
            hours, minutes, seconds, frame = (float(part) for part in parts)
        except ValueError:
            return FRAME_RATE_HZ
        stamps.append((hours * 3600 + minutes * 60 + seconds, frame))
    # Only seconds that begin and end inside the recording show all their frames.
    whole = {second for second, _ in stamps} - {stamps[0][0], stamps[-1][0]}
    counts = [sum(1 for second, _ in stamps if second == w) for w in sorted(whole)[:3]]
    rate = max(counts, default=FRAME_RATE_HZ)
    return float(rate) if 1 <= rate <= 240 else FRAME_RATE_HZ


def _at_our_rate(track: MotionTrack, rate_hz: float) -> MotionTrack:
    if rate_hz == FRAME_RATE_HZ or len(track) < 2:
        return track
    count = max(1, round(len(track) * FRAME_RATE_HZ / rate_hz))
    at = np.minimum(np.arange(count) * rate_hz / FRAME_RATE_HZ, len(track) - 1)
    left = np.minimum(at.astype(int), len(track) - 2)
    share = (at - left).astype(np.float32)[:, None]
    return MotionTrack(
        track.weights[left] * (1 - share) + track.weights[left + 1] * share,
        track.head[left] * (1 - share) + track.head[left + 1] * share,
    )
