"""Run the third stage of a turn: sound to the face, or segments from the cache."""

from __future__ import annotations

import asyncio
import secrets
from contextlib import aclosing

from ditto_avatar.face.base import FaceEngine
from ditto_avatar.pipeline import progress
from ditto_avatar.pipeline.cache import SegmentMedia
from ditto_avatar.pipeline.flow import Flow, Replay, StreamSegments
from ditto_avatar.pipeline.lookup import SegmentLookup
from ditto_avatar.pipeline.segment import Segment
from ditto_avatar.pipeline.sentence_audio import SentenceAudio
from ditto_avatar.types import FRAME_RATE_HZ


class Speaking:
    """Push the sound of each sentence to a face stream. A sentence that was drawn before is taken
    from the cache; the stream before it ends, and a new one begins behind it."""

    def __init__(self, flow: Flow, face: FaceEngine, lookup: SegmentLookup | None) -> None:
        self._flow = flow
        self._face = face
        self._lookup = lookup
        self._streaming: StreamSegments | None = None
        self._segments = 0
        # The idle frame that continues what was spoken so far; None before the first sentence.
        self._next_frame: int | None = None
        self._frames = 0

    async def run(self, group: asyncio.TaskGroup) -> None:
        """Take the sentences of `flow.audios` in order, and put what is to be drawn into
        `flow.drawings`."""
        flow = self._flow
        while (audio := await flow.audios.get()) is not None:
            if (cut := flow.length.over) is not None:
                flow.cut(cut)
                audio.abandon()
            elif (media := await self._cached(audio)) is not None:
                audio.abandon()
                await self._end_stream()
                await self._replay(audio, media)
            else:
                audio.begin(group)
                await self._speak(audio)
            if audio in flow.chosen:
                flow.chosen.remove(audio)
            flow.under_way.set()
            flow.audio_places.release()
        flow.notify(progress.SoundEnded(self._frames))
        await self._end_stream()
        await flow.drawings.put(None)

    async def _cached(self, audio: SentenceAudio) -> SegmentMedia | None:
        if self._lookup is None or audio.key is None:
            return None
        return await self._lookup.find(self._flow.request, audio.key, self._next_frame)

    async def _replay(self, audio: SentenceAudio, media: SegmentMedia) -> None:
        self._flow.reached(progress.Milestone.FIRST_AUDIO)
        segment = Segment.of_media(secrets.token_hex(8), self._segments, audio.sentence, media)
        self._segments += 1
        await self._flow.drawings.put(Replay(segment, media))
        self._spoken(audio, media.frames)
        self._next_frame = (media.last_frame + 1) % self._flow.request.avatar.frame_count

    async def _speak(self, audio: SentenceAudio) -> None:
        segment: Segment | None = None
        emotion = audio.sentence.emotion
        async with aclosing(audio.sound()) as chunks:
            async for chunk in chunks:
                self._flow.reached(progress.Milestone.FIRST_AUDIO)
                streaming = self._streaming or await self._open_stream()
                if segment is None:
                    segment = self._begin_segment(audio)
                    await streaming.segments.put(segment)
                segment.sound.add(chunk.samples)
                await streaming.stream.push(chunk.samples, chunk.phonemes, emotion)
                # A quick voice gives all chunks at once, and nothing above has to wait then.
                await asyncio.sleep(0)
        if segment is None or self._streaming is None:
            self._spoken(audio, 0)
            return  # nothing in it can be spoken, a lone emoji for instance
        if not audio.voice_is_sure:
            segment.key = None
        frames = segment.close()
        self._streaming.frames += frames
        self._next_frame = self._streaming.stream.idle_frame(self._streaming.frames)
        self._spoken(audio, frames)
        await self._streaming.stream.flush()
        await self._flow.end_if_complete(segment)

    def _spoken(self, audio: SentenceAudio, frames: int) -> None:
        self._frames += frames
        self._flow.length.spoken(audio.sentence.text, frames / FRAME_RATE_HZ)

    async def _open_stream(self) -> StreamSegments:
        request = self._flow.request
        if self._next_frame is None:
            self._next_frame = request.start_frame()
        stream = await self._face.open(request.avatar.drawn or request.avatar, self._next_frame)
        self._flow.streams.append(stream)
        self._streaming = StreamSegments(stream)
        await self._flow.drawings.put(self._streaming)
        return self._streaming

    async def _end_stream(self) -> None:
        if self._streaming is not None:
            await self._streaming.stream.finish()
            self._streaming = None

    def _begin_segment(self, audio: SentenceAudio) -> Segment:
        segment = Segment(secrets.token_hex(8), self._segments, audio.sentence, audio.key)
        self._segments += 1
        self._flow.sink.begin(segment)
        return segment
