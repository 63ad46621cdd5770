"""Channels that share a clock, with peers that note what they are sent."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import numpy as np

from ditto_avatar.media.encode import EncodedPicture
from ditto_avatar.media.packets import SegmentPackets
from ditto_avatar.transport.rtc.channels import Channel, Channels
from ditto_avatar.transport.rtc.playhead import Playhead
from ditto_avatar.transport.rtc.ticks import PICTURE_PER_TICK, SOUND_PER_TICK
from ditto_avatar.types import SAMPLES_PER_FRAME
from tests.deadlines import TEST_DEADLINE_S

PICTURES = 5


@dataclass
class Noting:
    """A peer that is always connected."""

    connected: bool = True
    origin: int | None = 0
    pictures: list[tuple[int, bool]] = field(default_factory=list)
    sounds: list[int] = field(default_factory=list)
    all_came: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, offer: str) -> str:
        return offer

    async def close(self) -> None: ...

    def send_picture(self, data: bytes, time: int, *, at_once: bool = False) -> None:
        self.pictures.append((time, at_once))
        if len(self.pictures) == PICTURES:
            self.all_came.set()

    def send_sound(self, data: bytes, time: int) -> None:
        self.sounds.append(time)


def channel_to(peer: Noting) -> Channel:
    channel = Channel(Playhead(), lambda place: None, lambda: None, lambda: None)
    channel.peer = peer
    return channel


def spoken() -> SegmentPackets:
    packets = SegmentPackets("a")
    packets.hear(np.zeros(PICTURES * SAMPLES_PER_FRAME, np.float32), complete=True)
    for number in range(PICTURES):
        packets.add(EncodedPicture(b"picture", key=number == 0))
    packets.close()
    return packets


async def test_a_first_picture_does_not_wait_for_its_tick_and_none_is_sent_twice() -> None:
    channels = Channels(lambda count: None)
    speaking, other = Noting(), Noting()
    channel, idle = channel_to(speaking), channel_to(other)
    channels.add(idle)
    channels.add(channel)
    channels.play(channel, spoken())
    # Nothing has run in between: it went out within the call.
    assert speaking.pictures == [(0, True)]
    assert not other.sounds
    async with asyncio.timeout(TEST_DEADLINE_S):
        await speaking.all_came.wait()
    channels.remove(channel)
    channels.remove(idle)
    times = [time for time, _ in speaking.pictures]
    assert times == [number * 2 * PICTURE_PER_TICK for number in range(PICTURES)]
    assert speaking.sounds == [number * SOUND_PER_TICK for number in range(len(speaking.sounds))]
    assert not any(at_once for _, at_once in speaking.pictures[1:])


async def test_a_sentence_that_is_not_ready_waits_for_its_tick() -> None:
    channels = Channels(lambda count: None)
    peer = Noting()
    channel = channel_to(peer)
    channels.add(channel)
    channels.play(channel, SegmentPackets("a"))
    assert not peer.sounds
    channels.remove(channel)


async def test_a_channel_that_was_removed_is_sent_nothing() -> None:
    channels = Channels(lambda count: None)
    peer = Noting()
    channels.play(channel_to(peer), spoken())
    assert not peer.pictures
