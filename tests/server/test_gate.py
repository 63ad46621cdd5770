"""What is refused is read away first, and not for long."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Message, Scope

from ditto_avatar.errors import outcome_of
from ditto_avatar.metrics import Metrics
from ditto_avatar.server import gate
from ditto_avatar.server.addresses import TrustedProxies
from ditto_avatar.server.body_limit import Bounds
from ditto_avatar.server.gate import Gate, Rules
from ditto_avatar.server.throttle import Shares

FOREIGN = {
    "type": "http",
    "method": "POST",
    "path": "/api/sessions",
    "headers": [(b"host", b"localhost"), (b"origin", b"https://evil.example")],
    "client": ("127.0.0.1", 1),
    "scheme": "http",
}


async def _nobody(*_: Any) -> None:
    raise AssertionError("a foreign page came in")


async def _refuse(_: Request, error: Exception) -> Response:
    return PlainTextResponse(str(error), outcome_of(error).status)


class Connection:
    """Parts of a body, and then nothing; notes what is read and sent."""

    def __init__(self, *parts: bytes, more: bool = False) -> None:
        self._parts = list(parts)
        self._more = more
        self.seen: list[str] = []
        self.status = 0

    async def receive(self) -> Message:
        if not self._parts:
            await asyncio.Event().wait()
        self.seen.append("read")
        body = self._parts.pop(0)
        return {"type": "http.request", "body": body, "more_body": self._more or bool(self._parts)}

    async def send(self, message: Message) -> None:
        self.seen.append("sent")
        self.status = message.get("status", self.status)

    async def meets(self, scope: Scope) -> None:
        rules = Rules(TrustedProxies.read(""), "", "")
        app = Gate(_nobody, rules=rules, sockets=Shares(1), metrics=Metrics(), refuse=_refuse)
        await app(scope, self.receive, self.send)


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "_REFUSED", Bounds(max_bytes=8, within_s=0.05))


async def test_a_small_body_is_read_before_it_is_refused() -> None:
    connection = Connection(b"{", b"}")
    await connection.meets(FOREIGN)
    assert connection.status == 403
    assert connection.seen == ["read", "read", "sent", "sent"]


async def test_no_more_is_read_of_a_large_body() -> None:
    connection = Connection(*[b"four"] * 5)
    await connection.meets(FOREIGN)
    assert connection.status == 403
    assert connection.seen.count("read") == 3


async def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    connection = Connection(b"{", more=True)
    await asyncio.wait_for(connection.meets(FOREIGN), 10)
    assert connection.status == 403
