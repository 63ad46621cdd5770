"""Small engines that keep every promise of the protocols and can be made slow or faulty."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence

import numpy as np

from ditto_avatar.dialogue.base import Prompt
from ditto_avatar.errors import InvalidAvatar, ProviderFailed
from ditto_avatar.face.avatar import Avatar
from ditto_avatar.types import (
    SAMPLE_RATE_HZ,
    SAMPLES_PER_FRAME,
    Emotion,
    FloatArray,
    Language,
    Phoneme,
    SpeechChunk,
    VideoFrame,
    Voice,
    frames_for,
)


class ScriptedDialogue:
    """Answers with `answer`, word by word. With `gate` set, waits for it before every word after
    the first; `fails` breaks the answer off after the first word."""

    name = "scripted"

    def __init__(self, answer: str = "Hello there. How are you today?") -> None:
        self.answer = answer
        self.gate: asyncio.Event | None = None
        self.fails = False
        self.prompts: list[Prompt] = []
        self.open_replies = 0

    async def reply(self, prompt: Prompt) -> AsyncGenerator[str, None]:
        self.prompts.append(prompt)
        self.open_replies += 1
        try:
            for place, word in enumerate(self.answer.split(" ")):
                if place and self.fails:
                    raise ProviderFailed("The language model broke off.")
                if place and self.gate is not None:
                    await self.gate.wait()
                yield word if place == 0 else f" {word}"
        finally:
            self.open_replies -= 1

    def fixed_texts(self) -> Iterable[str]:
        return ()

    async def close(self) -> None:
        pass


class ToneSpeech:
    """Says a sentence as a tone of 60 ms a letter."""

    name = "tone"

    def __init__(self) -> None:
        self.gate: asyncio.Event | None = None
        self.pitch_hz = 220
        self.said: list[str] = []
        self.open_sentences = 0
        self._asked = asyncio.Condition()

    @property
    def fingerprint(self) -> str:
        return f"tone {self.pitch_hz}"

    def voices(self) -> Sequence[Voice]:
        return [
            Voice("low", Language.ENGLISH, self.name, "Low"),
            Voice("낮음", Language.KOREAN, self.name, "낮음"),
        ]

    async def heard_of(self, sentence: str) -> None:
        """Return once `sentence` was asked for."""
        async with self._asked:
            await self._asked.wait_for(lambda: sentence in self.said)

    async def speak(
        self, sentence: str, voice: Voice, emotion: Emotion = Emotion.NEUTRAL
    ) -> AsyncGenerator[SpeechChunk, None]:
        async with self._asked:
            self.said.append(sentence)
            self._asked.notify_all()
        self.open_sentences += 1
        try:
            samples = np.arange(len(sentence) * SAMPLE_RATE_HZ * 60 // 1000)
            tone = (0.3 * np.sin(samples * 2 * np.pi * self.pitch_hz / SAMPLE_RATE_HZ)).astype(
                np.float32
            )
            for start in range(0, len(tone), 4_000):
                if start and self.gate is not None:
                    await self.gate.wait()
                yield SpeechChunk(tone[start : start + 4_000])
        finally:
            self.open_sentences -= 1

    async def close(self) -> None:
        pass


class LoudnessFace:
    """Shows the idle loop, brightened by loudness; with a `window`, forwards and backwards over
    that many frames of it only."""

    name = "loudness"
    max_streams: int | None = None

    def __init__(self) -> None:
        self.open_streams = 0
        self.strained = False
        self.prepared: list[str] = []
        self.undrawable: set[str] = set()
        self.brightness = 40
        self.window = 0

    @property
    def fingerprint(self) -> str:
        return f"brightness {self.brightness}"

    async def prepare(self, avatar: Avatar) -> None:
        self.prepared.append(avatar.name)
        if avatar.name in self.undrawable:
            raise InvalidAvatar(f"{avatar.name} has no face.")

    async def open(self, avatar: Avatar, start_frame: int = 0) -> LoudnessStream:
        self.open_streams += 1
        return LoudnessStream(self, avatar, start_frame)

    async def close(self) -> None:
        pass


class LoudnessStream:
    """Follows the contract of `face.base.FaceStream`."""

    def __init__(self, face: LoudnessFace, avatar: Avatar, start_frame: int) -> None:
        self._face = face
        self._avatar = avatar
        self._start = start_frame
        self._audio: FloatArray = np.zeros(0, np.float32)
        self._drawn = 0
        self._frames: asyncio.Queue[VideoFrame | None] = asyncio.Queue(50)
        self._cancelled = False

    async def push(
        self,
        audio: FloatArray,
        phonemes: Sequence[Phoneme] = (),
        emotion: Emotion = Emotion.NEUTRAL,
        intensity: float = 1.0,
    ) -> None:
        self._audio = np.concatenate((self._audio, audio))
        await self._draw(len(self._audio) // SAMPLES_PER_FRAME)

    async def flush(self) -> None:
        frames = frames_for(len(self._audio))
        padding = frames * SAMPLES_PER_FRAME - len(self._audio)
        self._audio = np.pad(self._audio, (0, padding))
        await self._draw(frames)

    async def finish(self) -> None:
        await self.flush()
        await self._frames.put(None)

    def idle_frame(self, index: int) -> int:
        place = index % (2 * self._face.window) if self._face.window else index
        if self._face.window and place >= self._face.window:
            place = 2 * self._face.window - 1 - place
        return (self._start + place) % self._avatar.frame_count

    async def cancel(self) -> None:
        if not self._cancelled:
            self._cancelled = True
            self._face.open_streams -= 1
            while not self._frames.empty():
                self._frames.get_nowait()
            self._frames.put_nowait(None)

    async def __aiter__(self) -> AsyncIterator[VideoFrame]:
        while (frame := await self._frames.get()) is not None:
            yield frame

    async def _draw(self, until: int) -> None:
        for index in range(self._drawn, until):
            self._drawn = index + 1
            idle = self.idle_frame(index)
            part = self._audio[index * SAMPLES_PER_FRAME : (index + 1) * SAMPLES_PER_FRAME]
            loud = float(np.sqrt(np.mean(part**2)))
            picture = np.minimum(
                self._avatar.idle_frames[idle] + np.uint8(self._face.brightness * loud), 235
            )
            await self._frames.put(VideoFrame(index, idle, picture.astype(np.uint8)))
