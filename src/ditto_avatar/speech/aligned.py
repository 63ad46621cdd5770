"""A voice that knows no phonemes borrows them: the embedded voice says the same sentence, and
the alignment finds its phonemes in the foreign sound."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from ditto_avatar.errors import DittoAvatarError
from ditto_avatar.providers import ProviderCheck
from ditto_avatar.speech.alignment import Aligner, aligned
from ditto_avatar.speech.base import SpeechEngine
from ditto_avatar.speech.voices import voice_for
from ditto_avatar.types import Emotion, SpeechChunk, Voice, joined


class AlignedSpeech:
    """A `SpeechEngine` that gives `engine`'s sound with the phonemes of `reference`, which stays
    the caller's to close."""

    def __init__(self, engine: SpeechEngine, reference: SpeechEngine) -> None:
        self._engine = engine
        self._reference = reference

    @property
    def name(self) -> str:
        """The name of the engine whose sound is heard."""
        return self._engine.name

    @property
    def fingerprint(self) -> str:
        """Of both engines: the face follows the reference's phonemes."""
        return f"{self._engine.fingerprint} by {self._reference.fingerprint}"

    def voices(self) -> Sequence[Voice]:
        return self._engine.voices()

    async def speak(
        self, sentence: str, voice: Voice, emotion: Emotion = Emotion.NEUTRAL
    ) -> AsyncGenerator[SpeechChunk, None]:
        # The reference is ready long before a service has answered.
        reference = asyncio.create_task(self._aligner(sentence, voice))
        try:
            async with aclosing(self._engine.speak(sentence, voice, emotion)) as chunks:
                first = await anext(chunks, None)
                if first is None:
                    return
                aligner = await reference
                rest = _after(first, chunks)
                if first.phonemes or aligner is None:
                    async for chunk in rest:
                        yield chunk
                else:
                    async with aclosing(aligned(rest, aligner)) as matched:
                        async for chunk in matched:
                            yield chunk
        finally:
            reference.cancel()
            await asyncio.wait([reference])

    async def check(self) -> str:
        """What the engine whose sound is heard says of itself."""
        if not isinstance(self._engine, ProviderCheck):
            return f"{self.name} speaks"
        return await self._engine.check()

    async def close(self) -> None:
        await self._engine.close()

    async def _aligner(self, sentence: str, voice: Voice) -> Aligner | None:
        """What finds the phonemes of `sentence`; None when the reference knows none."""
        try:
            own = voice_for(self._reference, sentence, voice.language)
            async with aclosing(self._reference.speak(sentence, own)) as chunks:
                said = joined([chunk async for chunk in chunks])
        except DittoAvatarError:
            # Without phonemes the face follows the sound alone.
            return None
        return await asyncio.to_thread(Aligner, said) if said.phonemes else None


async def _after(
    first: SpeechChunk, rest: AsyncGenerator[SpeechChunk, None]
) -> AsyncGenerator[SpeechChunk, None]:
    yield first
    async for chunk in rest:
        yield chunk
