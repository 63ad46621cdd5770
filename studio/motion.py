"""The idle loop's motion: periodic in time, so that the last frame runs into the first."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from studio.arkit import weights
from studio.figure import Pose, rest_pose
from studio.kit import Points

FRAME_RATE_HZ = 25
LOOK_DEGREES = {"Up": 9.7, "Down": 10.8, "In": 14.7, "Out": 14.2}
"""How far a full eyeLook shape of the kit turns the eye."""
BLINK_CLOSE_S, BLINK_HOLD_S, BLINK_OPEN_S = 0.06, 0.03, 0.1


@dataclass(frozen=True, slots=True)
class Idle:
    """A loop of `frames` frames drawn from `seed`: harmonics for the head, whole breaths, blinks
    at irregular times (seconds), and darts of the eyes (start, end, degrees left, degrees up)."""

    frames: int
    seed: int
    breaths: int
    blinks: tuple[float, ...]
    darts: tuple[tuple[float, float, float, float], ...]
    sway_degrees: tuple[float, float, float] = (1.0, 1.5, 0.8)

    def poses(self) -> list[Pose]:
        """The pose of every frame."""
        times = np.arange(self.frames) / FRAME_RATE_HZ
        return [self.pose(float(time)) for time in times]

    @property
    def seconds(self) -> float:
        return self.frames / FRAME_RATE_HZ

    def pose(self, time: float) -> Pose:
        """The pose at a moment in seconds."""
        phase = 2 * np.pi * time / self.seconds
        pitch, yaw, roll = self._head(phase)
        breath = 0.5 - 0.5 * np.cos(self.breaths * phase)
        # Breathing in takes less time than out.
        breath = float(breath**0.85)
        left, up = self._gaze(time, pitch, yaw)
        closed = self.closure(time)
        brow = 0.05 * (0.5 + 0.5 * np.sin(phase + self.seed))
        # An eye that blinks also sinks a little.
        expression = {
            "eyeBlink": closed,
            "browInnerUp": float(brow),
            **_look(left, up - 4.0 * closed),
        }
        return replace(
            rest_pose(),
            weights=tuple(weights(expression)),
            rotation=(pitch + 0.25 * breath, yaw, roll),
            breath=breath,
            sway_mm=float(1.5 * np.sin(phase + 0.7 * self.seed)),
        )

    def _head(self, phase: float) -> tuple[float, float, float]:
        draw = np.random.default_rng(self.seed)
        turns = []
        for amplitude in self.sway_degrees:
            share = np.array([1.0, 0.55, 0.25, 0.12])
            offsets = draw.uniform(0, 2 * np.pi, len(share))
            wave = np.sin(np.arange(1, len(share) + 1) * phase + offsets) * share
            turns.append(float(amplitude * wave.sum() / 1.3))
        return turns[0], turns[1], turns[2]

    def _gaze(self, time: float, pitch: float, yaw: float) -> tuple[float, float]:
        """Degrees left and up in the head: at the camera whatever the head does, but for darts."""
        left, up = -yaw, pitch
        for start, end, dart_left, dart_up in self.darts:
            share = _step(time, start, 0.05) - _step(time, end, 0.06)
            left += share * dart_left
            up += share * dart_up
        return left, up

    def closure(self, time: float) -> float:
        """How far the lids are shut, 0 to 1."""
        shut = 0.0
        for blink in self.blinks:
            since = (time - blink) % self.seconds
            whole = BLINK_CLOSE_S + BLINK_HOLD_S + BLINK_OPEN_S
            if since < BLINK_CLOSE_S:
                shut = max(shut, _smooth(since / BLINK_CLOSE_S))
            elif since < BLINK_CLOSE_S + BLINK_HOLD_S:
                shut = 1.0
            elif since < whole:
                shut = max(shut, 1 - _smooth((since - whole + BLINK_OPEN_S) / BLINK_OPEN_S))
        return shut


def _smooth(t: float) -> float:
    t = min(max(t, 0.0), 1.0)
    return t * t * (3 - 2 * t)


def _step(time: float, at: float, length: float) -> float:
    return _smooth((time - at) / length + 0.5)


def _look(left: float, up: float) -> dict[str, float]:
    """Both eyes' shapes for a gaze in degrees."""
    outward, inward = ("Left", "Right") if left > 0 else ("Right", "Left")
    level = "Up" if up > 0 else "Down"
    return {
        f"eyeLookOut{outward}": abs(left) / LOOK_DEGREES["Out"],
        f"eyeLookIn{inward}": abs(left) / LOOK_DEGREES["In"],
        f"eyeLook{level}": abs(up) / LOOK_DEGREES[level],
    }


IDLES: dict[str, Idle] = {
    "mina": Idle(
        250,
        11,
        3,
        (1.1, 3.86, 7.9),
        ((2.6, 3.5, 4.0, 1.0), (5.9, 6.6, -3.5, -2.0), (8.5, 9.1, 2.0, 1.5)),
    ),
    "james": Idle(
        250,
        23,
        3,
        (2.05, 6.02, 8.62),
        ((1.2, 1.8, -4.0, 0.5), (4.1, 5.0, 3.0, -2.0), (6.9, 7.6, -2.5, 1.5)),
    ),
    "sofia": Idle(
        250,
        37,
        3,
        (0.84, 3.4, 6.55, 8.9),
        ((1.7, 2.5, 3.5, 1.5), (4.8, 5.5, -4.0, -1.0), (7.4, 8.2, 2.5, -1.5)),
    ),
}


def look_degrees(axis: Points) -> tuple[float, float]:
    """Degrees left and up of an eye's axis (3,)."""
    left = np.degrees(np.arctan2(axis[0], axis[2]))
    return float(left), float(np.degrees(np.arcsin(axis[1])))
