"""Encode each segment once, and share the result among several outputs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np

from ditto_avatar.face.avatar import Avatar
from ditto_avatar.face.base import EncodedFrame
from ditto_avatar.media.encode import EncodedPicture, FragmentEncoder
from ditto_avatar.media.fragments import Fragment
from ditto_avatar.pipeline.cache import SegmentMedia
from ditto_avatar.pipeline.segment import Segment
from ditto_avatar.pipeline.sinks import Sink
from ditto_avatar.types import SAMPLES_PER_FRAME, ByteArray, FloatArray, VideoFrame

T = TypeVar("T")
# How much sound is encoded ahead of the pictures (see `FragmentEncoder.encode`).
_SOUND_AHEAD = 2 * SAMPLES_PER_FRAME


class OneByOne:
    """Make calls in the threads of `executor`, one at a time."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._running: Future[Any] | None = None

    def begin(self, work: Callable[[], object]) -> None:
        """Call `work` before anything else, without waiting."""
        self._running = self._executor.submit(work)

    async def run(self, work: Callable[[], T]) -> T:
        """Call `work` when the last call has returned. Cancelling is safe: the thread finishes."""
        while self._running is not None and not self._running.done():
            await asyncio.wait([asyncio.wrap_future(self._running)])
        running = self._executor.submit(work)
        self._running = running
        # Shielded: a cancelled wait must not leave two threads in one encoder.
        return await asyncio.shield(asyncio.wrap_future(running))

    def at_last(self, work: Callable[[], object]) -> None:
        """Call `work` when the last call has returned, without waiting. An executor that is shut
        down meanwhile does it all the same."""
        if self._running is None or self._running.done():
            self._executor.submit(work)
        else:
            self._running.add_done_callback(lambda _: work())


class SegmentEncoder(Protocol):
    """Encode the pictures of one segment, or take them encoded."""

    fragments: list[Fragment]
    """All fragments so far."""

    async def add(self, segment: Segment, frame: VideoFrame, samples: FloatArray) -> Encoded:
        """Take the next picture of `segment` with its samples (640,). Cancelling is safe."""

    async def finish(self) -> list[Fragment]:
        """End the stream; return the fragments that remain."""

    def abandon(self) -> None:
        """Free what is held for a stream that will not be finished."""


class ThreadedEncoder:
    """Run a `FragmentEncoder` in the threads of `executor`, one call at a time."""

    def __init__(self, encoder: FragmentEncoder, executor: Executor) -> None:
        self.fragments: list[Fragment] = []
        """All fragments so far."""
        self._encoder = encoder
        self._calls = OneByOne(executor)

    def open(self) -> None:
        """Begin to open the codecs, while the first picture is drawn."""
        self._calls.begin(self._encoder.open)

    @property
    def frames(self) -> int:
        """How many pictures were encoded."""
        return self._encoder.frames

    @property
    def samples(self) -> int:
        """How many samples were encoded."""
        return self._encoder.samples

    @property
    def newest(self) -> EncodedPicture:
        """The picture that was encoded last."""
        return self._encoder.newest

    async def encode(self, picture: Callable[[], ByteArray], audio: FloatArray) -> list[Fragment]:
        """Encode the next picture and samples, as `FragmentEncoder.encode` takes them; `picture` is
        called in the thread. Cancelling is safe: the thread finishes the picture."""
        return await self._run(lambda: self._encoder.encode(picture(), audio))

    async def finish(self) -> list[Fragment]:
        """End the stream; return the fragments that remain."""
        return await self._run(self._encoder.finish)

    def abandon(self) -> None:
        """Free the codecs of a stream that will not be finished, after the call that runs."""
        self._calls.at_last(self._encoder.abandon)

    async def _run(self, work: Callable[[], list[Fragment]]) -> list[Fragment]:
        made = await self._calls.run(work)
        self.fragments.extend(made)
        return made


class DrawnPictures(ThreadedEncoder):
    """Encode one segment of `avatar` from the pictures that were drawn here."""

    def __init__(self, avatar: Avatar, executor: Executor) -> None:
        super().__init__(FragmentEncoder(*avatar.coded_size), executor)
        self._avatar = avatar
        self.open()

    async def add(self, segment: Segment, frame: VideoFrame, samples: FloatArray) -> Encoded:
        """Encode the next picture. Cancelling is safe: the thread finishes the picture."""
        picture = picture_of(frame, self._avatar)
        fragments = await self.encode(picture, _audio_for(segment, self))
        return Encoded(fragments, self.newest, samples)


def picture_of(frame: VideoFrame, avatar: Avatar) -> Callable[[], ByteArray]:
    """Return a function that makes the picture to encode from `frame`: a packed one for an avatar
    without its background."""
    cutout = avatar.cutout
    if cutout is None:
        return lambda: frame.yuv
    return lambda: cutout.packed(frame.idle_frame, frame.yuv)


NO_PICTURE = EncodedPicture(b"", key=False)
"""Stands for a picture that was encoded elsewhere: it comes in its fragments only."""


class ReceivedPictures:
    """Collect the fragments of one segment that was encoded where it was drawn."""

    def __init__(self) -> None:
        self.fragments: list[Fragment] = []
        """All fragments so far."""
        self._remain: list[Fragment] = []

    async def add(self, segment: Segment, frame: VideoFrame, samples: FloatArray) -> Encoded:
        """Take the next picture with its fragments; the last ones are left for `finish`."""
        assert isinstance(frame, EncodedFrame)
        first = len(self.fragments)
        made = [Fragment(index, data) for index, data in enumerate(frame.fragments, first)]
        self.fragments += made
        if frame.last:
            self._remain, made = made, []
        return Encoded(made, NO_PICTURE, samples)

    async def finish(self) -> list[Fragment]:
        """Return the last fragments."""
        return self._remain

    def abandon(self) -> None:
        """Do nothing: there is no codec to free."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """One picture that was encoded: the `fragments` that it completed (mostly none), and for
    outputs that send single pictures the picture itself and its samples (640,) at 16 kHz."""

    fragments: Sequence[Fragment]
    picture: EncodedPicture
    samples: FloatArray


class Output:
    """Take what was encoded of a turn's segments. The base does nothing with it."""

    async def run(self) -> None:
        """Do the work that goes on beside the drawing; return after `finish`."""

    def add(self, segment: Segment, encoded: Encoded) -> None:
        """Take the newest picture of `segment`."""

    async def end(self, segment: Segment, last: Sequence[Fragment], media: SegmentMedia) -> None:
        """Take the last fragments of `segment`, and all of it as `media`."""

    async def finish(self) -> None:
        """Finish the turn: no more segments will come."""


class EncodingSink(Sink):
    """Encode every segment of a turn as a stream of its own, and hand it to `outputs` in their
    order."""

    def __init__(
        self,
        avatar: Avatar,
        executor: Executor,
        outputs: Sequence[Output],
        *,
        encodes: bool = True,
    ) -> None:
        """With `encodes` False, pictures come as `EncodedFrame` and are handed on as they are."""
        self._avatar = avatar
        self._executor = executor
        self._outputs = outputs
        self._encodes = encodes
        self._encoders: dict[str, SegmentEncoder] = {}

    async def run(self) -> None:
        """Run all outputs."""
        async with asyncio.TaskGroup() as group:
            for output in self._outputs:
                group.create_task(output.run())

    def begin(self, segment: Segment) -> None:
        """Open an encoder for `segment`."""
        self._encoders[segment.id] = (
            DrawnPictures(self._avatar, self._executor) if self._encodes else ReceivedPictures()
        )

    async def add(self, segment: Segment, frame: VideoFrame, samples: FloatArray) -> None:
        """Encode a picture, unless it was where it was drawn, and hand on the fragments it
        completed."""
        encoded = await self._encoders[segment.id].add(segment, frame, samples)
        for output in self._outputs:
            output.add(segment, encoded)

    async def end(self, segment: Segment) -> None:
        """End the stream of `segment` and hand it on as a whole."""
        encoder = self._encoders.pop(segment.id)
        last = await encoder.finish()
        await self._end_outputs(segment, last, segment.media(tuple(encoder.fragments)))

    async def replay(self, segment: Segment, media: SegmentMedia) -> None:
        """Hand on a segment that was encoded before."""
        await self._end_outputs(segment, media.fragments, media)

    async def finish(self) -> None:
        """Finish all outputs."""
        for output in self._outputs:
            await output.finish()

    def abandon(self) -> None:
        """Free the encoders of segments that were not ended."""
        for encoder in self._encoders.values():
            encoder.abandon()
        self._encoders.clear()
        self._outputs = ()  # with the media that waits in them

    async def _end_outputs(
        self, segment: Segment, last: Sequence[Fragment], media: SegmentMedia
    ) -> None:
        for output in self._outputs:
            await output.end(segment, last, media)


def _audio_for(segment: Segment, encoder: ThreadedEncoder) -> FloatArray:
    """Return the sound that goes into the encoder with the next picture: what there is of it, up to
    `_SOUND_AHEAD` ahead; what should be there and is not is silent."""
    shown = (encoder.frames + 1) * SAMPLES_PER_FRAME
    audio = segment.sound.samples[encoder.samples : shown + _SOUND_AHEAD]
    return np.pad(audio, (0, max(0, shown - encoder.samples - len(audio))))
