"""From sound and phonemes to motion, frame by frame, with a fixed look ahead.

Frame ``i`` depends on the sound up to the end of frame ``i + LOOK_AHEAD`` and on the phonemes that
begin before that, never on how the sound was cut into pushes: streaming and offline give the same
motion to the last bit.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final

import numpy as np

from ditto_avatar.face.puppet.audio_mouth import (
    CONTEXT,
    SILENCE,
    SoundMeter,
    VoicedFrame,
    mouth_network,
    sounded,
)
from ditto_avatar.face.puppet.coarticulation import REACH, Gesture, blend, gestures, pauses
from ditto_avatar.face.puppet.motion import Pose
from ditto_avatar.face.puppet.mouth_shapes import arkit_weights, beside_speech
from ditto_avatar.face.puppet.upper_face import UpperFace
from ditto_avatar.face.puppet.visemes import CHANNELS
from ditto_avatar.types import SAMPLES_PER_FRAME, Emotion, FloatArray, Phoneme

LOOK_AHEAD: Final = 3
# Samples around a phoneme in which it decides the mouth; elsewhere the sound does.
_RULE = 200 * 16


class Actor:
    """The motion of one stream. With `eyes`, it also blinks and glances."""

    def __init__(self, *, eyes: bool = False) -> None:
        self._meter = SoundMeter()
        self._life = UpperFace(eyes=eyes)
        self._rest = np.zeros(0, np.float32)
        # Whole frames of sound that no frame has needed yet, behind those of `_voices`.
        self._unheard: deque[FloatArray] = deque()
        self._voices: deque[VoicedFrame] = deque()
        self._first_voice = 0
        self._phonemes: deque[Phoneme] = deque()
        self._gestures: deque[Gesture] = deque()
        self._moods: deque[tuple[int, Emotion, float]] = deque()
        self._pushed = 0
        self._next = 0
        self._due = 0

    @property
    def pushed_frames(self) -> int:
        """Frames that the sound so far reaches into."""
        return -(-self._pushed // SAMPLES_PER_FRAME)

    @property
    def owed(self) -> int:
        """Frames that can be acted now."""
        return self._due - self._next

    def push(
        self,
        audio: FloatArray,
        phonemes: Sequence[Phoneme] = (),
        emotion: Emotion = Emotion.NEUTRAL,
        intensity: float = 1.0,
    ) -> None:
        """Add samples (n,); phoneme times count from the first of them. Quick, however many they
        are: sound is measured when a frame is acted that needs it."""
        begin = self._pushed
        mood = (emotion, float(np.clip(intensity, 0, 1)))
        if not self._moods or self._moods[-1][1:] != mood:
            self._moods.append((begin, *mood))
        for phoneme in phonemes:
            moved = Phoneme(
                phoneme.symbol, phoneme.start + begin, phoneme.end + begin, phoneme.stressed
            )
            self._phonemes.append(moved)
            self._gestures.extend(gestures(moved))
        self._pushed += len(audio)
        self._keep(np.concatenate([self._rest, audio]))
        self._due = max(self._due, self._whole_frames - LOOK_AHEAD)

    def flush(self) -> None:
        """Everything pushed so far is owed; a partial frame is filled with silence."""
        if len(self._rest):
            self._pushed += SAMPLES_PER_FRAME - len(self._rest)
            self._keep(
                np.concatenate(
                    [self._rest, np.zeros(SAMPLES_PER_FRAME - len(self._rest), np.float32)]
                )
            )
        self._due = self._whole_frames

    def act(self) -> Pose:
        """The next owed frame."""
        frame = self._next
        self._next += 1
        known = min(frame + 1 + LOOK_AHEAD, self._whole_frames)
        self._listen(known)
        horizon = known * SAMPLES_PER_FRAME
        self._forget(frame)
        spoken = [p for p in self._phonemes if p.start < horizon]
        channels = self._channels(frame, known, spoken)
        while len(self._moods) > 1 and self._moods[1][0] <= frame * SAMPLES_PER_FRAME:
            self._moods.popleft()
        _, emotion, intensity = self._moods[0]
        face, head = self._life.step(frame, horizon, spoken, emotion, intensity)
        weights = arkit_weights(channels) + beside_speech(face, channels)
        return Pose(np.clip(weights, 0, 1), head)

    @property
    def _whole_frames(self) -> int:
        return self._first_voice + len(self._voices) + len(self._unheard)

    def _keep(self, sound: FloatArray) -> None:
        whole = len(sound) // SAMPLES_PER_FRAME * SAMPLES_PER_FRAME
        self._unheard.extend(sound[:whole].reshape(-1, SAMPLES_PER_FRAME))
        self._rest = sound[whole:].copy()

    def _listen(self, known: int) -> None:
        """Measure the sound up to the end of frame `known`."""
        while self._first_voice + len(self._voices) < known:
            self._voices.append(self._meter.measure(self._unheard.popleft()))

    def _voice(self, frame: int, known: int) -> VoicedFrame:
        place = frame - self._first_voice
        return self._voices[place] if 0 <= place and frame < known else SILENCE

    def _voiced(self, frame: int, known: int) -> float:
        """The voice's energy around the frame: an onset is seen early, an end is not held."""
        here, before, after = (
            self._voice(place, known).voiced for place in (frame, frame - 1, frame + 1)
        )
        return 0.7 * here + 0.15 * (before + after)

    def _channels(self, frame: int, known: int, spoken: list[Phoneme]) -> FloatArray:
        horizon = known * SAMPLES_PER_FRAME
        begin = frame * SAMPLES_PER_FRAME
        end = begin + SAMPLES_PER_FRAME
        apart = min(
            (max(p.start - end, begin - p.end, 0) for p in spoken),
            default=_RULE,
        )
        rule = np.float32(1 - min(apart / _RULE, 1))
        channels = self._sounding(frame, known) if rule < 1 else np.zeros(CHANNELS, np.float32)
        if rule > 0:
            asked = [g for g in self._gestures if g.start < horizon]
            asked += pauses(spoken, begin - REACH, horizon)
            phonetic = sounded(blend(frame, asked), self._voiced(frame, known))
            channels = rule * phonetic + (1 - rule) * channels
        return channels

    def _sounding(self, frame: int, known: int) -> FloatArray:
        """Channels from the sound alone; lips at rest while nobody speaks."""
        around = [self._voice(frame + off, known) for off in range(-CONTEXT, CONTEXT + 1)]
        loudest = max(voice.loudness for voice in around[CONTEXT - 1 : CONTEXT + 2])
        if loudest <= 0:
            return np.zeros(CHANNELS, np.float32)
        heard = mouth_network().channels(around)
        return heard * np.float32(min(loudest / 0.25, 1.0))

    def _forget(self, frame: int) -> None:
        oldest = frame * SAMPLES_PER_FRAME - REACH
        while self._phonemes and self._phonemes[0].end < oldest:
            self._phonemes.popleft()
        while self._gestures and self._gestures[0].end < oldest:
            self._gestures.popleft()
        while self._first_voice < frame - CONTEXT:
            self._voices.popleft()
            self._first_voice += 1
