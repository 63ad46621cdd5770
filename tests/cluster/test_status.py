"""What a worker tells probes and Prometheus, asked over a real socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from ditto_avatar.cluster.remote import RemoteEngine
from ditto_avatar.cluster.status import serving_status
from ditto_avatar.face.avatar import Avatar
from tests.cancelling import cancelled_everywhere
from tests.cluster.test_server import free_port
from tests.cluster.test_workers import avatar, packs, speak
from tests.deadlines import TEST_DEADLINE_S
from tests.fakes.worker_process import real_worker

__all__ = ["avatar", "packs"]  # fixtures


def respond(path: str) -> tuple[int, str, bytes] | None:
    return (200, "text/plain", b"here\n") if path == "/here" else None


@asynccontextmanager
async def raw() -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    async with asyncio.timeout(TEST_DEADLINE_S), serving_status("127.0.0.1", 0, respond) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            yield reader, writer
        finally:
            writer.close()


@pytest.mark.parametrize(
    ("request_line", "status", "body"),
    [
        ("GET /here HTTP/1.1", 200, b"here\n"),
        ("GET /here?a=b HTTP/1.1", 200, b"here\n"),
        ("HEAD /here HTTP/1.1", 200, b""),
        ("GET /there HTTP/1.1", 404, b"not here\n"),
        ("POST /here HTTP/1.1", 405, b"only GET\n"),
        ("no request at all", 400, b""),
    ],
)
async def test_a_request_is_answered_and_the_connection_ends(
    request_line: str, status: int, body: bytes
) -> None:
    async with raw() as (reader, writer):
        writer.write(f"{request_line}\r\nHost: worker\r\n\r\n".encode())
        answer = await reader.read()
    head, _, content = answer.partition(b"\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ".encode())
    assert content == body


@pytest.mark.parametrize("sent", [b"", b"GET /here HTTP/1.1\r\nX: " + b"x" * 200_000])
async def test_who_asks_nothing_or_too_much_is_let_go(sent: bytes) -> None:
    async with raw() as (reader, writer):
        writer.write(sent)
        writer.write_eof()
        try:
            answer = await reader.read()
        except ConnectionResetError:
            answer = b""
    assert answer == b"" or answer.startswith(b"HTTP/1.1 4")


async def test_serving_can_be_cancelled_at_every_wait() -> None:
    port = free_port()

    async def serve() -> bool:
        async with serving_status("127.0.0.1", port, respond):
            await asyncio.sleep(0)
        return False

    async for _ in cancelled_everywhere(serve):
        async with serving_status("127.0.0.1", port, respond):
            pass  # the port is free again


async def test_a_worker_says_when_it_is_ready_what_it_draws_and_that_it_ends(
    packs: Path, avatar: Avatar, tmp_path: Path
) -> None:
    port, admin = free_port(), free_port()
    settings = {
        "DITTO_AVATARS_DIR": str(packs),
        "DITTO_ADMIN_PORT": str(admin),
        "DITTO_MAX_SPEAKING": "4",
    }
    base = f"http://127.0.0.1:{admin}"
    with real_worker(port, tmp_path, **settings) as process:
        async with asyncio.timeout(TEST_DEADLINE_S), httpx.AsyncClient(base_url=base) as http:
            seen = await until_ready(http)
            engine = await RemoteEngine.connect([f"127.0.0.1:{port}"], None, lambda: None)
            stream = await engine.open(avatar)
            taken = (await http.get("/metrics")).text
            process.terminate()
            while (await http.get("/readyz")).status_code == 200:
                await engine.fleet.changed()
            assert (await http.get("/healthz")).status_code == 200
            await speak(stream, 5)
            assert len([frame async for frame in stream]) == 5
            await stream.cancel()
            await engine.close()
        assert await asyncio.to_thread(process.wait, TEST_DEADLINE_S) == 0
    assert seen[-1] == 200
    assert set(seen[:-1]) <= {503}
    assert "ditto_worker_places 4.0" in taken
    assert "ditto_worker_places_taken 1.0" in taken
    assert "ditto_worker_used_percent 25.0" in taken


async def until_ready(http: httpx.AsyncClient) -> list[int]:
    """Every status that `/readyz` answered with, up to 200."""
    statuses: list[int] = []
    while not statuses or statuses[-1] != 200:
        try:
            statuses.append((await http.get("/readyz")).status_code)
        except httpx.TransportError:
            await asyncio.sleep(0.05)  # it does not listen yet
    return statuses
