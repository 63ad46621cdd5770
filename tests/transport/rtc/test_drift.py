"""Picture and sound over a minute of simulated clock."""

from __future__ import annotations

import random

import numpy as np
import pytest

from ditto_avatar.media.encode import EncodedPicture
from ditto_avatar.media.packets import SegmentPackets
from ditto_avatar.transport.rtc.channels import Channel, RtcPlace
from ditto_avatar.transport.rtc.playhead import Playhead
from ditto_avatar.transport.rtc.ticks import (
    PICTURE_RATE_HZ,
    SOUND_RATE_HZ,
    TICK_S,
    Ticks,
)
from ditto_avatar.types import FRAME_RATE_HZ, SAMPLES_PER_FRAME

MINUTE_S = 60
CATCH_UP_S = 0.1
FIRST_RTP = 1_000


class Receiver:
    """A peer that notes what it is sent, by the simulated clock."""

    connected = True
    origin: int | None = FIRST_RTP

    def __init__(self) -> None:
        self.now = 0.0
        self.pictures: list[tuple[bytes, float, float]] = []
        self.sounds: list[tuple[bytes, float, float]] = []

    async def answer(self, offer: str) -> str:
        return offer

    async def close(self) -> None: ...

    def send_picture(self, data: bytes, time: int, *, at_once: bool = False) -> None:
        self.pictures.append((data, time / PICTURE_RATE_HZ, self.now))

    def send_sound(self, data: bytes, time: int) -> None:
        self.sounds.append((data, time / SOUND_RATE_HZ, self.now))


def minute() -> SegmentPackets:
    """Pictures that are their numbers, and a sound that is never the same."""
    noise = np.random.default_rng(1)
    packets = SegmentPackets("minute")
    count = MINUTE_S * FRAME_RATE_HZ
    sound = (noise.standard_normal(count * SAMPLES_PER_FRAME) / 20).astype(np.float32)
    packets.hear(sound, complete=True)
    for number in range(count):
        packets.add(EncodedPicture(str(number).encode(), key=number % 25 == 0), number)
    packets.close()
    return packets


@pytest.mark.parametrize("ahead", [0, 5])
@pytest.mark.parametrize("worst_s", [0.0, 0.05, 0.3])
def test_picture_and_sound_never_part_over_a_minute(worst_s: float, ahead: int) -> None:
    places: list[RtcPlace] = []
    receiver = Receiver()
    channel = Channel(Playhead(sound_ahead=ahead), places.append, lambda: None, lambda: None)
    channel.peer = receiver
    packets = minute()
    channel.playhead.expect(packets)
    ticks, lateness = Ticks(0.0), random.Random(3)
    while len(receiver.pictures) < MINUTE_S * FRAME_RATE_HZ:
        receiver.now = ticks.next_at + lateness.random() ** 8 * worst_s
        for number in ticks.due(receiver.now):
            channel.tick(number)
    sound_at = {data: time for data, time, _ in receiver.sounds}
    told = [(p.frame, (p.rtp - FIRST_RTP) / PICTURE_RATE_HZ) for p in places]
    for data, time, sent in receiver.pictures:
        number = int(data)
        frame, placed = max(entry for entry in told if entry[0] <= number)
        assert placed + (number - frame) / FRAME_RATE_HZ == pytest.approx(time)
        sounded = sound_at[packets.sound(2 * number)]
        # What was sent ahead of a gap is heard before it.
        if sounded >= placed:
            assert sounded == pytest.approx(time - ahead * TICK_S)
        # The media clock is the clock on the wall, but for what is caught up.
        assert -1e-6 <= sent - time <= CATCH_UP_S + TICK_S
    assert (ticks.skipped > 0) == (worst_s > CATCH_UP_S)
