"""A sentence from text to sound that a face can be drawn to."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

import numpy as np

from ditto_avatar.speech.base import SpeechEngine
from ditto_avatar.speech.text import spoken_text
from ditto_avatar.types import (
    SAMPLE_RATE_HZ,
    SAMPLES_PER_FRAME,
    Emotion,
    FloatArray,
    SpeechChunk,
    Voice,
    frames_for,
    joined,
)

LEAD_SAMPLES = SAMPLE_RATE_HZ * 150 // 1000
TAIL_SAMPLES = SAMPLE_RATE_HZ * 100 // 1000


async def utterance(
    engine: SpeechEngine, sentence: str, voice: Voice, emotion: Emotion = Emotion.NEUTRAL
) -> AsyncGenerator[SpeechChunk, None]:
    """Clean `sentence`, let `engine` say it, and put silence around it.

    150 ms of silence lead (in the first chunk, so nothing is given before the engine has
    answered) and at least 100 ms close; in all it lasts a whole number of 640-sample frames.
    Yields nothing for a sentence with nothing to say. Raises what the engine raises.
    """
    text = spoken_text(sentence, voice.language)
    if not text:
        return
    count = 0
    async with aclosing(engine.speak(text, voice, emotion)) as chunks:
        async for chunk in chunks:
            if not len(chunk.samples):
                continue
            if not count:
                chunk = joined([SpeechChunk(_silence(LEAD_SAMPLES)), chunk])
            count += len(chunk.samples)
            yield chunk
    if count:
        total = frames_for(count + TAIL_SAMPLES) * SAMPLES_PER_FRAME
        yield SpeechChunk(_silence(total - count))


def _silence(samples: int) -> FloatArray:
    return np.zeros(samples, np.float32)
