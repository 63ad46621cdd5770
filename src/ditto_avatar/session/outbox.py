"""What waits to be sent to one viewer, bounded.

The rule when a reader is too slow: media go first. A viewer whose unsent fragments exceed the
limit loses the rest of that segment and plays the finished clip instead (`video_ready`). Events
are small and never dropped; a viewer that leaves a thousand of them unread is disconnected and
gets them again when it reconnects. Nobody else notices either.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, replace

from ditto_avatar.session.events import Event, SegmentData, TurnInterrupted, TurnStarted


@dataclass(frozen=True, slots=True)
class Numbered:
    """An event and its place in the session's log, None where it has none."""

    event: Event
    seq: int | None


class Overflow(Exception):
    """The reader left too many events unread."""


class Outbox:
    """A queue with one reader (`get`) and any number of writers that never wait (`put`)."""

    def __init__(
        self,
        *,
        streams: bool = True,
        max_media_bytes: int = 8 * 1024 * 1024,
        max_events: int = 1000,
    ) -> None:
        self._streams = streams
        self._max_media_bytes = max_media_bytes
        self._max_events = max_events
        self._items: deque[Numbered] = deque()
        self._media_bytes = 0
        self._starved: str | None = None
        self._overflowed = False
        self._closed = False
        self._changed = asyncio.Event()

    def put(self, item: Numbered) -> None:
        """Queue an event; media only for a viewer that streams."""
        if self._closed:
            return
        event = item.event
        if isinstance(event, (TurnStarted, TurnInterrupted)):
            self._drop_older_than(event)
        if isinstance(event, SegmentData):
            self._put_media(event)
        else:
            self._items.append(item)
        if len(self._items) > self._max_events:
            self._overflowed = True
        self._changed.set()

    async def get(self) -> Numbered | None:
        """The next event; None once the outbox is closed and empty. Raises `Overflow`."""
        while not self._items and not self._closed:
            self._changed.clear()
            await self._changed.wait()
        if self._overflowed:
            raise Overflow
        if not self._items:
            return None
        item = self._items.popleft()
        if isinstance(item.event, SegmentData):
            self._media_bytes -= len(item.event.data)
        return item

    def close(self) -> None:
        """Take nothing more; the reader ends after what is queued."""
        self._closed = True
        self._changed.set()

    def _put_media(self, event: SegmentData) -> None:
        if not self._streams or event.segment == self._starved:
            return
        if self._media_bytes + len(event.data) > self._max_media_bytes:
            self._starved = event.segment
            event = replace(event, data=b"", last=True, dropped=True)
        self._media_bytes += len(event.data)
        self._items.append(Numbered(event, None))

    def _drop_older_than(self, event: TurnStarted | TurnInterrupted) -> None:
        newest = event.generation - (1 if isinstance(event, TurnStarted) else 0)
        kept = [
            item
            for item in self._items
            if not (isinstance(item.event, SegmentData) and item.event.generation <= newest)
        ]
        self._items = deque(kept)
        self._media_bytes = sum(len(i.event.data) for i in kept if isinstance(i.event, SegmentData))
