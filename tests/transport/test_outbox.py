from __future__ import annotations

import asyncio
import gc
import weakref
from dataclasses import replace

import pytest

from ditto_avatar.pipeline.clips import Clip
from ditto_avatar.transport.events import (
    Event,
    Failure,
    SegmentData,
    SegmentStarted,
    TextDelta,
    TurnInterrupted,
    TurnStarted,
    VideoReady,
)
from ditto_avatar.transport.outbox import NumberedEvent, Outbox, Overflow
from ditto_avatar.types import Emotion
from tests.deadlines import TEST_DEADLINE_S

STARTED = SegmentStarted("t", 1, "s", 0, "Hello.", Emotion.NEUTRAL, "video/mp4", 0)


class Text(str):
    """A text whose end can be watched."""


def media(generation: int = 1, segment: str = "s", index: int = 0, size: int = 10) -> NumberedEvent:
    return NumberedEvent(SegmentData(generation, segment, index, False, data=bytes(size)), None)


def delta(text: str) -> NumberedEvent:
    return NumberedEvent(TextDelta("t", 1, text), 1)


async def drain(outbox: Outbox) -> list[Event]:
    outbox.close()
    items = []
    while (item := await outbox.get()) is not None:
        items.append(item.event)
    return items


async def test_events_come_out_in_order_and_the_end_is_told() -> None:
    outbox = Outbox()
    for text in "abc":
        outbox.put(delta(text))
    texts = [event.text for event in await drain(outbox) if isinstance(event, TextDelta)]
    assert texts == ["a", "b", "c"]


async def test_a_reader_waits_for_the_next_event() -> None:
    outbox = Outbox()
    reading = asyncio.create_task(outbox.get())
    await asyncio.sleep(0)
    outbox.put(delta("late"))
    assert await reading == delta("late")


async def test_a_viewer_that_plays_clips_gets_no_fragments() -> None:
    outbox = Outbox(streams=False)
    outbox.put(media())
    outbox.put(delta("a"))
    assert await drain(outbox) == [delta("a").event]


@pytest.mark.parametrize(("streams", "way"), [(True, "stream"), (False, "clip")])
async def test_each_segment_is_counted_by_the_way_that_it_goes(streams: bool, way: str) -> None:
    ways: list[str] = []
    outbox = Outbox(streams=streams, begun=ways.append)
    for transport in ("stream", "rtc"):
        outbox.put(NumberedEvent(replace(STARTED, transport=transport), None))
    outbox.put(media())
    assert ways == [way, "rtc"]


async def test_a_slow_reader_loses_the_rest_of_a_segment_and_is_told_once() -> None:
    outbox = Outbox(max_media_bytes=25)
    for index in range(5):
        outbox.put(media(index=index))
    outbox.put(delta("text still comes"))
    found = await drain(outbox)
    fragments = [event for event in found if isinstance(event, SegmentData)]
    assert [(f.index, f.dropped, len(f.data)) for f in fragments] == [
        (0, False, 10),
        (1, False, 10),
        (2, True, 0),
    ]
    assert isinstance(found[-1], TextDelta)


async def test_the_next_segment_streams_again() -> None:
    outbox = Outbox(max_media_bytes=25)
    for index in range(4):
        outbox.put(media(index=index))
    for _ in range(3):
        await outbox.get()
    outbox.put(media(segment="next"))
    (fragment,) = await drain(outbox)
    assert isinstance(fragment, SegmentData)
    assert not fragment.dropped


async def test_an_interruption_drops_the_fragments_that_wait() -> None:
    outbox = Outbox()
    outbox.put(media(generation=1))
    outbox.put(delta("kept"))
    outbox.put(NumberedEvent(TurnInterrupted("t", 1, "user"), 2))
    found = await drain(outbox)
    assert [type(event) for event in found] == [TextDelta, TurnInterrupted]


async def test_a_new_turn_drops_fragments_of_older_ones_only() -> None:
    outbox = Outbox()
    outbox.put(media(generation=1))
    outbox.put(NumberedEvent(TurnStarted("t", 2, "message", "hi"), 2))
    outbox.put(media(generation=2))
    found = await drain(outbox)
    assert [type(event) for event in found] == [TurnStarted, SegmentData]


async def test_a_thousand_unread_events_end_the_connection() -> None:
    outbox = Outbox(max_events=3)
    for _ in range(4):
        outbox.put(delta("x"))
    with pytest.raises(Overflow):
        await outbox.get()


async def test_bytes_that_are_not_read_end_the_connection_whatever_they_are() -> None:
    for event in (
        TextDelta("t", 1, "x" * 2_000),
        Failure("code", "x" * 2_000),
        VideoReady("t", 1, "s", Clip("n", 0, "x" * 2_000, Emotion.NEUTRAL, 1.0, 0, 24)),
    ):
        outbox = Outbox(max_bytes=10_000)
        for _ in range(5):
            outbox.put(NumberedEvent(event, None))
        with pytest.raises(Overflow):
            await outbox.get()


async def test_what_was_read_makes_room() -> None:
    outbox = Outbox(max_bytes=10_000, max_events=3)
    for _ in range(50):
        outbox.put(delta("x" * 5_000))
        assert await outbox.get() is not None


async def test_an_overflow_keeps_nothing_and_is_told_while_the_reader_is_stuck() -> None:
    outbox = Outbox(max_events=3)
    told = asyncio.create_task(outbox.overflowed())
    await asyncio.sleep(0)
    text = Text("x" * 1_000)
    item, watched = delta(text), weakref.ref(text)
    for _ in range(4):
        outbox.put(item)
    await asyncio.wait_for(told, TEST_DEADLINE_S)  # nobody has called `get`
    outbox.put(item)
    del item, text
    gc.collect()
    assert watched() is None


async def test_a_closed_outbox_takes_nothing_more() -> None:
    outbox = Outbox()
    outbox.close()
    outbox.put(delta("x"))
    assert await outbox.get() is None
