"""Messages that no page sends, in numbers: the server lives on and its log stays clean."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests.fakes.fuzz import SECRET, Fuzz, say_something

from .conftest import Server, ServeWith

TRIES = 400


async def a_visit(server: Server, fuzz: Fuzz, numbers: list[int]) -> int:
    """As many messages as the connection takes; how many those were."""
    said = 0
    async with connect(f"ws://127.0.0.1:{server.port}/ws", max_size=None) as client:

        async def read() -> None:
            with contextlib.suppress(ConnectionClosed):
                while True:
                    await client.recv()

        reading = asyncio.create_task(read())
        with contextlib.suppress(ConnectionClosed):
            if numbers[0] % 3:
                await client.send(json.dumps({"type": "hello"}))
            for number in numbers:
                await say_something(client, fuzz, number)
                said += 1
        client.transport.abort()
        await reading
    return said


async def test_malformed_messages_leave_no_trace_in_the_log_and_a_healthy_server(
    serve: ServeWith, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    fuzz = Fuzz(7)
    left = list(range(TRIES))
    limits = {"sessions_per_minute": 10_000, "turns_per_minute": 10_000}
    async with serve(**limits) as server:
        while left:
            said = await a_visit(server, fuzz, left[:25])
            left = left[max(said, 1) :]
        for path in ("/api/sessions", f"/api/sessions/{SECRET}/say", f"/video/{SECRET}.mp4"):
            for _ in range(20):
                headers = {"Content-Type": "application/json", "Authorization": f"Bearer {SECRET}"}
                body = fuzz.text().encode()
                answer = await server.http.post(path, content=body, headers=headers)
                assert answer.status_code < 500
                assert answer.status_code < 400 or answer.json()["error"]["message"]
        assert (await server.http.get("/healthz")).status_code == 200
        async with server.socket() as honest:
            await honest.send(type="say", text="Hi.")
            await honest.until("turn.finished")
    ours = [r for r in caplog.records if not r.name.startswith(("httpx", "httpcore", "websockets"))]
    lines = [logging.Formatter().format(record) for record in ours]
    assert not [line for line in lines if "Traceback" in line or SECRET in line]
    assert not [record for record in ours if record.levelno >= logging.ERROR]
