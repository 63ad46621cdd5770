from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import pytest

from ditto_avatar.dialogue.base import Sentence
from ditto_avatar.media.encode import FragmentEncoder
from ditto_avatar.media.fragments import Fragment
from ditto_avatar.pipeline.segment import Pace, Segment
from ditto_avatar.types import SAMPLES_PER_FRAME, ByteArray, FloatArray, VideoFrame
from tests.deadlines import TEST_DEADLINE_S
from tests.fakes.clock import ManualClock


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


def segment(executor: ThreadPoolExecutor) -> Segment:
    return Segment("s", 0, Sentence("Hi."), None, FragmentEncoder(64, 64), executor)


def picture(index: int, idle_frame: int) -> VideoFrame:
    return VideoFrame(index, idle_frame, np.full((96, 64), 100, np.uint8))


async def test_a_segment_is_complete_when_its_sound_is_drawn(
    executor: ThreadPoolExecutor,
) -> None:
    part = segment(executor)
    part.add_audio(np.zeros(2 * SAMPLES_PER_FRAME, np.float32))
    await part.draw(picture(0, 7))
    await part.draw(picture(1, 8))
    assert not part.complete  # more sound may come
    part.close()
    assert part.complete
    assert (part.first_frame, part.last_frame, part.seconds) == (7, 8, 0.08)
    assert await part.finish()


async def test_a_last_partial_frame_is_filled_with_silence(executor: ThreadPoolExecutor) -> None:
    part = segment(executor)
    part.add_audio(np.ones(SAMPLES_PER_FRAME + 1, np.float32))
    part.close()
    assert part.frames == 2
    assert len(part.audio) == 2 * SAMPLES_PER_FRAME
    part.abandon()


async def test_abandoning_waits_for_the_picture_that_is_being_encoded(
    executor: ThreadPoolExecutor,
) -> None:
    part = segment(executor)
    part.add_audio(np.zeros(SAMPLES_PER_FRAME, np.float32))
    drawing = asyncio.create_task(part.draw(picture(0, 0)))
    await asyncio.sleep(0)
    drawing.cancel()
    part.abandon()
    with pytest.raises(asyncio.CancelledError):
        await drawing
    # The pool is joined by the fixture: a second thread inside the encoder would crash it.


class SlowEncoder(FragmentEncoder):
    """Segments a picture when `gate` opens; `inside` are the threads that are in it."""

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


async def test_a_segment_is_not_complete_while_its_last_picture_is_encoded(
    executor: ThreadPoolExecutor,
) -> None:
    encoder = SlowEncoder()
    part = Segment("s", 0, Sentence("Hi."), None, encoder, executor)
    part.add_audio(np.zeros(SAMPLES_PER_FRAME, np.float32))
    part.close()
    drawing = asyncio.create_task(part.draw(picture(0, 0)))
    assert await asyncio.to_thread(encoder.entered.wait, 20)
    assert not part.complete
    finishing = asyncio.create_task(part.finish())
    await asyncio.sleep(0)
    encoder.gate.set()
    await drawing
    assert part.complete
    assert await finishing
    assert encoder.most == 1


async def test_what_is_within_the_lead_is_drawn_at_once() -> None:
    clock = ManualClock()
    pace = Pace(clock, 2.0)
    for media_s in (0.0, 1.0, 2.0):
        await pace.wait(media_s)
    assert clock.sleepers == 0


async def test_what_is_beyond_the_lead_waits_for_its_time() -> None:
    clock = ManualClock()
    pace = Pace(clock, 2.0)
    await pace.wait(0.0)
    waiting = asyncio.create_task(pace.wait(3.0))
    await asyncio.sleep(0)
    clock.advance(0.9)
    await asyncio.sleep(0)
    assert not waiting.done()
    clock.advance(0.2)
    await waiting


async def test_a_model_that_stalls_leaves_no_time_to_draw_ahead() -> None:
    clock = ManualClock()
    pace = Pace(clock, 8.0)
    await pace.wait(0.0)
    await pace.wait(1.0)
    clock.advance(21.0)  # the viewer has seen the one second that there is, and waits
    await pace.wait(1.0)
    await pace.wait(9.0)
    waiting = asyncio.create_task(pace.wait(9.5))
    await asyncio.sleep(0)
    assert not waiting.done()
    clock.advance(0.5)
    await waiting


async def test_a_short_pause_takes_nothing_from_the_lead() -> None:
    clock = ManualClock()
    pace = Pace(clock, 2.0)
    await pace.wait(0.0)
    await pace.wait(2.0)
    clock.advance(1.5)  # there is half a second left to play
    await pace.wait(3.5)
    waiting = asyncio.create_task(pace.wait(3.6))
    await asyncio.sleep(0)
    assert not waiting.done()
    clock.advance(0.2)
    await waiting
