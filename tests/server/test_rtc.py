"""WebRTC beside the fragments: a player made of aiortc, over loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from anyio.from_thread import BlockingPortal as Portal
from anyio.from_thread import start_blocking_portal

from ditto_avatar.errors import InvalidInput
from ditto_avatar.server.rtc import rtc_options
from ditto_avatar.settings import Settings
from ditto_avatar.transport.rtc.service import RtcService
from tests.deadlines import TEST_DEADLINE_S

from .conftest import Server, ServeWith, Socket, client, serving

pytest.importorskip("aiortc", reason="the extra rtc is not installed")

from tests.fakes.rtc_player import RtcPlayer

TEXT = "This is a sentence that takes a little while to say."


@dataclass
class RtcServer(Server):
    """A server whose loop runs in another thread."""

    portal: Portal | None = None

    @property
    def peers(self) -> int:
        """Peers that are open or being closed."""
        return self._rtc.peers

    async def settled(self) -> None:
        """Return once no peer is being closed."""
        assert self.portal is not None
        await asyncio.to_thread(self.portal.call, self._rtc.settled)

    @property
    def _rtc(self) -> RtcService:
        assert self.parts is not None
        assert self.parts.rtc is not None
        return self.parts.rtc


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Portal]]:
    opened = serving(
        tmp_path_factory.mktemp("rtc") / "data",
        rtc_bind="127.0.0.1",
        rtc_idle="stream",
        turns_per_minute=100_000,
        sessions_per_minute=100_000,
    )
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(opened) as server:
        yield server, portal


@pytest.fixture
async def rtc_server(running: tuple[Server, Portal]) -> AsyncIterator[RtcServer]:
    server, portal = running
    async with client(server.port) as http, client(server.admin.base_url.port or 0) as admin:
        yield RtcServer(server.port, server.data_dir, http, admin, server.parts, portal)


@asynccontextmanager
async def watching(server: Server, **hello: Any) -> AsyncIterator[tuple[Socket, RtcPlayer]]:
    """A viewer whose WebRTC is up."""
    async with server.socket(**hello) as client, RtcPlayer() as player:
        await client.until("session.ready")
        await client.send(type="rtc.offer", sdp=await player.offer())
        await player.take((await client.until("rtc.answer"))["sdp"])
        await player.until(sounds=5)
        await client.send(type="rtc.state", state="up")
        yield client, player


async def metric(server: Server, line: str) -> bool:
    return line in (await server.admin.get("/metrics")).text


async def test_a_segment_goes_over_webrtc_and_not_as_fragments(rtc_server: RtcServer) -> None:
    async with watching(rtc_server) as (client, player):
        warm_up = player.pictures
        await client.send(type="say", text=TEXT)
        started = await client.until("segment.started")
        assert started["transport"] == "rtc"
        place = await client.until("segment.placed")
        assert (place["segment"], place["frame"]) == (started["segment"], 0)
        clip = await client.until("video_ready")
        await player.until(pictures=warm_up + 25)
        assert player.loudest > 1_000
        assert not client.media
        while (frames := client.of("segment.placed")[-1]["frames"]) is None:
            await client.next()
        assert frames == round(clip["duration"] * 25)
    assert await metric(rtc_server, 'ditto_segments_total{transport="rtc"}')


async def test_a_sentence_of_the_cache_comes_over_webrtc_too(rtc_server: RtcServer) -> None:
    async with watching(rtc_server) as (client, player):
        for _ in range(2):
            before = player.pictures
            await client.send(type="say", text="Once more.")
            started = await client.until("segment.started")
            await client.until("turn.finished")
            await player.until(pictures=before + 10)
            assert started["transport"] == "rtc"
            while all(p["segment"] != started["segment"] for p in client.of("segment.placed")):
                await client.next()


async def test_when_it_breaks_the_fragments_of_the_sentence_follow(rtc_server: RtcServer) -> None:
    async with watching(rtc_server) as (client, _):
        await client.send(type="say", text=TEXT)
        await client.until("segment.placed")
        await client.send(type="rtc.state", state="down", reason="silent")
        first = await client.until("segment.data")
        assert (first["index"], first["segment"]) == (0, client.of("segment.started")[0]["segment"])
        while not client.of("segment.data")[-1]["last"]:
            await client.next()
        fragments = [m for m in client.of("segment.data") if m["bytes"]]
        assert [m["index"] for m in fragments] == list(range(len(fragments)))
        assert len(client.media) >= len(fragments) - 1
        await client.send(type="say", text="And now?")
        await client.until("turn.started")
        assert (await client.until("segment.started"))["transport"] == "stream"
    assert await metric(rtc_server, 'ditto_rtc_fallbacks_total{reason="silent"} 1.0')


async def test_only_one_of_two_viewers_takes_webrtc(rtc_server: RtcServer) -> None:
    async with watching(rtc_server) as (client, _):
        ready = client.of("session.ready")[0]
        async with rtc_server.socket(session=ready["session"], token=ready["token"]) as other:
            await other.until("session.ready")
            await client.send(type="say", text="Both of you.")
            assert (await client.until("segment.started"))["transport"] == "rtc"
            assert (await other.until("segment.started"))["transport"] == "stream"
            await other.until("turn.finished")
            assert other.media
            assert not client.media


async def test_a_viewer_of_clips_is_counted_as_one(serve: ServeWith) -> None:
    async with serve(rtc="off") as server, server.socket(playback="clips") as client:
        await client.until("session.ready")
        await client.send(type="say", text="Hi.")
        await client.until("video_ready")
        assert await metric(server, 'ditto_segments_total{transport="clip"} 1.0')


async def test_an_interruption_silences_webrtc(rtc_server: RtcServer) -> None:
    async with watching(rtc_server) as (client, player):
        await client.send(type="say", text=f"{TEXT} {TEXT} {TEXT}")
        await client.until("segment.placed")
        await client.send(type="interrupt")
        await client.until("turn.interrupted")
        await player.until(sounds=player.sounds + 10)
        player.loudest = 0
        await player.until(sounds=player.sounds + 15)
        assert player.loudest < 300


async def test_a_peer_dies_with_its_viewer(rtc_server: RtcServer) -> None:
    async with watching(rtc_server) as (client, player):
        assert rtc_server.peers == 1
        await client.raw.close()
        await player.until_state("closed", "failed", "disconnected")
    await rtc_server.settled()
    assert rtc_server.peers == 0


async def test_a_second_offer_takes_the_place_of_the_first(rtc_server: RtcServer) -> None:
    async with watching(rtc_server) as (client, first), RtcPlayer() as second:
        await client.send(type="rtc.offer", sdp=await second.offer())
        await second.take((await client.until("rtc.answer"))["sdp"])
        await second.until(sounds=3)
        await first.until_state("closed")
        assert rtc_server.peers == 1


async def test_an_offer_that_is_of_no_use_is_refused_and_the_fragments_go_on(
    rtc_server: RtcServer,
) -> None:
    async with rtc_server.socket() as client:
        await client.until("session.ready")
        await client.send(type="rtc.offer", sdp="v=0\r\n", id="r1")
        error = await client.until("error")
        assert (error["code"], error["id"]) == ("invalid_input", "r1")
        await client.send(type="rtc.state", state="up")
        await client.send(type="say", text="Hi.")
        assert (await client.until("segment.started"))["transport"] == "stream"
    assert rtc_server.peers == 0


async def test_offers_are_limited(rtc_server: RtcServer) -> None:
    async with rtc_server.socket() as client:
        await client.until("session.ready")
        for _ in range(21):
            await client.send(type="rtc.offer", sdp="v=0\r\n")
        codes = [(await client.until("error"))["code"] for _ in range(21)]
        assert codes[-1] == "rate_limited"


async def test_without_webrtc_a_page_is_told_so(serve: ServeWith) -> None:
    async with serve(rtc="off") as server, server.socket() as client:
        assert (await client.until("session.ready"))["rtc"] is None
        await client.send(type="rtc.offer", sdp="v=0\r\n")
        assert (await client.until("error"))["code"] == "unavailable"
        answer = await server.http.post("/api/sessions/x/whep", content=b"v=0")
        assert answer.status_code == 401


async def test_a_page_is_told_of_turn_servers_with_a_password(serve: ServeWith) -> None:
    async with (
        serve(
            turn_url="turn:turn.example.org:3478", turn_secret="a secret", turn_ttl_s=60
        ) as server,
        server.socket() as client,
    ):
        told = (await client.until("session.ready"))["rtc"]
        assert told["expires_in"] == 60
        assert told["ice_servers"][0]["urls"] == ["turn:turn.example.org:3478"]
        assert told["ice_servers"][0]["credential"]


async def opened(server: Server) -> tuple[str, dict[str, str]]:
    session = (await server.http.post("/api/sessions", json={})).json()
    headers = {"Authorization": f"Bearer {session['token']}", "Content-Type": "application/sdp"}
    return f"/api/sessions/{session['session']}", headers


async def test_a_foreign_player_watches_by_whep_and_leaves(rtc_server: RtcServer) -> None:
    server = rtc_server
    async with RtcPlayer() as player:
        path, headers = await opened(server)
        offer = await player.offer()
        answer = await server.http.post(f"{path}/whep", content=offer, headers=headers)
        assert answer.status_code == 201
        assert answer.headers["content-type"] == "application/sdp"
        await player.take(answer.text)
        # The idle loop comes all the time.
        await player.until(pictures=75)
        say = await server.http.post(
            f"{path}/say",
            json={"text": "Hello, player."},
            headers={**headers, "Content-Type": "application/json"},
        )
        assert say.status_code == 202
        async with asyncio.timeout(TEST_DEADLINE_S):
            while player.loudest < 1_000:
                await player.until(sounds=player.sounds + 5)
        turn = f"{path}/turns/{say.json()['turn']}"
        async with asyncio.timeout(TEST_DEADLINE_S):
            while (await server.http.get(turn, headers=headers)).json()["state"] != "finished":
                await player.until(sounds=player.sounds + 10)
        gone = await server.http.delete(answer.headers["location"], headers=headers)
        assert gone.status_code == 204
        await player.until_state("closed", "failed", "disconnected")
        await rtc_server.settled()
        assert rtc_server.peers == 0
        again = await server.http.delete(answer.headers["location"], headers=headers)
        assert again.status_code == 404


async def test_whep_asks_for_the_token_and_for_an_offer(rtc_server: RtcServer) -> None:
    path, headers = await opened(rtc_server)
    assert (await rtc_server.http.post(f"{path}/whep", content=b"v=0")).status_code == 401
    broken = await rtc_server.http.post(f"{path}/whep", content=b"v=0", headers=headers)
    assert broken.status_code == 422
    large = await rtc_server.http.post(f"{path}/whep", content=b"v=0\n" * 10_000, headers=headers)
    assert large.status_code == 422
    assert rtc_server.peers == 0


async def test_a_player_is_told_of_turn_servers_with_a_password(serve: ServeWith) -> None:
    turn = {"turn_url": "turn:turn.example.org:3478?transport=tcp", "turn_secret": "a secret"}
    async with serve(**turn, rtc_bind="127.0.0.1") as server, RtcPlayer() as player:
        path, headers = await opened(server)
        answer = await server.http.post(
            f"{path}/whep", content=await player.offer(), headers=headers
        )
        address, *parameters = answer.headers["link"].split("; ")
        assert address == "<turn:turn.example.org:3478?transport=tcp>"
        assert parameters[0] == 'rel="ice-server"'
        assert [p.split("=")[0] for p in parameters] == [
            "rel",
            "username",
            "credential",
            "credential-type",
        ]


async def test_a_player_goes_with_its_session(rtc_server: RtcServer) -> None:
    path, headers = await opened(rtc_server)
    async with RtcPlayer() as player:
        answer = await rtc_server.http.post(
            f"{path}/whep", content=await player.offer(), headers=headers
        )
        await player.take(answer.text)
        await player.until(sounds=1)
        assert (await rtc_server.http.delete(path, headers=headers)).status_code == 204
        await player.until_state("closed", "failed", "disconnected")
    await rtc_server.settled()
    assert rtc_server.peers == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("rtc_ports", "40000"),
        ("rtc_ports", "5-4"),
        ("rtc_ports", "1-99999"),
        ("rtc_address", "example.org"),
        ("rtc_bind", "localhost"),
        ("ice_servers", "https://stun.example.org"),
        ("turn_url", "stunt:x"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(name: str, value: str, tmp_path: Path) -> None:
    settings = Settings.model_validate({name: value})
    with pytest.raises(InvalidInput, match=f"DITTO_{name.upper()}"):
        rtc_options(settings)
