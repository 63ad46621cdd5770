"""Limit the size of request bodies, and the time they may take."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ditto_avatar.errors import TooLarge, TooSlow

Refuse = Callable[[Request, Exception], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Bounds:
    """The size that a body may have, and the time until it is complete."""

    max_bytes: int
    within_s: float


class BodyLimit:
    """Read a body before the application sees it, and refuse one beyond `bounds` as soon as that
    is known: small bodies fit the memory, and large ones are never taken in."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        bounds: Bounds,
        refuse: Refuse,
        streamed: Mapping[str, Bounds] | None = None,
    ) -> None:
        """Bodies for the paths in `streamed` are read by the application, as they come: there
        `TooLarge` and `TooSlow` meet the one who reads."""
        self._app = app
        self._bounds = bounds
        self._refuse = refuse
        self._streamed = streamed or {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        streamed = self._streamed.get(scope["path"])
        body = _Body(receive, streamed or self._bounds, scope)
        if streamed is not None:
            try:
                await self._app(scope, body.receive, send)
            except ClientDisconnect:
                pass  # nobody is there to be answered
            return
        try:
            messages = await body.whole()
        except (TooLarge, TooSlow) as error:
            answer = await self._refuse(Request(scope), error)
            await answer(scope, receive, send)
            return
        if messages[-1]["type"] == "http.disconnect":
            return  # nobody is there to be answered

        async def replay() -> Message:
            return messages.pop(0) if messages else await receive()

        await self._app(scope, replay, send)


async def read_away(receive: Receive, scope: Scope, bounds: Bounds) -> None:
    """Read a body within its bounds and forget it. Before a request is refused: a connection that
    is closed on a body that still comes is reset, and that can overtake the answer. Cancelling is
    safe."""
    with suppress(TooLarge, TooSlow):
        await _Body(receive, bounds, scope).whole()


class _Body:
    """A body as it comes in, within its bounds."""

    def __init__(self, receive: Receive, bounds: Bounds, scope: Scope) -> None:
        self._receive = receive
        self._bounds = bounds
        self._announced = dict(scope["headers"]).get(b"content-length", b"0")
        self._ends_at = asyncio.get_running_loop().time() + bounds.within_s
        self._size = 0
        self._complete = False

    async def receive(self) -> Message:
        """Return the next message. Raises `TooLarge` and `TooSlow` until the body is complete."""
        if self._complete:
            return await self._receive()
        if self._announced.isdigit():
            self._check(int(self._announced))
        try:
            async with asyncio.timeout_at(self._ends_at):
                message = await self._receive()
        except TimeoutError:
            raise TooSlow(f"The body did not arrive within {self._bounds.within_s:g} s.") from None
        self._size += len(message.get("body", b""))
        self._check(self._size)
        self._complete = not message.get("more_body", False)
        return message

    async def whole(self) -> list[Message]:
        """Return all messages of the body. Raises as `receive`."""
        messages = [await self.receive()]
        while not self._complete:
            messages.append(await self.receive())
        return messages

    def _check(self, size: int) -> None:
        most = self._bounds.max_bytes
        if size > most:
            raise TooLarge(f"The body is too large: at most {most // 1024} KB are taken.")
