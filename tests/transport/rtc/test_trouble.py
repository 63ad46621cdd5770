"""What a network does to a player, and what is done about it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import pytest

from ditto_avatar.metrics import Metrics
from ditto_avatar.transport.rtc.service import RtcLink, RtcService
from tests.deadlines import TEST_DEADLINE_S
from tests.fakes.udp_relay import UdpRelay, free_port
from tests.transport.rtc.conftest import spoken

pytest.importorskip("aiortc", reason="the extra rtc is not installed")

from tests.fakes.rtc_player import RtcPlayer

OpenService = Callable[..., RtcService]
OUTAGE_S = 2.0


@pytest.fixture
def relay() -> Iterator[tuple[UdpRelay, int]]:
    port = free_port()
    relay = UdpRelay(port)
    yield relay, port
    relay.close()


async def through(relay: tuple[UdpRelay, int], service: RtcService, player: RtcPlayer) -> RtcLink:
    link, answer = await service.open(
        await player.offer(), placed=lambda place: None, ended=lambda: None
    )
    await player.take(answer.replace(f" {relay[1]} typ", f" {relay[0].port} typ"))
    await player.until(sounds=5)
    return link


def bridges(metrics: Metrics) -> int:
    (line,) = (
        line
        for line in metrics.exposition().decode().splitlines()
        if line.startswith("ditto_rtc_bridges_total ")
    )
    return int(float(line.split()[1]))


async def test_a_player_that_lost_the_picture_is_answered_by_a_bridge(
    open_service: OpenService, metrics: Metrics
) -> None:
    service = open_service()
    async with RtcPlayer() as player:
        link, answer = await service.open(
            await player.offer(), placed=lambda place: None, ended=lambda: None
        )
        await player.take(answer)
        await player.until(sounds=5)
        # Groups of a few pictures first, then of 25.
        link.play(spoken("a", 110))
        async with asyncio.timeout(TEST_DEADLINE_S):
            # A slow machine may be near a key picture when it asks.
            for pictures in range(39, 100, 4):
                await player.until(pictures=pictures)
                await player.ask_for_a_key_picture()
                if bridges(metrics):
                    break
        await player.until(pictures=109)
        await link.close()
    assert bridges(metrics) >= 1, "pictures were encoded for this player"


async def test_an_outage_of_two_seconds_is_survived(
    open_service: OpenService, relay: tuple[UdpRelay, int]
) -> None:
    service = open_service(ports=range(relay[1], relay[1] + 1))
    async with RtcPlayer() as player:
        link = await through(relay, service, player)
        link.play(spoken("a", 250))
        await player.until(pictures=25)
        relay[0].silent = True
        await asyncio.sleep(OUTAGE_S)
        relay[0].silent = False
        before = player.sounds
        await player.until(pictures=player.pictures + 50, sounds=before + 50)
        assert player.state == "connected"
        await link.close()
