"""Who may open a session, asked of a real server."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect

from ditto_avatar.server.keys import new_key
from tests.deadlines import TEST_DEADLINE_S

from .conftest import Server, ServeWith
from .test_rest import error_of, finished

KEY, ENTRY = new_key("shop")
OTHER_KEY, OTHER_ENTRY = new_key("partner")
KEYS = f"{ENTRY.entry},{OTHER_ENTRY.entry}"


def bearing(credential: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {credential}"}


async def join_token(server: Server, key: str = KEY, **wanted: Any) -> str:
    answer = await server.http.post("/api/tokens", json=wanted, headers=bearing(key))
    assert answer.status_code == 201, answer.text
    token: str = answer.json()["join"]
    return token


async def refused(server: Server, *, origin: str | None = None, **hello: Any) -> tuple[str, int]:
    """The code of the error and of the close that a hello is answered with."""
    address = f"ws://127.0.0.1:{server.port}/ws"
    async with connect(address, origin=origin) as socket:  # type: ignore[arg-type]
        await socket.send(json.dumps({"type": "hello", **hello}))
        async with asyncio.timeout(TEST_DEADLINE_S):
            error = json.loads(await socket.recv())
            await socket.wait_closed()
    assert error["type"] == "error"
    assert socket.close_code is not None
    return error["code"], socket.close_code


async def test_without_keys_sessions_are_open_and_tokens_are_not_made(server: Server) -> None:
    assert (await server.http.post("/api/sessions", json={})).status_code == 201
    answer = await server.http.post("/api/tokens", json={}, headers=bearing(KEY))
    assert error_of(answer) == (501, "unavailable")


async def test_with_keys_a_session_needs_a_token(serve: ServeWith) -> None:
    async with serve(api_keys=KEYS) as server:
        answer = await server.http.post("/api/sessions", json={})
        assert error_of(answer) == (401, "join_needed")
        assert await refused(server) == ("join_needed", 4407)
        assert await refused(server, join="nonsense") == ("join_refused", 4407)
        nonsense = await server.http.post("/api/sessions", json={}, headers=bearing("nonsense"))
        assert error_of(nonsense) == (403, "join_refused")
        assert "ditto_sessions 0.0" in (await server.http.get("/metrics")).text


async def test_tokens_are_made_for_keys_only(serve: ServeWith) -> None:
    async with serve(api_keys=KEYS) as server:
        for headers in ({}, bearing("nonsense"), bearing(new_key("shop")[0])):
            answer = await server.http.post("/api/tokens", json={}, headers=headers)
            assert error_of(answer) == (401, "unauthorized")


async def test_a_token_for_a_presenter_there_is_not_cannot_be_made(serve: ServeWith) -> None:
    async with serve(api_keys=KEYS) as server:
        wanted = {"avatars": ["oval", "nobody"]}
        answer = await server.http.post("/api/tokens", json=wanted, headers=bearing(KEY))
        assert error_of(answer) == (404, "not_found")
        answer = await server.http.post("/api/tokens", json={"uses": 0}, headers=bearing(KEY))
        assert error_of(answer) == (422, "invalid_input")


async def test_a_page_opens_one_session_and_comes_back_to_it(serve: ServeWith) -> None:
    async with serve(api_keys=KEYS) as server:
        token = await join_token(server, language="ko")
        async with server.socket(join=token, language="en") as viewer:
            ready = await viewer.until("session.ready")
        assert ready["language"] == "ko"
        mine = {"session": ready["session"], "token": ready["token"]}
        # The invitation is used up, the session goes on: it is kept although nothing was said.
        assert await refused(server, join=token) == ("join_refused", 4407)
        async with server.socket(**mine) as viewer:
            assert (await viewer.until("session.ready"))["resumed"]
        async with server.socket(**mine, join=token) as viewer:
            assert (await viewer.until("session.ready"))["resumed"]


async def test_a_session_outlives_its_token_and_ends_at_its_own_time(serve: ServeWith) -> None:
    async with serve(api_keys=KEYS) as server:
        token = await join_token(server, expires_s=1, session_s=4)
        opened = (await server.http.post("/api/sessions", json={}, headers=bearing(token))).json()
        url, auth = f"/api/sessions/{opened['session']}", bearing(opened["token"])
        late = await join_token(server, expires_s=1)
        async with asyncio.timeout(TEST_DEADLINE_S):
            while (await server.http.get(url, headers=auth)).status_code == 200:
                expired = await server.http.post("/api/sessions", headers=bearing(late), json={})
                await asyncio.sleep(0.2)
        assert error_of(expired) == (403, "join_refused")
        assert "expired" in expired.json()["error"]["message"]
        answer = await server.http.post(f"{url}/messages", json={"text": "Hi"}, headers=auth)
        assert error_of(answer) == (404, "not_found")
        mine = {"session": opened["session"], "token": opened["token"]}
        assert await refused(server, **mine) == ("join_needed", 4407)


async def test_a_token_of_another_page_is_refused(serve: ServeWith) -> None:
    async with serve(api_keys=KEYS, allowed_origins="https://shop.example") as server:
        token = await join_token(server, origins=["https://shop.example"])
        own = f"http://127.0.0.1:{server.port}"
        assert await refused(server, join=token, origin=own) == ("join_refused", 4407)
        assert await refused(server, join=token) == ("join_refused", 4407)
        address = f"ws://127.0.0.1:{server.port}/ws"
        async with connect(address, origin="https://shop.example") as socket:  # type: ignore[arg-type]
            await socket.send(json.dumps({"type": "hello", "join": token}))
            assert json.loads(await socket.recv())["type"] == "session.ready"


async def test_only_presenters_of_the_token_are_shown(serve: ServeWith) -> None:
    async with serve(api_keys=KEYS) as server:
        other = await join_token(server, avatars=["egg"])
        assert await refused(server, join=other, avatar="oval") == ("join_refused", 4407)
        async with server.socket(join=other) as viewer:
            ready = await viewer.until("session.ready")
            assert (ready["avatar"]["name"], ready["avatars"]) == ("egg", ["egg"])
            await viewer.send(type="avatar.select", avatar="oval")
            assert (await viewer.until("error"))["code"] == "forbidden"


async def test_the_limits_of_a_token_hold_after_a_restart(serve: ServeWith) -> None:
    async with serve(api_keys=KEYS) as server:
        token = await join_token(server, turns=1, avatars=["oval"])
        answer = await server.http.post("/api/sessions", json={}, headers=bearing(token))
        opened = answer.json()
        url, auth = f"/api/sessions/{opened['session']}", bearing(opened["token"])
        said = await server.http.post(f"{url}/say", json={"text": "Hi."}, headers=auth)
        await finished(server, url, auth, said.json()["turn"])
        again = await server.http.post(f"{url}/say", json={"text": "Hi."}, headers=auth)
        assert error_of(again) == (403, "used_up")
    async with serve(api_keys=KEYS) as server:
        assert (await server.http.get(url, headers=auth)).status_code == 200
        again = await server.http.post(f"{url}/say", json={"text": "Hi."}, headers=auth)
        assert error_of(again) == (403, "used_up")
    async with serve(api_keys=OTHER_ENTRY.entry) as server:
        # The key was taken away, and its sessions with it.
        assert error_of(await server.http.get(url, headers=auth)) == (404, "not_found")


async def test_the_turns_of_a_minute_are_limited(serve: ServeWith) -> None:
    async with serve(api_keys=KEYS) as server:
        token = await join_token(server, turns_per_minute=1)
        async with server.socket(join=token) as viewer:
            await viewer.send(type="say", text="One.")
            await viewer.until("turn.started")
            await viewer.send(type="say", text="Two.")
            assert (await viewer.until("error"))["code"] == "rate_limited"


async def test_a_refused_opening_does_not_use_up_the_token(serve: ServeWith) -> None:
    async with serve(api_keys=KEYS) as server:
        token = await join_token(server)
        answer = await server.http.post(
            "/api/sessions", json={"avatar": "nobody"}, headers=bearing(token)
        )
        assert error_of(answer) == (404, "not_found")
        answer = await server.http.post("/api/sessions", json={}, headers=bearing(token))
        assert answer.status_code == 201


async def test_a_program_opens_sessions_with_its_key(serve: ServeWith) -> None:
    async with serve(api_keys=KEYS) as server:
        answer = await server.http.post("/api/sessions", json={}, headers=bearing(KEY))
        assert answer.status_code == 201
        async with server.socket(join=KEY) as viewer:
            assert (await viewer.until("session.ready"))["avatars"] is None
        own = f"http://127.0.0.1:{server.port}"
        assert await refused(server, join=KEY, origin=own) == ("join_refused", 4407)


async def test_a_session_of_one_key_is_closed_to_another(serve: ServeWith) -> None:
    async with serve(api_keys=KEYS) as server:
        answer = await server.http.post("/api/sessions", json={}, headers=bearing(KEY))
        url = f"/api/sessions/{answer.json()['session']}"
        # Not to its own key either: a session belongs to the person who has its token.
        for credential in (KEY, OTHER_KEY, await join_token(server, OTHER_KEY)):
            answer = await server.http.get(url, headers=bearing(credential))
            assert error_of(answer) == (401, "unauthorized")


async def test_no_key_and_no_token_is_logged(
    serve: ServeWith, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        async with serve(api_keys=KEYS, log_level="debug") as server:
            token = await join_token(server)
            await server.http.post("/api/sessions", json={}, headers=bearing(token))
            await server.http.post("/api/sessions", json={}, headers=bearing(token))
            await server.http.post("/api/sessions", json={}, headers=bearing(KEY))
            await refused(server, join=token)
    assert "the key shop made the join token" in caplog.text
    for secret in (KEY, KEY[6:], token, token.rpartition(".")[2]):
        assert secret not in caplog.text


async def test_a_wrong_setting_is_told_before_anything_listens(serve: ServeWith) -> None:
    from ditto_avatar.errors import InvalidInput

    with pytest.raises(InvalidInput, match="came a key itself"):
        async with serve(api_keys=KEY):
            pass


async def test_answers_with_a_credential_are_not_cached(serve: ServeWith) -> None:
    async with serve(api_keys=KEYS) as server:
        answer: httpx.Response = await server.http.post(
            "/api/tokens", json={}, headers=bearing(KEY)
        )
        assert answer.headers["cache-control"] == "no-store"
