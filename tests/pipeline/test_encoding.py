from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import pytest

from ditto_avatar.dialogue.base import Sentence
from ditto_avatar.face.avatar import Avatar
from ditto_avatar.media.encode import EncodedPicture, FragmentEncoder
from ditto_avatar.media.fragments import Fragment
from ditto_avatar.pipeline.cache import SegmentMedia
from ditto_avatar.pipeline.encoding import Encoded, EncodingSink, Output, ThreadedEncoder
from ditto_avatar.pipeline.segment import Segment
from ditto_avatar.types import SAMPLES_PER_FRAME, ByteArray, FloatArray, VideoFrame
from tests.deadlines import TEST_DEADLINE_S

PICTURE = np.full((96, 64), 100, np.uint8)
SILENCE = np.zeros(SAMPLES_PER_FRAME, np.float32)


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


async def test_abandoning_waits_for_the_picture_that_is_being_encoded(
    executor: ThreadPoolExecutor,
) -> None:
    encoder = ThreadedEncoder(FragmentEncoder(64, 64), executor)
    encoding = asyncio.create_task(encoder.encode(lambda: PICTURE, SILENCE))
    await asyncio.sleep(0)
    encoding.cancel()
    encoder.abandon()
    with pytest.raises(asyncio.CancelledError):
        await encoding
    # The pool is joined by the fixture: a second thread inside the encoder would crash it.


class SlowEncoder(FragmentEncoder):
    """Encodes a picture when `gate` opens; `most` is how many threads were in it at once."""

    def __init__(self) -> None:
        super().__init__(64, 64)
        self.gate, self.entered = threading.Event(), threading.Event()
        self.inside = self.most = 0

    def encode(self, yuv: ByteArray, audio: FloatArray) -> list[Fragment]:
        with self._counted():
            self.entered.set()
            assert self.gate.wait(TEST_DEADLINE_S)
            return super().encode(yuv, audio)

    def finish(self) -> list[Fragment]:
        with self._counted():
            return super().finish()

    @contextmanager
    def _counted(self) -> Iterator[None]:
        self.inside += 1
        self.most = max(self.most, self.inside)
        yield
        self.inside -= 1


async def test_an_encoder_is_finished_after_the_picture_that_is_in_it(
    executor: ThreadPoolExecutor,
) -> None:
    slow = SlowEncoder()
    encoder = ThreadedEncoder(slow, executor)
    encoding = asyncio.create_task(encoder.encode(lambda: PICTURE, SILENCE))
    assert await asyncio.to_thread(slow.entered.wait, TEST_DEADLINE_S)
    finishing = asyncio.create_task(encoder.finish())
    await asyncio.sleep(0)
    slow.gate.set()
    await encoding
    assert await finishing
    assert slow.most == 1


class Kept(Output):
    """An output that keeps all it is given."""

    def __init__(self) -> None:
        self.fragments: list[Fragment] = []
        self.pictures: list[EncodedPicture] = []
        self.media: list[SegmentMedia] = []
        self.finished = asyncio.Event()

    async def run(self) -> None:
        await self.finished.wait()

    def add(self, segment: Segment, encoded: Encoded) -> None:
        self.fragments += encoded.fragments
        self.pictures.append(encoded.picture)

    async def end(self, segment: Segment, last: Sequence[Fragment], media: SegmentMedia) -> None:
        self.fragments += last
        self.media.append(media)

    async def finish(self) -> None:
        self.finished.set()


async def test_a_segment_is_encoded_once_for_all_outputs(
    avatar: Avatar, executor: ThreadPoolExecutor
) -> None:
    first, second = Kept(), Kept()
    sink = EncodingSink(avatar, executor, (first, second))
    running = asyncio.create_task(sink.run())
    segment = Segment("s", 0, Sentence("Hi."), None)
    sink.begin(segment)
    segment.sound.add(np.zeros(7 * SAMPLES_PER_FRAME, np.float32))
    segment.close()
    for index in range(7):
        frame = VideoFrame(index, index, avatar.idle_frames[index])
        await sink.add(segment, frame, segment.next_samples(frame))
        segment.took()
    await sink.end(segment)
    await sink.finish()
    await running
    assert [fragment.index for fragment in first.fragments] == [0, 1, 2]
    assert all(a is b for a, b in zip(first.fragments, second.fragments, strict=True))
    assert first.media == second.media
    assert len(first.pictures) == 7
    assert first.pictures == second.pictures
    assert first.media[0].fragments == tuple(first.fragments)


async def test_an_output_that_fails_ends_the_turn(
    avatar: Avatar, executor: ThreadPoolExecutor
) -> None:
    class Broken(Kept):
        async def run(self) -> None:
            raise OSError("the disk is gone")

    sink = EncodingSink(avatar, executor, (Kept(), Broken()))
    with pytest.raises(ExceptionGroup, match="unhandled"):
        await sink.run()
