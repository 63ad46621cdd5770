"""A video file from a text or a sound file, without a server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ditto_avatar.dialogue.clauses import sentences
from ditto_avatar.errors import InvalidInput
from ditto_avatar.face.avatar import Avatar
from ditto_avatar.face.base import FaceEngine, Performance
from ditto_avatar.media.clip import write_mp4
from ditto_avatar.media.encode import FragmentEncoder
from ditto_avatar.speech.base import SpeechEngine
from ditto_avatar.speech.utterance import utterance
from ditto_avatar.speech.voices import voice_for
from ditto_avatar.types import (
    SAMPLE_RATE_HZ,
    SAMPLES_PER_FRAME,
    Emotion,
    FloatArray,
    Language,
    SpeechChunk,
    frames_for,
)

# (frames drawn, frames in all or None while the text is still being spoken)
Progress = Callable[[int, int | None], None]

_PUSH_SAMPLES = SAMPLE_RATE_HZ


@dataclass(frozen=True, slots=True)
class Rendered:
    """What was made: how many frames, and how long they last."""

    frames: int
    seconds: float


async def render(
    sound: AsyncIterator[tuple[SpeechChunk, Emotion]],
    avatar: Avatar,
    face: FaceEngine,
    out: Path,
    progress: Progress,
    total_frames: int | None = None,
) -> Rendered:
    """Draw `avatar` speaking `sound` into the MP4 file `out`, which appears when it is complete.
    Raises `InvalidInput` when the sound is empty, `StorageFull` when `out` cannot be written."""
    track = _Track()
    performance = await face.open(avatar, 0)
    encoder = FragmentEncoder(avatar.width, avatar.height)
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_push(sound, performance, track))
            drawing = group.create_task(_draw(performance, encoder, track, progress, total_frames))
    except ExceptionGroup as errors:
        await asyncio.to_thread(encoder.abandon)
        raise errors.exceptions[0] from errors
    finally:
        await performance.cancel()
    if not encoder.frames:
        raise InvalidInput("There is nothing to say: the text or sound is empty.")
    await asyncio.to_thread(write_mp4, drawing.result(), out)
    return Rendered(encoder.frames, len(track.samples) / SAMPLE_RATE_HZ)


async def spoken(
    text: str, avatar: Avatar, speech: SpeechEngine, language: Language
) -> AsyncIterator[tuple[SpeechChunk, Emotion]]:
    """The sound of `text`, sentence by sentence, in the avatar's voice."""

    async def whole() -> AsyncIterator[str]:
        yield text

    async for sentence in sentences(whole()):
        voice = voice_for(speech, sentence.text, language, avatar.voices)
        async with aclosing(utterance(speech, sentence.text, voice, sentence.emotion)) as chunks:
            async for chunk in chunks:
                yield chunk, sentence.emotion


async def recorded(samples: FloatArray) -> AsyncIterator[tuple[SpeechChunk, Emotion]]:
    """A sound file's samples (n,) at 16 kHz, a second at a time, filled up to whole frames."""
    whole = np.pad(samples, (0, frames_for(len(samples)) * SAMPLES_PER_FRAME - len(samples)))
    for start in range(0, len(whole), _PUSH_SAMPLES):
        yield SpeechChunk(whole[start : start + _PUSH_SAMPLES]), Emotion.NEUTRAL


class _Track:
    """The sound pushed so far, from which the encoder takes what each picture shows."""

    def __init__(self) -> None:
        self.samples: FloatArray = np.zeros(0, np.float32)
        self.ended = False

    def add(self, samples: FloatArray) -> None:
        self.samples = np.concatenate((self.samples, samples))

    def of_frame(self, index: int) -> FloatArray:
        start = index * SAMPLES_PER_FRAME
        part = self.samples[start : start + SAMPLES_PER_FRAME]
        return np.pad(part, (0, SAMPLES_PER_FRAME - len(part)))


async def _push(
    sound: AsyncIterator[tuple[SpeechChunk, Emotion]], performance: Performance, track: _Track
) -> None:
    async for chunk, emotion in sound:
        track.add(chunk.samples)
        await performance.push(chunk.samples, chunk.phonemes, emotion)
    track.ended = True
    await performance.finish()


async def _draw(
    performance: Performance,
    encoder: FragmentEncoder,
    track: _Track,
    progress: Progress,
    total: int | None,
) -> bytes:
    fragments = []
    async for frame in performance:
        samples = track.of_frame(frame.index)
        fragments += await asyncio.to_thread(encoder.encode, frame.yuv, samples)
        known = frames_for(len(track.samples)) if track.ended else total
        progress(encoder.frames, known)
    fragments += await asyncio.to_thread(encoder.finish)
    return b"".join(fragment.data for fragment in fragments)
