"""Limit the size of request bodies, and the time they may take."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ditto_avatar.errors import DittoAvatarError, TooLarge, TooSlow

Refuse = Callable[[Request, Exception], Awaitable[Response]]


class BodyLimit:
    """Read a body before the application sees it, and refuse one over `max_bytes` as soon as that
    is known: small bodies fit the memory, and large ones are never taken in. A body that is not
    complete after `within_s` is refused and its connection closed."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        max_bytes: int,
        within_s: float,
        refuse: Refuse,
        larger: Mapping[str, int] | None = None,
    ) -> None:
        """`larger` has the limit of each path that takes more than others, in bytes."""
        self._app = app
        self._larger = larger or {}
        self._max_bytes = max_bytes
        self._within_s = within_s
        self._refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            async with asyncio.timeout(self._within_s):
                messages = await self._read(scope, receive)
        except TimeoutError:
            slow = TooSlow(f"The body did not arrive within {self._within_s:g} s.")
            await self._turn_away(scope, receive, send, slow)
            return
        except TooLarge as error:
            await self._turn_away(scope, receive, send, error)
            return
        if messages[-1]["type"] == "http.disconnect":
            return  # nobody is there to be answered

        async def replay() -> Message:
            return messages.pop(0) if messages else await receive()

        await self._app(scope, replay, send)

    async def _turn_away(
        self, scope: Scope, receive: Receive, send: Send, error: DittoAvatarError
    ) -> None:
        answer = await self._refuse(Request(scope), error)
        if isinstance(error, TooSlow):
            answer.headers["Connection"] = "close"
        await answer(scope, receive, send)

    async def _read(self, scope: Scope, receive: Receive) -> list[Message]:
        most = self._larger.get(scope["path"], self._max_bytes)
        announced = dict(scope["headers"]).get(b"content-length", b"0")
        if announced.isdigit() and int(announced) > most:
            raise self._too_large(most)
        messages: list[Message] = []
        size = 0
        while not messages or messages[-1].get("more_body", False):
            message = await receive()
            messages.append(message)
            size += len(message.get("body", b""))
            if size > most:
                raise self._too_large(most)
        return messages

    @staticmethod
    def _too_large(most: int) -> TooLarge:
        return TooLarge(f"The body is too large: at most {most // 1024} KB are taken.")
