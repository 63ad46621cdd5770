"""Tell browsers with every answer what it may do."""

from __future__ import annotations

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


class SecurityHeaders:
    """Add `SECURITY_HEADERS` to every answer; one that the answer has already is left alone."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = list(message.get("headers", ()))
                names = {name.lower() for name, _ in given}
                added = [pair for pair in SECURITY_HEADERS if pair[0] not in names]
                message = {**message, "headers": [*given, *added]}
            await send(message)

        await self._app(scope, receive, send_with_headers)
