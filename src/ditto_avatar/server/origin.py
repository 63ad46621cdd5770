"""Which web pages may connect: browsers let any page open a WebSocket to anywhere, and say which
page it was."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

_PORTS = {"http": 80, "ws": 80, "https": 443, "wss": 443}


@dataclass(frozen=True, slots=True)
class _Place:
    scheme: str
    host: str
    port: int


def may_connect(origin: str | None, host: str | None, allowed: str = "") -> bool:
    """Whether a connection may be accepted: from a program, which sends no `origin`; from a page
    that this very host and port served (`host` is the Host header); or from one of the origins
    `allowed`, as ``https://example.org``, by commas."""
    if origin is None:
        return True
    page = _place(origin)
    if page is None:
        return False
    if page in map(_place, allowed.split(",")):
        return True
    # Browsers leave a port out that their scheme implies, so the page's scheme fills it in.
    here = _place(f"{page.scheme}://{host or ''}")
    return here is not None and (page.host, page.port) == (here.host, here.port)


def _place(origin: str) -> _Place | None:
    try:
        parts = urlsplit(origin.strip())
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if not host or parts.scheme not in _PORTS or parts.username is not None:
        return None
    return _Place(parts.scheme, host, port if port is not None else _PORTS[parts.scheme])
