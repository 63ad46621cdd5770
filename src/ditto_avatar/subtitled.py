"""Speak captions at their times."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from functools import partial

import numpy as np

from ditto_avatar.dialogue.base import Sentence
from ditto_avatar.dialogue.clauses import clauses
from ditto_avatar.face.avatar import Avatar
from ditto_avatar.media.captions import Cue
from ditto_avatar.pipeline.request import Recording
from ditto_avatar.speech.base import SpeechEngine
from ditto_avatar.speech.utterance import utterance
from ditto_avatar.speech.voices import voice_for
from ditto_avatar.types import FRAME_RATE_HZ, SAMPLES_PER_FRAME, Language, SpeechChunk, joined

# Later than this somebody would notice.
_LATE_FRAMES = FRAME_RATE_HZ // 2


async def spoken_captions(
    cues: Sequence[Cue],
    avatar: Avatar,
    speech: SpeechEngine,
    language: Language,
    on_notice: Callable[[str], object],
) -> list[Recording]:
    """Speak each caption, emotion tags and all, so that it begins at its time; or, where the one
    before it lasts longer, behind that. `on_notice` is called for each that begins noticeably
    later. Raises what the engine raises. Cancelling is safe."""
    recordings: list[Recording] = []
    frames = 0
    for number, cue in enumerate(cues, start=1):
        pause = round(cue.start_s * FRAME_RATE_HZ) - frames
        if pause < -_LATE_FRAMES:
            late_s = -pause / FRAME_RATE_HZ
            on_notice(f"Caption {number} begins {late_s:.1f} s late: the ones before it are long.")
        async with aclosing(clauses(_once(cue.text), language=language)) as items:
            sentences = [item async for item in items if isinstance(item, Sentence)]
        for sentence in sentences:
            sound = await _sound(sentence, avatar, speech, language)
            if pause > 0:
                silence = np.zeros(pause * SAMPLES_PER_FRAME, np.float32)
                sound = joined([SpeechChunk(silence), sound])
            pause = 0
            frames += len(sound.samples) // SAMPLES_PER_FRAME
            recordings.append(Recording(sentence, partial(_chunks, sound)))
    return recordings


async def _sound(
    sentence: Sentence, avatar: Avatar, speech: SpeechEngine, language: Language
) -> SpeechChunk:
    voice = voice_for(speech, sentence.text, language, avatar.voices)
    sound = utterance(speech, sentence.text, voice, sentence.emotion)
    async with aclosing(sound) as chunks:
        return joined([chunk async for chunk in chunks])


async def _chunks(sound: SpeechChunk) -> AsyncGenerator[SpeechChunk, None]:
    yield sound


async def _once(text: str) -> AsyncGenerator[str, None]:
    yield text
