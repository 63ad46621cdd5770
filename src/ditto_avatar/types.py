"""Define the values that all packages share.

Media time is counted, never measured: audio in samples at 16 kHz, video in frames at
25 frames a second. One frame lasts exactly 640 samples, so frame ``i`` of a face
stream shows what samples ``640 * i`` to ``640 * (i + 1)`` sound like.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

SAMPLE_RATE_HZ = 16_000
FRAME_RATE_HZ = 25
SAMPLES_PER_FRAME = SAMPLE_RATE_HZ // FRAME_RATE_HZ

FloatArray = npt.NDArray[np.float32]
ByteArray = npt.NDArray[np.uint8]
Int16Array = npt.NDArray[np.int16]


class AiLabel(StrEnum):
    """Where pages say that the presenter is made by AI."""

    TOP = "top"
    BOTTOM = "bottom"
    OFF = "off"


class Emotion(StrEnum):
    """The emotions of the wire protocol, in the order of Ditto's condition vector."""

    ANGRY = "angry"
    DISGUST = "disgust"
    FEAR = "fear"
    HAPPY = "happy"
    NEUTRAL = "neutral"
    SAD = "sad"
    SURPRISE = "surprise"
    CONTEMPT = "contempt"


class Language(StrEnum):
    """The languages the page and the embedded engines speak."""

    ENGLISH = "en"
    KOREAN = "ko"


@dataclass(frozen=True, slots=True)
class Phoneme:
    """One speech sound: IPA symbol, first sample and one past the last, counted from the
    start of the chunk that carries it. `stressed` marks the vowel of a stressed syllable."""

    symbol: str
    start: int
    end: int
    stressed: bool = False


@dataclass(frozen=True, slots=True)
class SpeechChunk:
    """A piece of speech: float32 mono samples (n,) in -1..1 at 16 kHz, and the phonemes that
    sound in it where the speech engine knows them (empty where it does not)."""

    samples: FloatArray
    phonemes: tuple[Phoneme, ...] = ()


@dataclass(frozen=True, slots=True)
class VideoFrame:
    """One picture of a face stream.

    `yuv` is I420 in one uint8 array (height * 3 / 2, width): the luma plane, then both chroma
    planes, BT.601 limited range. `index` counts from 0 within the stream; `idle_frame` is
    the frame of the idle loop whose head pose it has.
    """

    index: int
    idle_frame: int
    yuv: ByteArray


@dataclass(frozen=True, slots=True)
class Voice:
    """A voice that a speech engine offers."""

    id: str
    language: Language
    engine: str
    label: str


@dataclass(frozen=True, slots=True)
class Fallback:
    """An engine failed and another one takes over: the `part` (``dialogue``, ``speech``,
    ``sentence`` when it was one sentence that could not be said, ``answer`` when the engine works
    and had no answer), the names of both (`used` is None when nothing else can) and the reason, a
    sentence for people. `used_up` tells that the day's budget for it was the reason."""

    part: str
    failed: str
    used: str | None
    reason: str
    used_up: bool = False


def frames_for(samples: int) -> int:
    """Return how many frames cover `samples` samples; the last one may be partly silent."""
    return -(-samples // SAMPLES_PER_FRAME)


def joined(chunks: Iterable[SpeechChunk]) -> SpeechChunk:
    """Join consecutive chunks to one, phoneme times moved to the common start."""
    samples: list[FloatArray] = []
    phonemes: list[Phoneme] = []
    offset = 0
    for chunk in chunks:
        samples.append(chunk.samples)
        phonemes.extend(
            Phoneme(p.symbol, p.start + offset, p.end + offset, p.stressed) for p in chunk.phonemes
        )
        offset += len(chunk.samples)
    audio = np.concatenate(samples) if samples else np.zeros(0, np.float32)
    return SpeechChunk(audio, tuple(phonemes))
