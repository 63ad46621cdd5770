"""Motion that is not made from the sound: played from a track, or recorded into one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ditto_avatar.face.puppet.actor import Actor
from ditto_avatar.face.puppet.motion import MotionTrack, Pose
from ditto_avatar.types import SAMPLES_PER_FRAME, Emotion, FloatArray, Phoneme, SpeechChunk


class TrackActor:
    """Acts out a track, one frame per 640 samples pushed, whatever they sound like; rests after
    its end. Has the methods of `Actor`."""

    def __init__(self, track: MotionTrack) -> None:
        self._track = track
        self._pushed = 0
        self._next = 0

    @property
    def pushed_frames(self) -> int:
        """Frames that the sound so far reaches into."""
        return -(-self._pushed // SAMPLES_PER_FRAME)

    @property
    def owed(self) -> int:
        """Frames that can be acted now."""
        return self._pushed // SAMPLES_PER_FRAME - self._next

    def push(
        self,
        audio: FloatArray,
        phonemes: Sequence[Phoneme] = (),
        emotion: Emotion = Emotion.NEUTRAL,
        intensity: float = 1.0,
    ) -> None:
        """Count samples (n,)."""
        self._pushed += len(audio)

    def flush(self) -> None:
        """A partial frame counts as a whole one."""
        self._pushed = self.pushed_frames * SAMPLES_PER_FRAME

    def act(self) -> Pose:
        """The next frame of the track."""
        self._next += 1
        return self._track.pose(self._next - 1)


class MotionRecorder:
    """What the puppet would do to some sound, as a track: for other engines' avatars."""

    def __init__(self) -> None:
        self._actor = Actor()
        self._poses: list[Pose] = []

    def push(
        self, chunk: SpeechChunk, emotion: Emotion = Emotion.NEUTRAL, intensity: float = 1.0
    ) -> None:
        """Add a chunk of speech."""
        self._actor.push(chunk.samples, chunk.phonemes, emotion, intensity)
        self._act()

    def flush(self) -> None:
        """A sentence ended."""
        self._actor.flush()
        self._act()

    def finish(self) -> MotionTrack:
        """Everything acted so far."""
        self.flush()
        if not self._poses:
            return MotionTrack(np.zeros((0, 52), np.float32), np.zeros((0, 3), np.float32))
        return MotionTrack(
            np.stack([pose.weights for pose in self._poses]),
            np.stack([pose.head for pose in self._poses]),
        )

    def _act(self) -> None:
        self._poses.extend(self._actor.act() for _ in range(self._actor.owed))
