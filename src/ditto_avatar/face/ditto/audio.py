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
"""A window (6480,) of 16 kHz samples to rows (20, 1024)."""


def window_features(encode: Encode, window: FloatArray) -> FloatArray:
    """The five rows (5, 1024) that a window is about."""
    rows = encode(window)[WANTED]
    return np.asarray(rows.reshape(PRESENT, 2, FEATURES).mean(axis=1), np.float32)


def silence(encode: Encode, count: int) -> FloatArray:
    """Features (count, 1024) of silence."""
    rows = window_features(encode, np.zeros(WINDOW, np.float32))
    return np.tile(rows, (-(-count // PRESENT), 1))[:count]


@dataclass(slots=True)
class FeatureStream:
    """Features of sound that comes in pieces, the same whatever the pieces were.

    A copy goes its own way: features ahead of sound that may still come are taken from a copy.
    """

    encode: Encode
    samples: FloatArray = field(default_factory=lambda: np.zeros(BEFORE, np.float32))
    received: int = 0  # samples pushed so far
    given: int = 0  # rows given out so far

    def copy(self) -> FeatureStream:
        """A stream that goes its own way."""
        return replace(self)

    def push(self, samples: FloatArray) -> FloatArray:
        """Add samples (n,); returns the rows (m, 1024) whose windows are now complete."""
        self.samples = np.concatenate([self.samples, samples.astype(np.float32)])
        self.received += len(samples)
        rows = []
        while len(self.samples) >= WINDOW:
            rows.append(self._advance())
        return np.concatenate(rows) if rows else np.zeros((0, FEATURES), np.float32)

    def finish(self) -> FloatArray:
        """The rows of all remaining frames, silence after the end, the last frame filled up."""
        owed = frames_for(self.received) - self.given
        rows = [np.zeros((0, FEATURES), np.float32)]
        while sum(map(len, rows)) < owed:
            missing = max(WINDOW - len(self.samples), 0)
            self.samples = np.pad(self.samples, (0, missing))
            rows.append(self._advance())
        return np.concatenate(rows)[:owed]

    def _advance(self) -> FloatArray:
        rows = window_features(self.encode, self.samples[:WINDOW])
        self.samples = self.samples[HOP:]
        self.given += len(rows)
        return rows


def features(encode: Encode, samples: FloatArray) -> FloatArray:
    """Features (n, 1024) of a whole recording: one row per started frame."""
    stream = FeatureStream(encode)
    return np.concatenate([stream.push(samples), stream.finish()])


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
        rows = np.asarray(rows, np.float32).reshape(-1, FEATURES)
        return rows
