"""What a browser is told of STUN and TURN servers."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ditto_avatar.errors import InvalidInput

_SCHEMES = ("stun:", "stuns:", "turn:", "turns:")


def addresses(text: str, setting: str) -> tuple[str, ...]:
    """Split addresses of ICE servers by commas. Raises `InvalidInput`, naming the `setting`."""
    found = tuple(part.strip() for part in text.split(",") if part.strip())
    for address in found:
        if not address.startswith(_SCHEMES):
            raise InvalidInput(f"{setting}: expected stun:… or turn:… by commas, came {address}.")
    return found


def turn_credentials(secret: str, name: str, expires_at: int) -> tuple[str, str]:
    """Return the user name and password that a TURN server with this shared secret takes until
    `expires_at`, in seconds since 1970 (draft-uberti-behave-turn-rest, coturn's
    `use-auth-secret`)."""
    user = f"{expires_at}:{name}"
    digest = hmac.new(secret.encode(), user.encode(), hashlib.sha1).digest()
    return user, base64.b64encode(digest).decode()


@dataclass(frozen=True, slots=True)
class IceServers:
    """The servers that browsers are told of: `stun` needs no password, `turn` gets one from the
    `secret` that is good for `ttl_s`."""

    stun: Sequence[str] = ()
    turn: Sequence[str] = ()
    secret: str | None = None
    ttl_s: float = 3_600
    wall: Callable[[], float] = lambda: 0.0

    def told(self, name: str) -> list[dict[str, Any]]:
        """Return them as `RTCPeerConnection` takes them, with a password for `name`."""
        servers: list[dict[str, Any]] = [{"urls": [address]} for address in self.stun]
        if self.turn and self.secret is not None:
            user, password = turn_credentials(self.secret, name, int(self.wall() + self.ttl_s))
            servers.append({"urls": list(self.turn), "username": user, "credential": password})
        elif self.turn:
            servers += [{"urls": [address]} for address in self.turn]
        return servers
