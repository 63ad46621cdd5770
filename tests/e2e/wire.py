"""What a page and its server say to each other, as a test sees it."""

from __future__ import annotations

import json
from typing import Any

from playwright.sync_api import Page, WebSocket


class Wire:
    """The messages of a page's WebSocket, both ways, and how many binary ones there were."""

    def __init__(self, page: Page) -> None:
        self.messages: list[dict[str, Any]] = []
        self.fragments = 0
        self.blocks = 0
        """Pieces of the microphone's sound."""
        page.on("websocket", self._listen)

    def of(self, kind: str, **fields: Any) -> list[dict[str, Any]]:
        """The messages of a type that have these fields."""
        return [m for m in self.messages if m["type"] == kind and fields.items() <= m.items()]

    def _listen(self, socket: WebSocket) -> None:
        socket.on("framesent", self._sent)
        socket.on("framereceived", self._received)

    def _sent(self, frame: str | bytes) -> None:
        if isinstance(frame, str):
            self.messages.append(json.loads(frame))
        else:
            self.blocks += 1

    def _received(self, frame: str | bytes) -> None:
        if isinstance(frame, str):
            self.messages.append(json.loads(frame))
        else:
            self.fragments += 1


def session_of(page: Page) -> tuple[str, dict[str, str]]:
    """The path of the page's session, and the headers that open it."""
    session = json.loads(page.evaluate("sessionStorage.getItem('ditto-avatar.session')"))
    return f"/api/sessions/{session['session']}", {"Authorization": f"Bearer {session['token']}"}
