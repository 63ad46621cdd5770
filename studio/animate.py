"""The moving picture of the README, made from what the puppet really draws.

python -m studio.animate            writes docs/images/speaking.webp
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ditto_avatar.face.avatar import Avatar
from ditto_avatar.face.library import BUNDLED
from ditto_avatar.face.pack import find_avatars, load_avatar
from ditto_avatar.face.puppet.engine import PuppetEngine
from ditto_avatar.speech.espeak import EspeakEngine
from ditto_avatar.speech.utterance import utterance
from ditto_avatar.speech.voices import voice_for
from ditto_avatar.types import Emotion, Language, SpeechChunk, joined

TARGET = Path(__file__).parents[1] / "docs/images/speaking.webp"
WIDTH_PX = 256
QUALITY = 62
EVERY = 2
FRAME_MS = 40 * EVERY
LINES = (
    ("Hello! Ask me anything, I am happy to help.", Language.ENGLISH),
    ("안녕하세요, 무엇을 도와드릴까요?", Language.KOREAN),
    ("Good morning, what would you like to know?", Language.ENGLISH),
)

Picture = npt.NDArray[np.uint8]


async def speak(avatar: Avatar, line: tuple[str, Language]) -> SpeechChunk:
    """The line in the avatar's voice."""
    text, language = line
    async with EspeakEngine() as engine:
        voice = voice_for(engine, text, language, avatar.voices)
        return joined([chunk async for chunk in utterance(engine, text, voice, Emotion.HAPPY)])


async def perform(avatar: Avatar, sound: SpeechChunk, frames: int) -> list[Picture]:
    """The avatar saying it, BGR pictures of `WIDTH_PX`, the idle loop after the last word."""
    engine = PuppetEngine()
    stream = await engine.open(avatar)
    padded = np.pad(sound.samples, (0, max(0, frames * 640 - len(sound.samples))))
    await stream.push(padded, sound.phonemes, Emotion.HAPPY, 0.5)
    await stream.finish()
    height = WIDTH_PX * avatar.height // avatar.width
    made = []
    async for frame in stream:
        if frame.index < frames and frame.index % EVERY == 0:
            picture = cv2.cvtColor(frame.yuv, cv2.COLOR_YUV2BGR_I420)
            small = cv2.resize(picture, (WIDTH_PX, height), interpolation=cv2.INTER_AREA)
            made.append(np.asarray(small, np.uint8))
    await engine.close()
    return made


async def film() -> list[Picture]:
    """All presenters side by side, one line each, at the same time."""
    avatars = [load_avatar(path) for path in find_avatars(BUNDLED)]
    sounds = [await speak(a, line) for a, line in zip(avatars, LINES, strict=False)]
    frames = max(len(sound.samples) for sound in sounds) // 640
    parts = [await perform(a, s, frames) for a, s in zip(avatars, sounds, strict=True)]
    return [np.concatenate(row, axis=1) for row in zip(*parts, strict=True)]


def main() -> None:
    """Write the picture."""
    frames = asyncio.run(film())
    animation: Any = cv2.Animation()
    animation.frames = frames
    animation.durations = [FRAME_MS] * len(frames)
    animation.loop_count = 0
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwriteanimation(str(TARGET), animation, [cv2.IMWRITE_WEBP_QUALITY, QUALITY]):
        raise SystemExit(f"{TARGET} could not be written.")


if __name__ == "__main__":
    main()
