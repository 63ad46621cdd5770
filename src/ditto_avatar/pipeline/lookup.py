"""Find the segments of a turn in the cache."""

from __future__ import annotations

import asyncio

from ditto_avatar.dialogue.base import Sentence
from ditto_avatar.face.base import FaceEngine
from ditto_avatar.pipeline.cache import SHARED, CacheKey, SegmentCache, SegmentMedia, cache_key
from ditto_avatar.pipeline.request import TurnRequest
from ditto_avatar.types import Voice


class SegmentLookup:
    """Name segments and find them again. `own_sentences` come from the server itself: they are
    cached for everybody, all others for their session."""

    def __init__(
        self, cache: SegmentCache, face: FaceEngine, own_sentences: frozenset[str]
    ) -> None:
        self._cache = cache
        self._face = face
        self._own_sentences = own_sentences

    def key(self, request: TurnRequest, sentence: Sentence, voice: Voice, speech: str) -> CacheKey:
        """Return the name of the segment in which `voice` of the speech engine with the
        fingerprint `speech` says `sentence`."""
        own = sentence.text in self._own_sentences
        avatar = request.avatar
        return cache_key(
            SHARED if own else request.scope,
            text=sentence.text,
            emotion=sentence.emotion,
            voice=f"{voice.engine}/{voice.id}",
            speech=speech,
            avatar=f"{avatar.name}/{avatar.fingerprint}",
            face=f"{self._face.name}/{self._face.fingerprint}",
        )

    async def has(self, key: CacheKey) -> bool:
        """Return whether there is any segment of `key`."""
        return await asyncio.to_thread(self._cache.has, key)

    async def find(
        self, request: TurnRequest, key: CacheKey, next_frame: int | None
    ) -> SegmentMedia | None:
        """Return the segment of `key` that begins with idle frame `next_frame`. The first one of a
        turn (None) may begin anywhere: the page fades into it."""
        near = request.start_frame() if next_frame is None else next_frame
        return await asyncio.to_thread(
            self._cache.find, key, request.avatar.frame_count, near, exact=next_frame is not None
        )
