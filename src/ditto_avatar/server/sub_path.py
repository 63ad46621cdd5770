"""Serve below a path of a site, such as ``/avatar``: take it off requests, put it before URLs.

A proxy may take the path off itself and say so (``X-Forwarded-Prefix``), or leave it on.
"""

from __future__ import annotations

import re
from contextvars import ContextVar

from starlette.datastructures import Headers
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from ditto_avatar.errors import InvalidInput
from ditto_avatar.server.addresses import TrustedProxies
from ditto_avatar.settings import Settings

_PREFIX = re.compile(r"(?:/[A-Za-z0-9._~-]{1,64}){1,8}")
# Of the request that is being answered, or of the WebSocket whose task this is.
_present: ContextVar[str] = ContextVar("sub_path", default="")


def url(path: str) -> str:
    """Make the URL of `path` as the visitor reaches it."""
    return f"{_present.get()}{path}"


class SubPath:
    """Take the path that the server is hosted under off every request before it is routed."""

    def __init__(self, app: ASGIApp, *, root: str, proxies: TrustedProxies) -> None:
        self._app = app
        self._root = root
        self._proxies = proxies

    @classmethod
    def root_of(cls, settings: Settings) -> str:
        """Read `DITTO_ROOT_PATH`. Raises `InvalidInput`."""
        root = settings.root_path.rstrip("/")
        if root and (_PREFIX.fullmatch(root) is None or "/.." in root):
            raise InvalidInput(
                f"DITTO_ROOT_PATH: expected a path such as /avatar, came {settings.root_path!r}."
            )
        return root

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        prefix = self._forwarded(scope) or self._root
        path: str = scope["path"]
        if prefix and path == prefix and scope["type"] == "http":
            # The page's own addresses are relative to a folder.
            await RedirectResponse(f"{prefix}/", 308)(scope, receive, send)
            return
        if prefix and path.startswith(f"{prefix}/"):
            raw = scope.get("raw_path", b"").removeprefix(prefix.encode())
            scope = {**scope, "path": path[len(prefix) :], "raw_path": raw}
        token = _present.set(prefix)
        try:
            await self._app(scope, receive, send)
        finally:
            _present.reset(token)

    def _forwarded(self, scope: Scope) -> str:
        """The path that a trusted proxy says it took off; empty when there is none."""
        peer = scope["client"][0] if scope.get("client") else ""
        if peer not in self._proxies:
            return ""
        told = Headers(scope=scope).get("x-forwarded-prefix", "").rpartition(",")[2].strip()
        told = told.rstrip("/")
        return told if _PREFIX.fullmatch(told) and "/.." not in told else ""
