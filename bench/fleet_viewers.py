"""A viewer behind a proxy: over TLS, from an address of its own, with what the page sends."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Origin

from tests.fakes.proxies import NAME, Proxy

# Some twelve seconds, as answers are.
_TEXT = (
    "We open at nine in the morning on weekdays and at ten on Saturdays and Sundays all year. "
    "The garden is behind the house and you may bring your dog if it is on a lead the whole time."
)


@dataclass
class Viewer:
    """Asks, and listens to the end. `number` makes its address."""

    number: int
    took_ms: list[float] = field(default_factory=list)
    """From a question to the first fragment of its answer."""
    errors: list[str] = field(default_factory=list)
    media_bytes: int = 0
    heard_s: float = 0.0
    _line: ClientConnection | None = None

    @asynccontextmanager
    async def connected(self, proxy: Proxy) -> AsyncIterator[None]:
        """Open a session through `proxy`."""
        source = (
            f"127.{1 + self.number // 62_500}.{self.number // 250 % 250}.{self.number % 250 + 1}"
        )
        async with connect(
            f"wss://{NAME}:{proxy.port}/ws",
            host="127.0.0.1",
            port=proxy.port,
            ssl=proxy.tls,
            local_addr=(source, 0),
            origin=Origin(proxy.origin),
            max_size=None,
            open_timeout=60,
        ) as self._line:
            await self._send(type="hello")
            while json.loads(await self._line.recv())["type"] != "session.ready":
                pass
            yield

    async def ask(self) -> None:
        """Have a text said, and hear it: each sentence is over when it was played."""
        assert self._line is not None
        asked = time.perf_counter()
        heard_until = asked
        first = True
        await self._send(type="say", text=_TEXT)
        async for frame in self._line:
            if isinstance(frame, bytes):
                self.media_bytes += len(frame)
                if first:
                    first = False
                    heard_until = time.perf_counter()
                    self.took_ms.append((heard_until - asked) * 1e3)
                continue
            event = json.loads(frame)
            match event["type"]:
                case "video_ready":
                    heard_until += event["duration"]
                    self.heard_s += event["duration"]
                    await asyncio.sleep(heard_until - time.perf_counter())
                    played = round(event["duration"] * 1000)
                    report = {"segment": event["segment"], "state": "ended", "media_ms": played}
                    await self._send(type="playback", **report)
                case "turn.finished":
                    return
                case "turn.interrupted":
                    self.errors.append("interrupted")
                    return
                case "error":
                    self.errors.append(event["code"])
                    return

    async def _send(self, **message: Any) -> None:
        assert self._line is not None
        await self._line.send(json.dumps(message))
