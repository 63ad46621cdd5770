"""Speech features: windows of sound through the streaming audio encoder.

The encoder (HuBERT, made causal) reads 6,480 samples: three frames of past, the five frames that
are wanted, two of future. It gives 50 rows a second; pairs of them are averaged to one row a
frame.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ditto_avatar.errors import InvalidCheckpoint
from ditto_avatar.types import SAMPLES_PER_FRAME, FloatArray, frames_for

FEATURES = 1024
PRESENT, FUTURE = 5, 2
WINDOW = 6_480
HOP = PRESENT * SAMPLES_PER_FRAME
BEFORE = WINDOW - (PRESENT + FUTURE) * SAMPLES_PER_FRAME
WANTED = slice(-2 * (PRESENT + FUTURE), -2 * FUTURE)

Encode = Callable[[FloatArray], FloatArray]
"""A window (6480,) of 16 kHz samples to the five rows (5, 1024) that it is about."""


def wanted_rows(rows: FloatArray) -> FloatArray:
    """The features (5, 1024) of a window, of the encoder's rows (20, 1024)."""
    return np.asarray(rows[WANTED].reshape(PRESENT, 2, FEATURES).mean(axis=1), np.float32)


def silence(encode: Encode, count: int) -> FloatArray:
    """Return features (count, 1024) of silence."""
    return repeated(encode(np.zeros(WINDOW, np.float32)), count)


def repeated(rows: FloatArray, count: int) -> FloatArray:
    """Repeat the features (5, 1024) of a window for `count` frames."""
    return np.tile(rows, (-(-count // PRESENT), 1))[:count]


@dataclass(slots=True)
class SoundWindows:
    """Cuts sound that comes in pieces into windows, the same whatever the pieces were.

    A copy goes its own way: windows ahead of sound that may still come are taken from a copy.
    """

    samples: FloatArray = field(default_factory=lambda: np.zeros(BEFORE, np.float32))
    received: int = 0  # samples pushed so far
    given: int = 0  # rows that the windows given out so far stand for

    def copy(self) -> SoundWindows:
        """Windows that go their own way."""
        return replace(self)

    def push(self, samples: FloatArray) -> list[FloatArray]:
        """Add samples (n,); returns the windows (6480,) that are now complete."""
        self.samples = np.concatenate([self.samples, samples.astype(np.float32)])
        self.received += len(samples)
        windows = []
        while len(self.samples) >= WINDOW:
            windows.append(self._advance())
        return windows

    def finish(self) -> tuple[list[FloatArray], int]:
        """The windows of all remaining frames, silence after the end, and how many of their rows
        are frames of the sound; the last frame is filled up."""
        owed = frames_for(self.received) - self.given
        windows: list[FloatArray] = []
        while PRESENT * len(windows) < owed:
            missing = max(WINDOW - len(self.samples), 0)
            self.samples = np.pad(self.samples, (0, missing))
            windows.append(self._advance())
        return windows, owed

    def _advance(self) -> FloatArray:
        window = self.samples[:WINDOW]
        self.samples = self.samples[HOP:]
        self.given += PRESENT
        return window


def features(encode: Encode, samples: FloatArray) -> FloatArray:
    """Features (n, 1024) of a whole recording: one row per started frame."""
    sound = SoundWindows()
    windows = sound.push(samples)
    rest, _ = sound.finish()
    rows = [np.zeros((0, FEATURES), np.float32), *map(encode, [*windows, *rest])]
    return np.concatenate(rows)[: frames_for(len(samples))]


class OnnxEncoder:
    """The checkpoint's audio encoder over ONNX Runtime.

    Raises `InvalidCheckpoint` when the file is missing or is not such an encoder.
    """

    def __init__(self, path: Path, device: str = "cpu") -> None:
        from ditto_avatar.face.ditto.onnx_session import open_session

        self._session: Any = open_session(path, device)
        names = [entry.name for entry in self._session.get_inputs()]
        if names != ["input_values"]:
            raise InvalidCheckpoint(
                f"{path} should read 'input_values', not {', '.join(map(repr, names))}."
            )

    def __call__(self, window: FloatArray) -> FloatArray:
        (rows,) = self._session.run(None, {"input_values": window.reshape(1, -1)})[:1]
        return wanted_rows(np.asarray(rows, np.float32).reshape(-1, FEATURES))
