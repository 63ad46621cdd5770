"""Draw and encode one face stream at a worker."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from concurrent.futures import Executor
from fractions import Fraction
from typing import Any

import numpy as np

from ditto_avatar.cluster import worker_pb2 as pb
from ditto_avatar.cluster.messages import sound_of
from ditto_avatar.face.avatar import Avatar
from ditto_avatar.face.base import FaceStream
from ditto_avatar.media.encode import FragmentEncoder, fragment_lengths
from ditto_avatar.media.fragments import Fragment as MediaFragment
from ditto_avatar.media.moved import FragmentMover
from ditto_avatar.types import (
    FRAME_RATE_HZ,
    SAMPLES_PER_FRAME,
    FloatArray,
    VideoFrame,
    frames_for,
)

# Messages that wait for the network; then drawing waits.
_WAITING = 2
# What the sound's codec holds back: with it a fragment is complete when its pictures are.
_SOUND_AHEAD = 2 * SAMPLES_PER_FRAME


class Sentence:
    """One sentence: its sound, and the encoder of its pictures. With `before`, that many pictures
    of it are there already, and this is the sound behind them."""

    def __init__(self, avatar: Avatar, before: int, executor: Executor) -> None:
        self.frames: int | None = None
        self.drawn = 0
        self.ended = False
        self._idle_frames: list[int] = []
        self._lengths = fragment_lengths()
        self._sound = np.zeros(0, np.float32)
        self._executor = executor
        # A cancelled wait leaves its thread in the encoder; nobody else may enter meanwhile.
        self._lock = threading.Lock()
        self._encoder = FragmentEncoder(avatar.width, avatar.height)
        # The part before was a stream of its own; this one begins with a header again.
        self._mover = FragmentMover(Fraction(before, FRAME_RATE_HZ)) if before else None

    @property
    def complete(self) -> bool:
        """Whether all pictures are encoded that the sound asks for."""
        return self.frames is not None and self.drawn >= self.frames

    def add(self, samples: FloatArray) -> None:
        """Add sound."""
        self._sound = np.concatenate([self._sound, samples])

    def close(self) -> None:
        """End the sound."""
        self.frames = frames_for(len(self._sound))

    async def encode(self, frame: VideoFrame) -> pb.Pictures | None:
        """Encode the next picture; return those of the fragments that it completed."""
        shown = (self.drawn + 1) * SAMPLES_PER_FRAME
        taken = self._encoder.samples
        sound = self._sound[taken : shown + _SOUND_AHEAD]
        sound = np.pad(sound, (0, max(0, shown - taken - len(sound))))
        made = await self._run(lambda: self._encoder.encode(frame.yuv, sound))
        self.drawn += 1
        self._idle_frames.append(frame.idle_frame)
        if not made:
            return None
        pictures = sum(next(self._lengths) for _ in made)
        shown_frames = self._idle_frames[:pictures]
        del self._idle_frames[:pictures]
        return self._message(shown_frames, made)

    async def finish(self) -> pb.Pictures:
        """End the encoder; return the pictures that remain."""
        self.ended = True
        made = await self._run(self._encoder.finish)
        return self._message(self._idle_frames, made, last=True)

    async def _run(self, work: Callable[[], list[MediaFragment]]) -> list[MediaFragment]:
        def locked() -> list[MediaFragment]:
            with self._lock:
                return work()

        return await asyncio.get_running_loop().run_in_executor(self._executor, locked)

    def _message(
        self, idle_frames: list[int], made: list[MediaFragment], *, last: bool = False
    ) -> pb.Pictures:
        data = [fragment.data for fragment in made]
        if self._mover is not None:
            data = [self._mover.move(each) for each in data]
        return pb.Pictures(idle_frames=idle_frames, fragments=data, last=last)

    def abandon(self) -> None:
        """Free the encoder of a sentence that will not be finished."""
        if not self.ended:
            self.ended = True
            self._executor.submit(self._free)

    def _free(self) -> None:
        with self._lock:
            self._encoder.abandon()


class WorkerStream:
    """Feed `stream` with what comes up, and send its pictures down as fragments."""

    def __init__(self, stream: FaceStream, avatar: Avatar, before: int, executor: Executor) -> None:
        self._stream = stream
        self._avatar = avatar
        self._executor = executor
        self._sentences: asyncio.Queue[Sentence] = asyncio.Queue()
        self._pushing: Sentence | None = None
        self._before = before
        self._drawing: Sentence | None = None
        self._error: Exception | None = None
        self._down: asyncio.Queue[pb.Pictures | None] = asyncio.Queue(_WAITING)

    async def run(self, ups: AsyncIterator[pb.Up]) -> AsyncGenerator[pb.Pictures, None]:
        """Yield pictures until `ups` has finished and all are sent. Closing the iterator cancels
        the drawing."""
        tasks = [
            asyncio.create_task(self._guarded(self._feed(ups))),
            asyncio.create_task(self._guarded(self._draw())),
        ]
        try:
            yield pb.Pictures(loop=_loop(self._stream))
            while (pictures := await self._down.get()) is not None:
                yield pictures
            if self._error is not None:
                raise self._error
        finally:
            for task in tasks:
                task.cancel()
            await self._stream.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for sentence in (self._drawing, self._pushing):
                if sentence is not None:
                    sentence.abandon()
            while not self._sentences.empty():
                self._sentences.get_nowait().abandon()

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        """Do the work of one task; its error ends the stream."""
        try:
            await work
        except Exception as error:
            self._error = error
            await self._down.put(None)

    async def _feed(self, ups: AsyncIterator[pb.Up]) -> None:
        async for up in ups:
            step = up.WhichOneof("step")
            if step == "sound":
                sound = sound_of(up.sound)
                if self._pushing is None:
                    self._pushing = Sentence(self._avatar, self._before, self._executor)
                    self._before = 0
                    self._sentences.put_nowait(self._pushing)
                self._pushing.add(sound.samples)
                await self._stream.push(
                    sound.samples, sound.phonemes, sound.emotion, sound.intensity
                )
            elif step == "flush" and self._pushing is not None:
                sentence, self._pushing = self._pushing, None
                sentence.close()
                await self._stream.flush()
                await self._end_if_complete(sentence)
            elif step == "finish":
                await self._stream.finish()
                return
        raise ConnectionResetError("the caller went away before it finished")

    async def _draw(self) -> None:
        async for frame in self._stream:
            sentence = self._drawing
            if sentence is None or sentence.complete:
                sentence = self._drawing = await self._sentences.get()
            if (pictures := await sentence.encode(frame)) is not None:
                await self._down.put(pictures)
            await self._end_if_complete(sentence)
        await self._down.put(None)

    async def _end_if_complete(self, sentence: Sentence) -> None:
        if sentence.complete and not sentence.ended:
            await self._down.put(await sentence.finish())


def _loop(stream: FaceStream) -> list[int]:
    """Return the idle frames of the pictures 0, 1, 2…, until they repeat."""
    frames = [stream.idle_frame(0), stream.idle_frame(1)]
    while True:
        frames.append(stream.idle_frame(len(frames)))
        if frames[-2:] == frames[:2]:
            return frames[:-2]
