"""Each public coroutine of WebRTC, cancelled at every place where it waits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from ditto_avatar.face.avatar import Avatar
from ditto_avatar.face.pack import load_avatar
from ditto_avatar.metrics import Metrics
from ditto_avatar.transport.outbox import Outbox
from ditto_avatar.transport.rtc.channels import Channel
from ditto_avatar.transport.rtc.options import RtcOptions
from ditto_avatar.transport.rtc.peer import PeerCalls, PeerOptions
from ditto_avatar.transport.rtc.playhead import Playhead
from ditto_avatar.transport.rtc.service import RtcLink, RtcService
from ditto_avatar.transport.rtc.thread import LoopThread, PortRangeLoop
from ditto_avatar.transport.rtc.viewer import RtcViewer
from tests.cancelling import cancelled_everywhere
from tests.deadlines import TEST_DEADLINE_S
from tests.fakes.packs import make_pack

pytest.importorskip("aiortc", reason="the extra rtc is not installed")

from ditto_avatar.transport.rtc.aiortc_peer import AiortcPeer
from tests.fakes.rtc_player import RtcPlayer

OpenService = Callable[..., RtcService]
LOCAL = PeerOptions(bind=("127.0.0.1",))


@pytest.fixture
def avatar(tmp_path: Path) -> Avatar:
    return load_avatar(make_pack(tmp_path / "oval"))


@pytest.fixture
async def offer() -> str:
    async with RtcPlayer() as player:
        return await player.offer()


def calls() -> PeerCalls:
    return PeerCalls(lambda: None, lambda samples: None, lambda: None)


async def opened(service: RtcService, offer: str) -> RtcLink:
    link, _ = await service.open(offer, placed=lambda place: None, ended=lambda: None)
    return link


async def all_given_back(service: RtcService) -> None:
    async with asyncio.timeout(TEST_DEADLINE_S):
        await service.settled()
    assert service.peers == 0


async def test_opening_a_peer(open_service: OpenService, offer: str) -> None:
    service = open_service()
    links: list[RtcLink] = []

    async def work() -> None:
        links.append(await opened(service, offer))

    async for _ in cancelled_everywhere(work):
        while links:
            await links.pop().close()
        await all_given_back(service)
    await links.pop().close()


async def test_closing_a_link(open_service: OpenService, offer: str) -> None:
    service = open_service()

    async def work() -> None:
        await link.close()

    link = await opened(service, offer)
    async for _ in cancelled_everywhere(work):
        await all_given_back(service)
        link = await opened(service, offer)
    await all_given_back(service)


async def test_waiting_until_all_is_closed(open_service: OpenService, offer: str) -> None:
    service = open_service()
    closing: list[asyncio.Task[None]] = []

    async def work() -> None:
        link = await opened(service, offer)
        closing.append(asyncio.create_task(link.close()))
        await service.settled()

    async for _ in cancelled_everywhere(work):
        await asyncio.gather(*closing)
        await all_given_back(service)
    await asyncio.gather(*closing)


async def test_closing_the_service(metrics: Metrics, offer: str) -> None:
    services: list[RtcService] = []

    async def work() -> None:
        service = RtcService(RtcOptions(bind=LOCAL.bind), metrics, AiortcPeer)
        services.append(service)
        service.start()
        link = await opened(service, offer)
        closing = asyncio.create_task(link.close())
        try:
            await service.close()
        finally:
            await closing

    async for _ in cancelled_everywhere(work):
        async with asyncio.timeout(TEST_DEADLINE_S):
            await services[-1].close()
        assert not services[-1].thread.alive
    for service in services:
        async with asyncio.timeout(TEST_DEADLINE_S):
            await service.close()


async def test_closing_the_thread() -> None:
    threads: list[LoopThread] = []

    async def work() -> None:
        thread = LoopThread("cancelled")
        threads.append(thread)
        thread.start()
        await thread.close()

    async for _ in cancelled_everywhere(work):
        async with asyncio.timeout(TEST_DEADLINE_S):
            await threads[-1].close()
        assert not threads[-1].alive
    assert not threads[-1].alive


async def test_calling_into_the_thread() -> None:
    thread = LoopThread("cancelled")
    thread.start()
    ended = asyncio.Event()
    here = asyncio.get_running_loop()

    async def long_work() -> None:
        try:
            await asyncio.sleep(0)
        finally:
            here.call_soon_threadsafe(ended.set)

    async for _ in cancelled_everywhere(lambda: thread.call(long_work)):
        async with asyncio.timeout(TEST_DEADLINE_S):
            # What follows in the thread comes after what was cancelled there.
            await thread.call(lambda: asyncio.sleep(0))
    await thread.close()
    assert ended.is_set()


async def test_a_port_of_the_range() -> None:
    loop = PortRangeLoop(range(42_100, 42_102))

    async def cancelled() -> None:
        async def work() -> None:
            transport, _ = await loop.create_datagram_endpoint(
                asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0)
            )
            transport.close()
            await asyncio.sleep(0)

        async for _ in cancelled_everywhere(work):
            # Both ports are free again.
            both = [
                await loop.create_datagram_endpoint(
                    asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0)
                )
                for _ in range(2)
            ]
            for transport, _ in both:
                transport.close()
            await asyncio.sleep(0)

    await asyncio.to_thread(loop.run_until_complete, cancelled())
    loop.close()


async def test_the_idle_loop(open_service: OpenService, offer: str, avatar: Avatar) -> None:
    service = open_service()
    link = await opened(service, offer)
    async for _ in cancelled_everywhere(lambda: link.show_idle(avatar)):
        assert await service.idle_pictures(avatar), "others get it all the same"
    async for _ in cancelled_everywhere(lambda: service.idle_pictures(avatar)):
        pass
    await link.close()


async def test_answering_with_aiortc(offer: str) -> None:
    peers: list[AiortcPeer] = []

    async def work() -> None:
        peers.append(AiortcPeer(LOCAL, calls()))
        await peers[-1].answer(offer)

    async for _ in cancelled_everywhere(work):
        await peers[-1].close()
        assert not peers[-1].connected
    await peers[-1].close()


async def test_closing_a_peer_of_aiortc(offer: str) -> None:
    peers: list[AiortcPeer] = []

    async def work() -> None:
        peers.append(AiortcPeer(LOCAL, calls()))
        await peers[-1].answer(offer)
        await peers[-1].close()

    async for _ in cancelled_everywhere(work):
        await peers[-1].close()
    assert not peers[-1].connected


async def test_closing_a_channel(offer: str) -> None:
    channels: list[Channel] = []

    async def work() -> None:
        channel = Channel(Playhead(), lambda place: None, lambda: None, lambda: None)
        channels.append(channel)
        channel.peer = AiortcPeer(LOCAL, calls())
        await channel.peer.answer(offer)
        await channel.close()

    async for _ in cancelled_everywhere(work):
        await channels[-1].close()
        assert channels[-1].peer is None


async def test_a_viewer_that_offers(
    open_service: OpenService, metrics: Metrics, offer: str, avatar: Avatar
) -> None:
    service = open_service()
    viewers: list[RtcViewer] = []

    async def work() -> None:
        viewers.append(RtcViewer(service, Outbox(), metrics))
        await viewers[-1].offer(offer, avatar)
        # A second one takes the place of the first.
        await viewers[-1].offer(offer, avatar)

    async for _ in cancelled_everywhere(work):
        while viewers:
            await viewers.pop().close()
        await all_given_back(service)
    await viewers.pop().close()


async def test_a_viewer_that_leaves(
    open_service: OpenService, metrics: Metrics, offer: str, avatar: Avatar
) -> None:
    service = open_service()

    async def work() -> None:
        await viewer.close()

    viewer = RtcViewer(service, Outbox(), metrics)
    await viewer.offer(offer, avatar)
    async for _ in cancelled_everywhere(work):
        await all_given_back(service)
        viewer = RtcViewer(service, Outbox(), metrics)
        await viewer.offer(offer, avatar)
    await all_given_back(service)
