"""The queue between a connection and the listener."""

from __future__ import annotations

import numpy as np

from ditto_avatar.session.microphone import Recording


async def test_pieces_come_out_in_order_until_the_end() -> None:
    recording = Recording(lambda: None)
    for value in range(3):
        recording.put(np.full(4, value, np.int16))
    recording.end()
    assert [piece[0] async for piece in recording] == [0, 1, 2]


async def test_a_listener_that_is_too_slow_loses_the_oldest_and_is_told_once() -> None:
    told: list[bool] = []
    recording = Recording(lambda: told.append(True), max_samples=10)
    for value in range(6):
        recording.put(np.full(4, value, np.int16))
    recording.end()
    assert [piece[0] async for piece in recording] == [4, 5]
    assert told == [True]
