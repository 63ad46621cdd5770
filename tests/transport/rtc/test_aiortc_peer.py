"""aiortc against aiortc, over loopback."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Callable

import numpy as np
import pytest

from ditto_avatar.errors import Busy, InvalidInput
from ditto_avatar.metrics import Metrics
from ditto_avatar.transport.rtc.channels import RtcPlace
from ditto_avatar.transport.rtc.options import RtcOptions
from ditto_avatar.transport.rtc.peer import PeerCalls, PeerOptions
from ditto_avatar.transport.rtc.service import RtcLink, RtcService
from ditto_avatar.types import FloatArray
from tests.deadlines import TEST_DEADLINE_S
from tests.transport.rtc.conftest import spoken

pytest.importorskip("aiortc", reason="the extra rtc is not installed")

from aiortc import RTCRtpReceiver
from aiortc.mediastreams import AudioStreamTrack
from aiortc.rtp import AnyRtcpPacket, RtcpSrPacket, RtpPacket

from ditto_avatar.transport.rtc.aiortc_delays import URI
from ditto_avatar.transport.rtc.aiortc_peer import AiortcPeer
from tests.fakes.rtc_player import RtcPlayer

OpenService = Callable[..., RtcService]


async def connected(service: RtcService, player: RtcPlayer, **calls: object) -> RtcLink:
    given = {"placed": lambda place: None, "ended": lambda: None, **calls}
    link, answer = await service.open(await player.offer(), **given)  # type: ignore[arg-type]
    await player.take(answer)
    return link


def test_the_names_that_aiortc_does_not_publish_are_there() -> None:
    import aioice.ice
    from aiortc import RTCPeerConnection
    from aiortc.rtcrtpsender import RTCRtpSender

    from ditto_avatar.transport.rtc import aiortc_peer, aiortc_reports

    assert callable(getattr(aioice.ice, aiortc_peer._ADDRESSES))
    assert callable(getattr(RTCRtpSender, aiortc_peer._KEY_WISH))
    assert callable(getattr(RTCRtpSender, aiortc_reports.REPORTS))

    async def origin() -> object:
        connection = RTCPeerConnection()
        sender = connection.addTransceiver("video").sender
        value = getattr(sender, aiortc_peer._ORIGIN)
        await connection.close()
        return value

    assert asyncio.run(origin()) == 0


async def test_pictures_and_sound_arrive_and_their_place_is_told(
    open_service: OpenService, metrics: Metrics
) -> None:
    places: asyncio.Queue[RtcPlace] = asyncio.Queue()
    service = open_service()
    async with RtcPlayer() as player:
        link = await connected(service, player, placed=places.put_nowait)
        await player.until(sounds=10)
        assert player.pictures == 0
        link.play(spoken("a", 30))
        # The last one waits in aiortc for a next.
        await player.until(pictures=29)
        async with asyncio.timeout(TEST_DEADLINE_S):
            place = await places.get()
        assert (place.segment, place.frame, place.frames) == ("a", 0, 30)
        assert player.loudest > 3_000
        await link.close()
    assert service.peers == 0
    assert b"ditto_rtc_peers 0.0" in metrics.exposition()


@pytest.mark.parametrize("ahead_ms", [100, 0])
async def test_reports_say_by_how_much_sound_goes_ahead_of_its_picture(
    open_service: OpenService, monkeypatch: pytest.MonkeyPatch, ahead_ms: int
) -> None:
    sent: dict[str, set[tuple[int, int]]] = {"audio": set(), "video": set()}
    reported: dict[str, tuple[int, int]] = {}
    both = asyncio.Event()

    async def note(self: RTCRtpReceiver, packet: AnyRtcpPacket) -> None:
        if isinstance(packet, RtcpSrPacket) and packet.sender_info.ntp_timestamp:
            info = packet.sender_info
            reported[self.track.kind] = info.ntp_timestamp, info.rtp_timestamp
            if len(reported) == len(sent):
                both.set()

    async def arrives(self: RTCRtpReceiver, packet: RtpPacket, arrival_time_ms: int) -> None:
        sent[self.track.kind].add((packet.timestamp, arrival_time_ms))

    monkeypatch.setattr(RTCRtpReceiver, "_handle_rtcp_packet", note)
    monkeypatch.setattr(RTCRtpReceiver, "_handle_rtp_packet", arrives)
    async with RtcPlayer() as player:
        link = await connected(open_service(), player, sound_ahead=ahead_ms // 20)
        link.play(spoken("a", 75))
        async with asyncio.timeout(TEST_DEADLINE_S):
            await both.wait()
        await link.close()
    rates = {"audio": 48_000, "video": 90_000}
    given = {}
    for kind, (ntp, rtp) in reported.items():
        # The moment that the report gives to the first packet, and when that came.
        timestamp, came_ms = min(sent[kind])
        given[kind] = ntp / 2**32 * 1_000 - (rtp - timestamp) / rates[kind] * 1_000 - came_ms
    apart_ms = given["audio"] - given["video"]
    assert apart_ms == pytest.approx(ahead_ms, abs=45)


async def test_the_answer_takes_h264_and_its_packets_can_be_repeated(
    open_service: OpenService,
) -> None:
    async with RtcPlayer() as player:
        link, answer = await open_service().open(
            await player.offer(), placed=lambda place: None, ended=lambda: None
        )
        video = answer.split("m=video")[1]
        assert "H264/90000" in video
        assert "rtx/90000" in video
        assert "VP8" not in video
        await link.close()


@pytest.mark.parametrize("offered", [True, False])
async def test_the_answer_takes_the_delay_of_pictures_where_it_is_offered(
    open_service: OpenService, offered: bool
) -> None:
    async with RtcPlayer() as player:
        lines = [line for line in (await player.offer()).splitlines() if URI not in line]
        if offered:
            video = next(i for i, line in enumerate(lines) if line.startswith("m=video"))
            lines.insert(video + 1, f"a=extmap:9 {URI}")
        link, answer = await open_service().open(
            "\r\n".join(lines) + "\r\n", placed=lambda place: None, ended=lambda: None
        )
        assert (f"a=extmap:9 {URI}" in answer) == offered
        assert (URI in answer) == offered
        await link.close()


async def test_places_are_limited_before_anything_is_opened(open_service: OpenService) -> None:
    service = open_service(max_peers=1)
    async with RtcPlayer() as first, RtcPlayer() as second:
        link = await connected(service, first)
        with pytest.raises(Busy):
            await connected(service, second)
        await link.close()
        again = await connected(service, second)
        await again.close()
    assert service.peers == 0


async def test_an_offer_that_cannot_be_answered_leaves_nothing_open(
    open_service: OpenService,
) -> None:
    service = open_service()
    async with RtcPlayer() as player:
        offer = await player.offer()
    broken = offer.replace("a=ice-pwd", "a=nothing").replace("a=setup", "a=up")
    broken = broken.replace("a=fingerprint:sha-256", "a=fingerprint:sha-0")
    with pytest.raises(InvalidInput):
        await service.open(
            broken.replace("m=audio", "m=application"), placed=print, ended=lambda: None
        )
    await service.settled()
    assert service.peers == 0


async def test_cancelling_an_offer_leaves_nothing_open(open_service: OpenService) -> None:
    service = open_service()
    async with RtcPlayer() as player:
        offer = await player.offer()
        for steps in range(0, 12, 3):
            opening = asyncio.create_task(
                service.open(offer, placed=lambda place: None, ended=lambda: None)
            )
            for _ in range(steps):
                await asyncio.sleep(0)
            opening.cancel()
            await asyncio.wait([opening])
            if not opening.cancelled():
                link, _ = opening.result()
                await link.close()
    await service.settled()
    assert service.peers == 0


async def test_a_player_that_says_goodbye_is_noticed(open_service: OpenService) -> None:
    over = asyncio.Event()
    service = open_service()
    async with RtcPlayer() as player:
        link = await connected(service, player, ended=over.set)
        await player.until(sounds=1)
    async with asyncio.timeout(TEST_DEADLINE_S):
        await over.wait()
    await link.close()


async def test_a_microphone_is_heard_at_16_khz(open_service: OpenService) -> None:
    heard: list[FloatArray] = []
    enough = asyncio.Event()

    def hear(samples: FloatArray) -> None:
        heard.append(samples)
        if sum(map(len, heard)) >= 8_000:
            enough.set()

    async with RtcPlayer(microphone=AudioStreamTrack()) as player:
        link = await connected(open_service(hears=True), player, heard=hear)
        async with asyncio.timeout(TEST_DEADLINE_S):
            await enough.wait()
        await link.close()
    assert all(samples.dtype == np.float32 for samples in heard)


async def test_a_closed_peer_is_free_at_once_and_not_when_garbage_is_collected(
    metrics: Metrics,
) -> None:
    made: list[weakref.ref[object]] = []

    def make(options: PeerOptions, calls: PeerCalls) -> AiortcPeer:
        peer = AiortcPeer(options, calls)
        made.extend((weakref.ref(peer), weakref.ref(peer._connection)))
        return peer

    service = RtcService(RtcOptions(bind=("127.0.0.1",)), metrics, make)
    service.start()
    gc.disable()
    try:
        async with RtcPlayer() as player:
            link = await connected(service, player)
            link.play(spoken("a", 10))
            await player.until(pictures=5)
            await link.close()
        await service.close()
        assert [ref() for ref in made] == [None, None]
    finally:
        gc.enable()


async def test_ports_come_out_of_the_range(open_service: OpenService) -> None:
    ports = range(42_000, 42_050)
    async with RtcPlayer() as player:
        link, answer = await open_service(ports=ports).open(
            await player.offer(), placed=lambda place: None, ended=lambda: None
        )
        used = [
            int(line.split()[5]) for line in answer.splitlines() if line.startswith("a=candidate")
        ]
        assert used
        assert set(used) <= set(ports)
        await link.close()
