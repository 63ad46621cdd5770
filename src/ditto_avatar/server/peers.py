"""Reach the other servers of a database: what they are told of a visitor, and how fast they have to
answer."""

from __future__ import annotations

import asyncio
import socket
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import Scope

from ditto_avatar.errors import InvalidInput
from ditto_avatar.server.addresses import TrustedProxies, parse
from ditto_avatar.server.sub_path import url
from ditto_avatar.session.ownership import Owner
from ditto_avatar.settings import Settings

# A server of the same network answers in milliseconds, one that is gone never does.
CONNECT_S = 2.0
# Marks what another server hands on: it is handed on no further.
_MARK = "x-ditto-forwarded"
_PORTS = {"http": 80}


def check(settings: Settings) -> None:
    """Raise `InvalidInput` unless `DITTO_PEER_URL` can be used: visitors whom another server hands
    on would else all count as one."""
    if settings.peer_url is None:
        return
    host, _ = address_of(settings.peer_url)
    if parse(host) is not None and host not in TrustedProxies.read(settings.trusted_proxies):
        raise InvalidInput(
            f"DITTO_TRUSTED_PROXIES: expected the network of the servers ({host} is one of them), "
            f"came {settings.trusted_proxies!r}."
        )


def address_of(peer_url: str) -> tuple[str, int]:
    """Read the host and port of a server's URL. Raises `InvalidInput`."""
    parts = urlsplit(peer_url)
    try:
        port = parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        port = None
    if parts.scheme != "http" or not parts.hostname or port is None or parts.path not in ("", "/"):
        raise InvalidInput(
            f"DITTO_PEER_URL: expected an address such as http://10.0.0.7:7136, came {peer_url!r}."
        )
    return parts.hostname, port


async def connected_to(owner: Owner) -> socket.socket:
    """Open a connection to another server, past any proxy of the environment. Raises `OSError`
    (`TimeoutError` after 2 s). Cancelling is safe."""
    host, port = address_of(owner.url)
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(CONNECT_S):
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        family, kind, protocol, _, address = found[0]
        connection = socket.socket(family, kind, protocol)
        try:
            connection.setblocking(False)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await loop.sock_connect(connection, address)
        except BaseException:
            connection.close()
            raise
    return connection


def is_forwarded(scope: Scope) -> bool:
    """Return whether another server handed this request on."""
    return _MARK in Headers(scope=scope)


def forwarding_headers(scope: Scope) -> dict[str, str]:
    """Return the headers that tell another server whose request it is, and where the site is."""
    client = scope.get("client")
    secure = scope["scheme"] in ("https", "wss")
    headers = {
        _MARK: "1",
        "x-forwarded-proto": "https" if secure else "http",
        "x-forwarded-prefix": url(""),
    }
    if client is not None and parse(client[0]) is not None:
        headers["x-forwarded-for"] = client[0]
    return {name: value for name, value in headers.items() if value}
