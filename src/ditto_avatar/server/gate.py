"""Decide whose request it is, and whether it may come in."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from ditto_avatar.errors import Busy, DittoAvatarError, Forbidden, Misdirected, outcome_of
from ditto_avatar.metrics import Metrics
from ditto_avatar.server.addresses import TrustedProxies, group
from ditto_avatar.server.body_limit import Bounds, read_away
from ditto_avatar.server.origin import is_served, may_connect
from ditto_avatar.server.throttle import Shares
from ditto_avatar.settings import Settings

log = logging.getLogger(__name__)

Refuse = Callable[[Request, Exception], Awaitable[Response]]

# What a page of another origin may ask for: nothing of it changes anything.
_READING = {"GET", "HEAD", "OPTIONS"}
# How much of what is refused is read away, and for how long.
_REFUSED = Bounds(max_bytes=64 * 1024, within_s=1.0)
_TOO_BUSY = 1013
_SHOWN_CHARACTERS = 64
_UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of the settings for requests from outside."""

    proxies: TrustedProxies
    allowed_hosts: str
    allowed_origins: str

    @classmethod
    def of(cls, settings: Settings) -> Rules:
        """Read the rules from `settings`. Raises `InvalidInput`."""
        # A name that the server was told to listen on is a name of its own.
        hosts = f"{settings.allowed_hosts},{settings.host}"
        proxies = TrustedProxies.read(settings.trusted_proxies)
        return cls(proxies, hosts, settings.allowed_origins)

    def check(self, scope: Scope) -> None:
        """Refuse a foreign name (raises `Misdirected`) and a foreign page (raises
        `Forbidden`)."""
        headers = Headers(scope=scope)
        host, origin = headers.get("host"), headers.get("origin")
        if not is_served(host, self.allowed_hosts):
            raise Misdirected(
                f"This server does not answer to the name {_shown(host)}; expected localhost, an "
                "address, or one of DITTO_ALLOWED_HOSTS."
            )
        if scope["type"] == "http" and scope["method"] in _READING:
            return
        if not may_connect(origin, host, self.allowed_origins):
            raise Forbidden(
                f"The page {_shown(origin)} may not connect; expected a page of this server, or "
                "one of DITTO_ALLOWED_ORIGINS."
            )


class Gate:
    """Put the visitor's own address into the scope, and refuse foreign names, foreign pages and too
    many WebSockets of one address before the application sees them."""

    def __init__(
        self, app: ASGIApp, *, rules: Rules, sockets: Shares, metrics: Metrics, refuse: Refuse
    ) -> None:
        self._app = app
        self._rules = rules
        self._sockets = sockets
        self._metrics = metrics
        self._refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        scope = _with_visitor(scope, self._rules.proxies)
        try:
            self._rules.check(scope)
        except DittoAvatarError as error:
            log.info("refused: %s", error)
            await self._turn_away(scope, receive, send, error)
            return
        if scope["type"] == "http":
            await self._app(scope, receive, send)
        else:
            await self._socket(scope, receive, send)

    async def _socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        holder = group(scope["client"][0])
        if not self._sockets.take(holder):
            error = Busy(f"At most {self._sockets.most} connections of one address are taken.")
            await self._turn_away(scope, receive, send, error)
            return
        try:
            await self._app(scope, receive, send)
        finally:
            self._sockets.give_back(holder)

    async def _turn_away(
        self, scope: Scope, receive: Receive, send: Send, error: DittoAvatarError
    ) -> None:
        if scope["type"] == "http":
            await read_away(receive, scope, _REFUSED)
            answer = await self._refuse(Request(scope), error)
            await answer(scope, receive, send)
            return
        # A handshake that fails tells a browser nothing (close code 1006), and its page would try
        # again for ever. So the socket is opened, and closed before anything is read.
        outcome = outcome_of(error)
        self._metrics.errors.labels(outcome.code).inc()
        reason = str(error).encode()[:120].decode(errors="ignore")
        await receive()
        await send({"type": "websocket.accept"})
        code = outcome.close or _TOO_BUSY
        await send({"type": "websocket.close", "code": code, "reason": reason})


def visitor_of(connection: HTTPConnection) -> str:
    """Name the visitor whose share a request counts for: see `addresses.group`."""
    return group(connection.client.host) if connection.client is not None else _UNKNOWN


def _with_visitor(scope: Scope, proxies: TrustedProxies) -> Scope:
    """The scope with the visitor in place of a trusted proxy."""
    peer: str = scope["client"][0] if scope.get("client") else _UNKNOWN
    if peer not in proxies:
        return {**scope, "client": scope.get("client") or (_UNKNOWN, 0)}
    headers = Headers(scope=scope)
    visitor = proxies.visitor(peer, ",".join(headers.getlist("x-forwarded-for")))
    secure = headers.get("x-forwarded-proto", "").strip().lower() in ("https", "wss")
    schemes = {"http": "https", "websocket": "wss"} if secure else {}
    return {
        **scope,
        "client": (visitor, 0),
        "scheme": schemes.get(scope["type"], scope["scheme"]),
    }


def _shown(text: str | None) -> str:
    return repr((text or "")[:_SHOWN_CHARACTERS])
