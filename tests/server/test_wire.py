"""What is sent can always be encoded."""

from __future__ import annotations

import json

from ditto_avatar.server.wire.encoding import encode
from ditto_avatar.transport import events
from ditto_avatar.transport.outbox import NumberedEvent


def test_half_a_character_in_an_old_history_ends_no_connection() -> None:
    delta = events.TextDelta("t", 1, "Half \ud83d of it, and \ud83d\ude00.")
    frame = encode(NumberedEvent(delta, 7)).encode()
    assert json.loads(frame)["text"] == "Half \ufffd of it, and 😀."
