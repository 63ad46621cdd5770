"""Write the motion of a film beside it, whichever engine draws."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from ditto_avatar.face.avatar import Avatar
from ditto_avatar.face.base import FaceEngine, FaceStream
from ditto_avatar.face.puppet.motion import write_motion_csv
from ditto_avatar.face.puppet.playback import MotionRecorder
from ditto_avatar.types import Emotion, FloatArray, Phoneme, SpeechChunk, VideoFrame


class MotionWriter:
    """Draw with `face`, and write the motion that the puppet makes of the sound to the CSV file
    `path` when a stream has got all of its sound. Keeps the promises of `FaceEngine`."""

    def __init__(self, face: FaceEngine, path: Path) -> None:
        self._face = face
        self._path = path
        self.name = face.name

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the engine that draws."""
        return self._face.fingerprint

    @property
    def max_streams(self) -> int | None:
        """The most streams of the engine that draws."""
        return self._face.max_streams

    @property
    def strained(self) -> bool:
        """Whether the engine that draws is strained."""
        return self._face.strained

    async def prepare(self, avatar: Avatar) -> None:
        """Prepare `avatar` in the engine that draws."""
        await self._face.prepare(avatar)

    async def open(self, avatar: Avatar, start_frame: int = 0) -> MotionWritingStream:
        """Open a stream of the engine that draws, and record what is pushed to it."""
        return MotionWritingStream(await self._face.open(avatar, start_frame), self._path)

    async def close(self) -> None:
        """Close the engine that draws."""
        await self._face.close()


class MotionWritingStream:
    """Record the sound that is pushed to `stream`. Keeps the promises of `FaceStream`."""

    def __init__(self, stream: FaceStream, path: Path) -> None:
        self._stream = stream
        self._path = path
        self._recorder = MotionRecorder()

    async def push(
        self,
        audio: FloatArray,
        phonemes: Sequence[Phoneme] = (),
        emotion: Emotion = Emotion.NEUTRAL,
        intensity: float = 1.0,
    ) -> None:
        """Record the sound and push it on."""
        self._recorder.push(SpeechChunk(audio, tuple(phonemes)), emotion, intensity)
        await self._stream.push(audio, phonemes, emotion, intensity)

    async def flush(self) -> None:
        """End a sentence."""
        self._recorder.flush()
        await self._stream.flush()

    async def finish(self) -> None:
        """Write the motion and end the sound."""
        track = await asyncio.to_thread(self._recorder.finish)
        await asyncio.to_thread(write_motion_csv, track, self._path)
        await self._stream.finish()

    def idle_frame(self, index: int) -> int:
        """The idle frame of picture `index` in the stream that draws."""
        return self._stream.idle_frame(index)

    async def cancel(self) -> None:
        """Cancel the stream that draws."""
        await self._stream.cancel()

    def __aiter__(self) -> AsyncIterator[VideoFrame]:
        return aiter(self._stream)
