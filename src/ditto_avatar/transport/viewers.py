"""Send events to the viewers of a session, and repeat those that one has missed."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from ditto_avatar.transport.events import Event
from ditto_avatar.transport.outbox import NumberedEvent, Outbox

_REMEMBERED_EVENTS = 1_000


class Viewers:
    """Number events and put them into every outbox. Belongs to the event loop."""

    def __init__(self) -> None:
        self._outboxes: set[Outbox] = set()
        self._log: deque[NumberedEvent] = deque(maxlen=_REMEMBERED_EVENTS)
        self.seq = 0
        """The number of the newest event."""

    def __len__(self) -> int:
        return len(self._outboxes)

    def add(self, outbox: Outbox) -> None:
        """Send events to `outbox` from now on."""
        self._outboxes.add(outbox)

    def remove(self, outbox: Outbox) -> None:
        """Send nothing more to `outbox`."""
        self._outboxes.discard(outbox)

    def take_packets(self) -> bool:
        """Return whether a viewer takes the next segment picture by picture."""
        return any(box.route is not None and box.route.up for box in self._outboxes)

    def tell(self, event: Event) -> None:
        """Send an event to all viewers; remember it if it is one of those that are repeated."""
        numbered = NumberedEvent(event, None)
        if event.logged:
            self.seq += 1
            numbered = NumberedEvent(event, self.seq)
            self._log.append(numbered)
        for outbox in self._outboxes:
            outbox.put(numbered)

    def tell_all(self, told: Iterable[Event]) -> None:
        """Send several events, in order."""
        for event in told:
            self.tell(event)

    def since(self, after: int | None) -> list[NumberedEvent] | None:
        """Return the events after number `after`; None if they are not all known any more."""
        if after is None or after > self.seq:
            return None
        missed = [n for n in self._log if n.seq is not None and n.seq > after]
        return missed if len(missed) == self.seq - after else None

    def forget(self, turn_id: str) -> None:
        """Drop the remembered events of a turn. A viewer that returns and missed them begins
        anew."""
        kept = [n for n in self._log if getattr(n.event, "turn", None) != turn_id]
        self._log = deque(kept, maxlen=_REMEMBERED_EVENTS)

    def close(self) -> None:
        """Close every outbox; what waits in it is still sent."""
        for outbox in self._outboxes:
            outbox.close()
