from __future__ import annotations

import asyncio
import io
import wave
from collections.abc import AsyncIterator
from typing import Any

import av
import httpx
import pytest

from tests.deadlines import TEST_DEADLINE_S

from .conftest import Server, ServeWith


async def opened(server: Server, **wanted: Any) -> tuple[str, dict[str, str]]:
    answer = await server.http.post("/api/sessions", json=wanted)
    assert answer.status_code == 201
    body = answer.json()
    return f"/api/sessions/{body['session']}", {"Authorization": f"Bearer {body['token']}"}


async def finished(server: Server, url: str, auth: dict[str, str], turn: str) -> dict[str, Any]:
    """The turn once it is complete; asks as a program without a WebSocket would."""
    async with asyncio.timeout(TEST_DEADLINE_S):
        while True:
            body: dict[str, Any] = (
                await server.http.get(f"{url}/turns/{turn}", headers=auth)
            ).json()
            if body["state"] in ("finished", "interrupted"):
                return body


def error_of(answer: httpx.Response) -> tuple[int, str]:
    body = answer.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"code", "message"}
    assert body["error"]["message"]
    return answer.status_code, body["error"]["code"]


async def test_a_message_is_answered_with_clips_that_play(server: Server) -> None:
    url, auth = await opened(server, language="en")
    answer = await server.http.post(f"{url}/messages", json={"text": "Hello!"}, headers=auth)
    assert answer.status_code == 202
    turn = await finished(server, url, auth, answer.json()["turn"])
    assert turn["state"] == "finished"
    assert turn["clips"]
    for clip in turn["clips"]:
        video = await server.http.get(clip["video_url"])
        assert video.headers["content-type"] == "video/mp4"
        with av.open(io.BytesIO(video.content), "r") as file:
            assert sum(1 for _ in file.decode(video=0)) == round(clip["duration"] * 25)
        audio = await server.http.get(clip["audio_url"])
        with wave.open(io.BytesIO(audio.content)) as sound:
            assert sound.getframerate() == 16_000
            assert sound.getnframes() == round(clip["duration"] * 16_000)


async def test_korean_is_answered_in_korean(server: Server) -> None:
    url, auth = await opened(server, language="ko")
    answer = await server.http.post(f"{url}/messages", json={"text": "안녕하세요"}, headers=auth)
    turn = await finished(server, url, auth, answer.json()["turn"])
    assert any("가" <= character <= "힣" for character in turn["answer"])


async def test_clips_answer_range_requests(server: Server) -> None:
    url, auth = await opened(server)
    answer = await server.http.post(f"{url}/say", json={"text": "Hi."}, headers=auth)
    turn = await finished(server, url, auth, answer.json()["turn"])
    assert turn["state"] == "finished"
    address = turn["clips"][0]["video_url"]
    whole = await server.http.get(address)
    part = await server.http.get(address, headers={"Range": "bytes=10-19"})
    assert part.status_code == 206
    assert part.content == whole.content[10:20]
    assert part.headers["content-range"] == f"bytes 10-19/{len(whole.content)}"
    beyond = await server.http.get(address, headers={"Range": f"bytes={len(whole.content)}-"})
    assert beyond.status_code == 416


async def test_the_history_is_kept(server: Server) -> None:
    url, auth = await opened(server)
    answer = await server.http.post(f"{url}/messages", json={"text": "Hello!"}, headers=auth)
    await finished(server, url, auth, answer.json()["turn"])
    body = (await server.http.get(url, headers=auth)).json()
    assert [entry["role"] for entry in body["history"]] == ["user", "assistant"]


async def test_an_ended_session_is_gone_with_its_clips(server: Server) -> None:
    url, auth = await opened(server)
    answer = await server.http.post(f"{url}/say", json={"text": "Hi."}, headers=auth)
    turn = await finished(server, url, auth, answer.json()["turn"])
    assert (await server.http.delete(url, headers=auth)).status_code == 204
    assert error_of(await server.http.get(url, headers=auth)) == (404, "not_found")
    gone = await server.http.get(turn["clips"][0]["video_url"])
    assert error_of(gone) == (404, "not_found")


@pytest.mark.parametrize(
    "headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic x"}]
)
async def test_a_session_opens_with_its_token_only(server: Server, headers: dict[str, str]) -> None:
    url, _ = await opened(server)
    assert error_of(await server.http.get(url, headers=headers)) == (401, "unauthorized")


async def test_unknown_things_are_not_found(server: Server) -> None:
    _, auth = await opened(server)
    for address in ("/api/sessions/none", "/api/nothing", "/avatars/nobody/idle.mp4"):
        answer = await server.http.get(address, headers=auth)
        assert error_of(answer) == (404, "not_found")
    answer = await server.http.post("/api/sessions", json={"avatar": "nobody"})
    assert error_of(answer) == (404, "not_found")
    assert "egg, " in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "path",
    [
        "/video/../../etc/passwd",
        "/video/..%2f..%2f..%2fetc%2fpasswd",
        "/video/%2e%2e/%2e%2e/etc/passwd",
        "/audio/....//....//etc/passwd",
        "/video/" + "a" * 22 + ".mp4",
        "/static/../cli.py",
        "/static/%2e%2e/cli.py",
        "/avatars/..%2f..%2f/idle.mp4",
    ],
)
async def test_no_path_leads_outside(server: Server, path: str) -> None:
    # A raw request: the client library would tidy the path before sending it.
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    assert answer.startswith(b"HTTP/1.1 404")
    assert b"root:" not in answer


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"text": ""}, 422, "invalid_input"),
        ({"text": "a" * 20_000}, 422, "invalid_input"),
        ({"text": "\x00"}, 422, "invalid_input"),
        ({}, 422, "invalid_input"),
        ({"text": 5}, 422, "invalid_input"),
        ({"text": "hi", "idle_frame": -1}, 422, "invalid_input"),
        ({"text": "hi", "tekst": "hi"}, 422, "invalid_input"),
    ],
)
async def test_bad_messages_get_one_clear_error_and_leave_nothing(
    server: Server, body: dict[str, Any], status: int, code: str
) -> None:
    url, auth = await opened(server)
    answer = await server.http.post(f"{url}/messages", json=body, headers=auth)
    assert error_of(answer) == (status, code)
    assert (await server.http.get(url, headers=auth)).json()["history"] == []
    assert not list((server.data_dir / "clips").glob("*"))


async def test_malformed_json_is_one_clear_error(server: Server) -> None:
    answer = await server.http.post("/api/sessions", content=b"{nope")
    assert error_of(answer) == (422, "invalid_input")


async def test_a_body_of_50_mb_is_refused_before_it_is_read(server: Server) -> None:
    url, auth = await opened(server)
    answer = await server.http.post(f"{url}/messages", content=bytes(50_000_000), headers=auth)
    assert error_of(answer) == (413, "too_large")


async def test_a_body_that_hides_its_length_is_refused_as_well(serve: ServeWith) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield bytes(1024)

    async with serve(max_body_kb=4) as server:
        answer = await server.http.post("/api/sessions", content=endless())
        assert error_of(answer) == (413, "too_large")


async def test_presenters_and_voices_are_listed(server: Server) -> None:
    avatars = {a["name"]: a for a in (await server.http.get("/api/avatars")).json()}
    assert {"oval", "egg"} <= set(avatars)
    assert (avatars["egg"]["frames"], avatars["egg"]["fps"]) == (25, 25)
    assert (await server.http.get(avatars["egg"]["poster_url"])).status_code == 200
    idle = await server.http.get(avatars["egg"]["idle_url"], headers={"Range": "bytes=0-9"})
    assert idle.status_code == 206
    voices = (await server.http.get("/api/voices")).json()
    assert {"en", "ko"} <= {voice["language"] for voice in voices}


async def test_health_metrics_and_the_api_description_are_served(server: Server) -> None:
    assert (await server.http.get("/healthz")).json() == {"status": "ok"}
    assert (await server.http.get("/readyz")).json() == {"status": "ready"}
    await opened(server)
    metrics = (await server.http.get("/metrics")).text
    assert "ditto_sessions 1.0" in metrics
    paths = (await server.http.get("/openapi.json")).json()["paths"]
    assert "/api/sessions/{session}/messages" in paths


async def test_the_page_and_its_modules_are_served(server: Server) -> None:
    page = await server.http.get("/")
    assert page.status_code == 200
    assert "default-src 'self'" in page.headers["content-security-policy"]
    assert "https://" not in page.text


async def test_a_second_message_interrupts_the_first(server: Server) -> None:
    url, auth = await opened(server)
    first = await server.http.post(
        f"{url}/say", json={"text": "This is a long sentence. " * 20}, headers=auth
    )
    answer = await server.http.post(f"{url}/interrupt", headers=auth)
    assert answer.json() == {"interrupted": True}
    turn = await finished(server, url, auth, first.json()["turn"])
    assert turn["state"] == "interrupted"


async def test_a_conversation_can_be_taken_along_as_a_film(server: Server) -> None:
    async with server.socket() as client:
        ready = await client.until("session.ready")
        address = f"/api/sessions/{ready['session']}/export?as=film"
        token = {"Authorization": f"Bearer {ready['token']}"}
        assert error_of(await server.http.get(address, headers=token)) == (404, "not_found")
        await client.send(type="say", text="Good morning.")
        await client.until("turn.finished")
        film = await server.http.get(address, headers=token)
        wrong = await server.http.get(address.replace("film", "gif"), headers=token)
    assert film.headers["content-type"] == "application/zip"
    assert film.headers["cache-control"] == "no-store"
    assert b"film.mp4" in film.content
    assert error_of(wrong) == (422, "invalid_input")
    assert (await server.http.get(address)).status_code == 401
