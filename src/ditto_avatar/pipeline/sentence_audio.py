"""The sound of one sentence, made while the sentence before it is still being spoken."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field

from ditto_avatar.dialogue.base import Sentence
from ditto_avatar.pipeline.cache import CacheKey
from ditto_avatar.speech.base import SpeechEngine
from ditto_avatar.speech.utterance import utterance
from ditto_avatar.types import SpeechChunk, Voice

_CHUNKS_AHEAD = 64


@dataclass(slots=True)
class SentenceAudio:
    """A sentence, who says it, and its name in the cache; `fallbacks` is how many engines had
    failed in this turn when it was chosen."""

    sentence: Sentence
    voice: Voice
    key: CacheKey
    fallbacks: int
    # Ends with None, or with what went wrong.
    _chunks: asyncio.Queue[SpeechChunk | Exception | None] = field(
        default_factory=lambda: asyncio.Queue(_CHUNKS_AHEAD)
    )
    _making: asyncio.Task[None] | None = None

    def begin(self, group: asyncio.TaskGroup, speech: SpeechEngine) -> None:
        """Have the sound made by a task of `group`; nothing happens the second time."""
        if self._making is None:
            self._making = group.create_task(self._make(speech))

    def abandon(self) -> None:
        """The sound is not needed."""
        if self._making is not None:
            self._making.cancel()

    async def sound(self) -> AsyncGenerator[SpeechChunk, None]:
        """The chunks as they come. Raises what the engine raised."""
        while (chunk := await self._chunks.get()) is not None:
            if isinstance(chunk, Exception):
                raise chunk
            yield chunk

    async def _make(self, speech: SpeechEngine) -> None:
        sound = utterance(speech, self.sentence.text, self.voice, self.sentence.emotion)
        try:
            async with aclosing(sound) as chunks:
                async for chunk in chunks:
                    await self._chunks.put(chunk)
        except Exception as error:
            # The border of a task: it is told when the turn has come to this sentence.
            await self._chunks.put(error)
        else:
            await self._chunks.put(None)
