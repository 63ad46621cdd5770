"""A video file from a text or a sound file, without a server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ditto_avatar.dialogue.clauses import sentences
from ditto_avatar.errors import InvalidInput
from ditto_avatar.face.avatar import Avatar
from ditto_avatar.face.base import FaceEngine, FaceStream
from ditto_avatar.face.puppet.motion import write_motion_csv
from ditto_avatar.face.puppet.playback import MotionRecorder
from ditto_avatar.media.clip import write_mp4
from ditto_avatar.media.encode import FragmentEncoder
from ditto_avatar.speech.alignment import align
from ditto_avatar.speech.audio_file import read_audio
from ditto_avatar.speech.base import SpeechEngine
from ditto_avatar.speech.espeak import EspeakEngine
from ditto_avatar.speech.text import spoken_text
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
    joined,
)

Sound = AsyncGenerator[tuple[SpeechChunk, Emotion], None]
# (frames drawn, frames in all or None while the text is still being spoken)
Progress = Callable[[int, int | None], None]

_PUSH_SAMPLES = SAMPLE_RATE_HZ


@dataclass(frozen=True, slots=True)
class Rendered:
    """What was made: how many frames, and how long they last."""

    frames: int
    seconds: float


async def render(
    sound: Sound,
    avatar: Avatar,
    face: FaceEngine,
    out: Path,
    progress: Progress,
    total_frames: int | None = None,
) -> Rendered:
    """Draw `avatar` speaking `sound` into the MP4 file `out`, which appears when it is complete.
    Raises `InvalidInput` when the sound is empty, `StorageFull` when `out` cannot be written."""
    track = _Track()
    stream = await face.open(avatar, 0)
    encoder = FragmentEncoder(avatar.width, avatar.height)
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_push(sound, stream, track))
            drawing = group.create_task(_draw(stream, encoder, track, progress, total_frames))
    except ExceptionGroup as errors:
        await asyncio.to_thread(encoder.abandon)
        raise errors.exceptions[0] from errors
    finally:
        await stream.cancel()
    if not encoder.frames:
        raise InvalidInput("There is nothing to say: the text or sound is empty.")
    await asyncio.to_thread(write_mp4, drawing.result(), out)
    return Rendered(encoder.frames, len(track.samples) / SAMPLE_RATE_HZ)


async def spoken(text: str, avatar: Avatar, speech: SpeechEngine, language: Language) -> Sound:
    """The sound of `text`, sentence by sentence, in the avatar's voice."""

    async def whole() -> AsyncIterator[str]:
        yield text

    async for sentence in sentences(whole()):
        voice = voice_for(speech, sentence.text, language, avatar.voices)
        async with aclosing(utterance(speech, sentence.text, voice, sentence.emotion)) as chunks:
            async for chunk in chunks:
                yield chunk, sentence.emotion


async def read_recording(
    path: Path, text: str | None, speech: SpeechEngine, language: Language
) -> SpeechChunk:
    """A sound file, with the phonemes of what is said in it when the `text` is known. Raises
    `InvalidAudio`."""
    samples = await read_audio(path)
    if text is None:
        return SpeechChunk(samples)
    voice = voice_for(speech, text, language)
    spoken_so = spoken_text(text, voice.language)
    async with EspeakEngine() as own:
        own_voice = next(other for other in own.voices() if other.language is voice.language)
        reference = joined([chunk async for chunk in own.speak(spoken_so, own_voice)])
    return SpeechChunk(samples, await asyncio.to_thread(align, reference, samples))


async def recorded(recording: SpeechChunk) -> Sound:
    """A recording, filled up to whole frames; in pieces of a second where no phonemes bind it
    together."""
    samples = recording.samples
    missing = frames_for(len(samples)) * SAMPLES_PER_FRAME - len(samples)
    whole = np.pad(samples, (0, missing))
    step = len(whole) if recording.phonemes else _PUSH_SAMPLES
    for start in range(0, len(whole), max(1, step)):
        yield SpeechChunk(whole[start : start + step], recording.phonemes), Emotion.NEUTRAL


async def writing_motion(sound: Sound, path: Path) -> Sound:
    """The same sound; when it has ended, the motion that the puppet makes of it is in `path`."""
    recorder = MotionRecorder()
    async for chunk, emotion in sound:
        recorder.push(chunk, emotion)
        yield chunk, emotion
    track = await asyncio.to_thread(recorder.finish)
    await asyncio.to_thread(write_motion_csv, track, path)


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


async def _push(sound: Sound, stream: FaceStream, track: _Track) -> None:
    async for chunk, emotion in sound:
        track.add(chunk.samples)
        await stream.push(chunk.samples, chunk.phonemes, emotion)
    track.ended = True
    await stream.finish()


async def _draw(
    stream: FaceStream,
    encoder: FragmentEncoder,
    track: _Track,
    progress: Progress,
    total: int | None,
) -> bytes:
    fragments = []
    async for frame in stream:
        samples = track.of_frame(frame.index)
        fragments += await asyncio.to_thread(encoder.encode, frame.yuv, samples)
        known = frames_for(len(track.samples)) if track.ended else total
        progress(encoder.frames, known)
    fragments += await asyncio.to_thread(encoder.finish)
    return b"".join(fragment.data for fragment in fragments)
