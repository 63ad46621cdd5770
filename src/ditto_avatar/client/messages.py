"""Describe what comes from the server, and how a conversation fails."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ditto_avatar.errors import DittoAvatarError


@dataclass(frozen=True, slots=True)
class Event:
    """Hold one message of the server, as docs/protocol-messages.md describes it."""

    type: str
    fields: Mapping[str, Any]

    def __getitem__(self, name: str) -> Any:
        return self.fields[name]


@dataclass(frozen=True, slots=True)
class Fragment:
    """Hold a piece of a segment: fragmented MP4. The fragments of one segment, in order, are a
    file that can be played; fragment 0 has the header."""

    segment: str
    index: int
    data: bytes
    last: bool


class ServerError(DittoAvatarError):
    """The server refused something. `code` is one of docs/protocol.md."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class ConnectionEnded(DittoAvatarError):
    """The connection ended before the answer did, or the server was silent for too long. `code` is
    the close code of the WebSocket, None where there was none."""

    def __init__(self, code: int | None, message: str) -> None:
        super().__init__(message)
        self.code = code
