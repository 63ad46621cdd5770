"""Tell browsers with every answer what it may do."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_CONTENT_POLICY = {
    "default-src": "'self'",
    "media-src": "'self' blob:",
    "img-src": "'self' data: blob:",
    # In a browser 'self' covers the WebSocket of the same host as well.
    "connect-src": "'self'",
    "frame-ancestors": "'self'",
    "base-uri": "'none'",
    "form-action": "'self'",
    "object-src": "'none'",
}
_FEATURES = {
    "camera": "(self)",
    "microphone": "(self)",
    "autoplay": "(self)",
    "fullscreen": "(self)",
    "display-capture": "()",
    "geolocation": "()",
    "payment": "()",
    "usb": "()",
}
_TABLE = {
    "content-security-policy": "; ".join(
        f"{name} {what}" for name, what in _CONTENT_POLICY.items()
    ),
    "permissions-policy": ", ".join(f"{name}={who}" for name, who in _FEATURES.items()),
    "x-content-type-options": "nosniff",
    # Requests to this server still say where they come from: `Origin` depends on it.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
SECURITY_HEADERS = [(name.encode(), value.encode()) for name, value in _TABLE.items()]


def _framed_by(origins: Sequence[str]) -> list[tuple[bytes, bytes]]:
    """`SECURITY_HEADERS`, with `origins` beside this server as pages that may frame it."""
    own, others = b"frame-ancestors 'self'", " ".join(origins).encode()
    return [
        (name, value.replace(own, own + b" " + others) if others else value)
        for name, value in SECURITY_HEADERS
    ]


class SecurityHeaders:
    """Add `SECURITY_HEADERS` to every answer; one that the answer has already is left alone. Pages
    of `origins` may show this server's page in a frame."""

    def __init__(self, app: ASGIApp, *, origins: Sequence[str] = ()) -> None:
        self._app = app
        self._headers = _framed_by(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = list(message.get("headers", ()))
                names = {name.lower() for name, _ in given}
                added = [pair for pair in self._headers if pair[0] not in names]
                message = {**message, "headers": [*given, *added]}
            await send(message)

        await self._app(scope, receive, send_with_headers)
