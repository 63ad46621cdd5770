"""Queue what is sent to one viewer, within bounds.

The rule when a reader is too slow: media go first. A viewer whose unsent fragments exceed the
limit loses the rest of that segment and plays the finished clip instead (`video_ready`). Events
are small and never dropped singly; a viewer that leaves a thousand of them unread, or too many
bytes of whatever kind, is disconnected and gets them again when it reconnects. Other viewers notice
nothing.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Protocol

from ditto_avatar.pipeline.clips import Clip
from ditto_avatar.transport.events import (
    Event,
    HistoryEntry,
    SegmentData,
    SegmentLive,
    SegmentStarted,
    TurnInterrupted,
    TurnStarted,
)

# About what an object costs beside its text.
_OBJECT_BYTES = 100


@dataclass(frozen=True, slots=True)
class NumberedEvent:
    """An event and its place in the session's log, None where it has none."""

    event: Event
    seq: int | None


class Route(Protocol):
    """Another way to a viewer, beside its outbox."""

    @property
    def up(self) -> bool:
        """Whether the next segment will take it."""

    def pass_on(self, item: NumberedEvent) -> NumberedEvent | None:
        """Take from an event what goes the other way; return what still goes into the outbox."""


class Overflow(Exception):
    """Ends `get`: the viewer left too much unread."""


class Outbox:
    """Queue events for one reader (`get`); any number of writers (`put`) never wait."""

    def __init__(
        self,
        *,
        streams: bool = True,
        begun: Callable[[str], object] = lambda way: None,
        max_media_bytes: int = 8 * 1024 * 1024,
        max_bytes: int = 16 * 1024 * 1024,
        max_events: int = 1000,
    ) -> None:
        """Call `begun` for each segment with the way that it goes: `rtc`, `stream` or `clip`."""
        self.route: Route | None = None
        """The viewer's WebRTC, where it has one."""
        self._streams = streams
        self._begun = begun
        self._max_media_bytes = max_media_bytes
        self._max_bytes = max_bytes
        self._max_events = max_events
        # Each item with the bytes that it counts for.
        self._items: deque[tuple[NumberedEvent, int]] = deque()
        self._media_bytes = 0
        self._bytes = 0
        self._starved: str | None = None
        self._closed = False
        self._overflowed = asyncio.Event()
        self._changed = asyncio.Event()

    def tell(self, event: Event) -> None:
        """Queue an event for this viewer only, without a number: an error, a pong, or what a viewer
        that asks again has missed."""
        self.put(NumberedEvent(event, None))

    def put(self, item: NumberedEvent) -> None:
        """Queue an event; media only for a viewer that streams. When that is too much, everything
        that waits is dropped, nothing is taken any more, and `overflowed` returns."""
        if self._closed:
            return
        passed = item if self.route is None else self.route.pass_on(item)
        if passed is None or isinstance(passed.event, SegmentLive):
            return
        if isinstance(passed.event, SegmentStarted):
            way = passed.event.transport
            self._begun(way if self._streams or way == "rtc" else "clip")
        self.add(passed)

    def add(self, item: NumberedEvent) -> None:
        """Queue an event as it is, whatever other ways the viewer has."""
        if self._closed:
            return
        event = item.event
        if isinstance(event, (TurnStarted, TurnInterrupted)):
            self._drop_older_than(event)
        if isinstance(event, SegmentData):
            self._put_media(event)
        else:
            self._append(item)
        if len(self._items) > self._max_events or self._bytes > self._max_bytes:
            self._overflow()
        self._changed.set()

    async def get(self) -> NumberedEvent | None:
        """Return the next event; None once the outbox is closed and empty. Raises `Overflow`.
        Cancelling is safe: nothing is taken out before there is something to return."""
        while not self._items and not self._closed:
            self._changed.clear()
            await self._changed.wait()
        if self._overflowed.is_set():
            raise Overflow
        if not self._items:
            return None
        item, size = self._items.popleft()
        self._bytes -= size
        if isinstance(item.event, SegmentData):
            self._media_bytes -= len(item.event.data)
        return item

    async def overflowed(self) -> None:
        """Return once the reader has left too much unread, even while it is stuck with an item
        that it took before. Cancelling is safe."""
        await self._overflowed.wait()

    def close(self) -> None:
        """Take nothing more; the reader ends after what is queued."""
        self._closed = True
        self._changed.set()

    def _overflow(self) -> None:
        self._closed = True
        self._items.clear()
        self._media_bytes = self._bytes = 0
        self._overflowed.set()

    def _append(self, item: NumberedEvent) -> None:
        size = _size(item.event)
        self._items.append((item, size))
        self._bytes += size

    def _put_media(self, event: SegmentData) -> None:
        if not self._streams or event.segment == self._starved:
            return
        if self._media_bytes + len(event.data) > self._max_media_bytes:
            self._starved = event.segment
            event = replace(event, data=b"", last=True, dropped=True)
        self._media_bytes += len(event.data)
        self._append(NumberedEvent(event, None))

    def _drop_older_than(self, event: TurnStarted | TurnInterrupted) -> None:
        newest = event.generation - (1 if isinstance(event, TurnStarted) else 0)
        kept = [
            (item, size)
            for item, size in self._items
            if not (isinstance(item.event, SegmentData) and item.event.generation <= newest)
        ]
        self._items = deque(kept)
        self._bytes = sum(size for _, size in kept)
        events = (item.event for item, _ in kept)
        self._media_bytes = sum(len(e.data) for e in events if isinstance(e, SegmentData))


def _size(value: Any) -> int:
    """About how many bytes `value`, an event or a part of one, takes while it waits."""
    match value:
        case str() | bytes():
            return _OBJECT_BYTES + len(value)
        case Event() | HistoryEntry() | Clip():
            return sum(_size(getattr(value, field.name)) for field in fields(value))
        case Mapping():
            return sum(_size(key) + _size(part) for key, part in value.items())
        case Sequence():
            return sum(map(_size, value))
    return _OBJECT_BYTES
