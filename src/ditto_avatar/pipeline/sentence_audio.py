"""Make the sound of a sentence while the one before it is still being spoken."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field

from ditto_avatar.dialogue.base import Sentence
from ditto_avatar.pipeline.cache import CacheKey
from ditto_avatar.types import SpeechChunk

_CHUNKS_AHEAD = 64


@dataclass(slots=True, eq=False)
class SentenceAudio:
    """Make the sound of a sentence ahead of its use: `make` begins it. `key` is the name of its
    segment in the cache; without one, neither is it looked for there nor kept."""

    sentence: Sentence
    make: Callable[[], AsyncGenerator[SpeechChunk, None]]
    key: CacheKey | None = None
    voice_is_sure: bool = True
    """False once an engine failed: perhaps another voice speaks than the one that `key` names."""
    # Ends with None, or with what went wrong.
    _chunks: asyncio.Queue[SpeechChunk | Exception | None] = field(
        default_factory=lambda: asyncio.Queue(_CHUNKS_AHEAD)
    )
    _making: asyncio.Task[None] | None = None

    def begin(self, group: asyncio.TaskGroup) -> None:
        """Make the sound in a task of `group`; nothing happens the second time."""
        if self._making is None:
            self._making = group.create_task(self._make())

    def abandon(self) -> None:
        """Stop making the sound: it is not needed."""
        if self._making is not None:
            self._making.cancel()

    async def sound(self) -> AsyncGenerator[SpeechChunk, None]:
        """Yield the chunks as they come. Raises what `make` raised."""
        while (chunk := await self._chunks.get()) is not None:
            if isinstance(chunk, Exception):
                raise chunk
            yield chunk

    async def _make(self) -> None:
        try:
            async with aclosing(self.make()) as chunks:
                async for chunk in chunks:
                    await self._chunks.put(chunk)
                    # A quick voice gives all of them at once: others come in between.
                    await asyncio.sleep(0)
        except Exception as error:
            # The border of a task: it is raised when the turn has come to this sentence.
            await self._chunks.put(error)
        else:
            await self._chunks.put(None)
