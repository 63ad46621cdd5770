"""Decide which web pages may connect, and under which names this server is reached.

Browsers let any page send requests and open WebSockets to anywhere, and say which page it was
(`Origin`). A page can also have its own name point to this machine (DNS rebinding); the browser
then takes the server for the page's own, and only `Host` tells the two apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from ditto_avatar.errors import InvalidInput
from ditto_avatar.server.addresses import parse

_PORTS = {"http": 80, "ws": 80, "https": 443, "wss": 443}


@dataclass(frozen=True, slots=True)
class _Place:
    scheme: str
    host: str
    port: int


def is_served(host: str | None, allowed: str = "") -> bool:
    """Return whether this server answers to `host`, the Host header: to localhost and names below
    it, to every address, and to the names in `allowed`, separated by commas (``*.example.org``
    stands for all names below example.org). Programs of HTTP/1.0 send none; rebinding needs one."""
    if host is None:
        return True
    place = _place(f"http://{host}")
    if place is None:
        return False
    name = place.host.rstrip(".")
    if parse(name) is not None:
        return True
    names = ["localhost", "*.localhost", *allowed.lower().split(",")]
    return any(_matches(name, pattern.strip()) for pattern in names)


def may_connect(origin: str | None, host: str | None, allowed: str = "") -> bool:
    """Return whether a connection may be accepted: from a program, which sends no `origin`; from a
    page that this very host and port served (`host` is the Host header); or from one of the origins
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


def listed(allowed: str) -> list[str]:
    """Return the origins in `allowed` as browsers write them: in lower case, without a port that
    the scheme implies. Raises `InvalidInput` for one that is none."""
    return [_written(text) for text in allowed.split(",") if text.strip()]


def _written(text: str) -> str:
    place = _place(text)
    if place is None or place.scheme not in ("http", "https"):
        raise InvalidInput(
            f"DITTO_ALLOWED_ORIGINS: expected origins such as https://example.org, came {text!r}."
        )
    host = f"[{place.host}]" if ":" in place.host else place.host
    port = "" if place.port == _PORTS[place.scheme] else f":{place.port}"
    return f"{place.scheme}://{host}{port}"


def _matches(name: str, pattern: str) -> bool:
    if pattern.startswith("*."):
        return name.endswith(pattern[1:]) and len(name) >= len(pattern)
    return name == pattern


def _place(origin: str) -> _Place | None:
    try:
        parts = urlsplit(origin.strip())
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if not host or parts.scheme not in _PORTS or parts.username is not None:
        return None
    return _Place(parts.scheme, host, port if port is not None else _PORTS[parts.scheme])
