"""Several real processes on one PostgreSQL database."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from ditto_avatar.errors import InvalidInput
from ditto_avatar.server import peers
from ditto_avatar.settings import Settings
from tests.deadlines import TEST_DEADLINE_S

from .conftest import Server, Socket
from .test_process import Process, process

SHORT = "First things first."
LONG = "This is a sentence that takes a while to be spoken and drawn. " * 4


@asynccontextmanager
async def servers(packs: Path, folder: Path, database: str, count: int = 2) -> AsyncIterator[Any]:
    """`count` processes, each with a data folder of its own."""
    shared = {
        "DITTO_PEER_URL": "http://127.0.0.1:{port}",
        "DITTO_TRUSTED_PROXIES": "127.0.0.1",
        "DITTO_SHUTDOWN_S": "60",
        "DITTO_SESSIONS_PER_MINUTE": "1000",
    }
    async with AsyncExitStack() as stack:
        folders = [folder / str(number) for number in range(count)]
        for each in folders:
            each.mkdir()
        opened = (
            stack.enter_async_context(process(packs, each, database, **shared)) for each in folders
        )
        yield [await one for one in opened]


def back(ready: dict[str, Any], seen: list[dict[str, Any]]) -> dict[str, Any]:
    """What a page says when it comes back."""
    after = next((m["seq"] for m in reversed(seen) if m.get("seq") is not None), ready["seq"])
    names = {name: ready[name] for name in ("session", "token", "epoch")}
    return {**names, "after": after}


async def heard(client: Socket) -> dict[str, Any]:
    """Play everything at once, as a page does that is in a hurry; the end of the turn."""
    while (message := await client.next())["type"] not in ("turn.finished", "turn.interrupted"):
        if message["type"] == "video_ready":
            played = round(message["duration"] * 1000)
            await client.send(
                type="playback", segment=message["segment"], state="ended", media_ms=played
            )
    return message


async def code_of(client: Socket) -> int | None:
    """Wait until the server ends the connection; with which code."""
    try:
        while True:
            await client.next()
    except ConnectionClosed as closed:
        return None if closed.rcvd is None else closed.rcvd.code


async def history(server: Server, ready: dict[str, Any]) -> list[dict[str, Any]]:
    headers = {"Authorization": f"Bearer {ready['token']}"}
    answer = await server.http.get(f"/api/sessions/{ready['session']}", headers=headers)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["history"])


async def test_a_session_lives_at_one_server_and_is_served_by_all(
    packs: Path, tmp_path: Path, postgres: str
) -> None:
    async with servers(packs, tmp_path, postgres) as (a, b):
        async with a.server.socket() as client:
            ready = await client.next()
            await client.send(type="say", text=SHORT)
            await heard(client)
            assert [e["text"] for e in await history(b.server, ready)] == [SHORT]
            # A page that comes back elsewhere gets the events of this life, and all that follow.
            first = next(m for m in client.messages if m.get("seq"))
            async with b.server.socket(**back(ready, [first])) as other:
                again = await other.next()
                assert (again["resumed"], again["gap"], again["epoch"]) == (True, False, 1)
                missed = [m for m in client.messages if (m.get("seq") or 0) > first["seq"]]
                assert [await other.next() for _ in missed] == missed
                await other.send(type="say", text="And then?")
                for watching in (client, other):
                    assert (await heard(watching))["type"] == "turn.finished"
                assert other.media
                headers = {"Authorization": f"Bearer {ready['token']}"}
                path = f"/api/sessions/{ready['session']}"
                wrong = await b.server.http.get(path, headers={"Authorization": "Bearer x"})
                assert wrong.status_code == 401
                asked = {"text": "Third.", "id": "c3"}
                said = await b.server.http.post(f"{path}/say", json=asked, headers=headers)
                assert said.status_code == 202
                await other.until("turn.started")
                stopped = await b.server.http.post(f"{path}/interrupt", headers=headers)
                assert stopped.json() == {"interrupted": True}
                assert (await b.server.http.delete(path, headers=headers)).status_code == 204
                assert await code_of(other) == 1012


@pytest.mark.parametrize("moment", ["turn.started", "video_ready"])
async def test_a_killed_server_is_replaced_and_no_message_is_lost(
    packs: Path, tmp_path: Path, postgres: str, moment: str
) -> None:
    async with servers(packs, tmp_path, postgres) as (a, b):
        async with a.server.socket() as client:
            ready = await client.next()
            await client.send(type="say", text=SHORT)
            await heard(client)
            await client.send(type="user.text", text="What can you do?", id="c2")
            await client.until(moment)
            await a.end(signal.SIGKILL)
        async with b.server.socket(**back(ready, client.messages)) as again:
            taken = await again.next()
            # Its numbers are another life's: none of them is taken for what was missed.
            assert (taken["resumed"], taken["gap"], taken["epoch"]) == (True, True, 2)
            if moment == "turn.started":
                started = await again.until("turn.started")
                assert (started["id"], started["generation"]) == ("c2", 2)
            else:
                assert taken["history"][-1]["heard"]  # what its clips say
                await again.send(type="user.text", text="Go on.", id="c3")
            assert (await heard(again))["type"] == "turn.finished"
            asked = [e["id"] for e in await history(b.server, ready) if e["role"] == "user"]
            assert asked == (["c2"] if moment == "turn.started" else ["c2", "c3"])


async def test_a_server_that_hangs_is_given_up(packs: Path, tmp_path: Path, postgres: str) -> None:
    async with servers(packs, tmp_path, postgres) as (a, b):
        async with a.server.socket() as client:
            ready = await client.next()
            await client.send(type="say", text=SHORT)
            await heard(client)
            async with b.server.socket(**back(ready, client.messages)) as relayed:
                assert (await relayed.next())["epoch"] == 1
                a.send(signal.SIGSTOP)
                assert await code_of(relayed) == 1012
            async with b.server.socket(**back(ready, client.messages)) as again:
                assert (await again.next())["epoch"] == 2
                await again.send(type="say", text="Here.")
                assert (await heard(again))["type"] == "turn.finished"
            # When it wakes up it lets its viewer go, who finds the session where it is.
            a.send(signal.SIGCONT)
            assert await code_of(client) == 1012


async def test_a_server_that_stops_cuts_no_answer_and_keeps_no_session(
    packs: Path, tmp_path: Path, postgres: str
) -> None:
    async with servers(packs, tmp_path, postgres) as (a, b):
        async with (
            a.server.socket() as busy,
            a.server.socket() as idle,
            a.server.socket() as elsewhere,
        ):
            ready = [await client.next() for client in (busy, idle, elsewhere)]
            for client in (idle, elsewhere):
                await client.send(type="say", text=SHORT)
                await heard(client)
            # This one talks through the server that stops with a session of the other one.
            async with b.server.socket() as owner:
                theirs = await owner.next()
                await owner.send(type="say", text=SHORT)
                await heard(owner)
                async with a.server.socket(**back(theirs, owner.messages)) as relayed:
                    await relayed.next()
                    for client in (busy, relayed):
                        await client.send(type="say", text=LONG)
                        await client.until("segment.started")
                    a.send(signal.SIGTERM)
                    # Idle sessions move at once, while the others still talk.
                    assert await code_of(idle) == 1012
                    assert (await a.server.http.get("/readyz")).status_code == 503
                    await _goes_on(b, ready[1], idle)
                    for client in (busy, relayed):
                        assert (await heard(client))["type"] == "turn.finished"
                        assert await code_of(client) == 1012
                        assert client.of("error") == []
            await _goes_on(b, ready[0], busy)


async def _goes_on(process: Process, ready: dict[str, Any], client: Socket) -> None:
    async with process.server.socket(**back(ready, client.messages)) as again:
        moved = await again.next()
        assert (moved["resumed"], moved["epoch"], moved["running_turn"]) == (True, 2, None)
        assert moved["history"][-1]["heard"] is None
        await again.send(type="say", text="Here I am.")
        async with asyncio.timeout(TEST_DEADLINE_S):
            assert (await heard(again))["type"] == "turn.finished"


@pytest.mark.parametrize(
    ("peer", "proxies", "sentence"),
    [
        ("https://10.0.0.7:7136", "10.0.0.0/8", "DITTO_PEER_URL: expected an address"),
        ("http://10.0.0.7:7136/path", "10.0.0.0/8", "DITTO_PEER_URL: expected an address"),
        ("http://10.0.0.7:7136", "192.0.2.1", "the network of the servers"),
    ],
)
def test_settings_that_servers_cannot_reach_each_other_by_are_refused(
    peer: str, proxies: str, sentence: str
) -> None:
    settings = Settings(_env_file=None, peer_url=peer, trusted_proxies=proxies)
    with pytest.raises(InvalidInput, match=sentence):
        peers.check(settings)
