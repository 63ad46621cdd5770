"""Decide who may open a session: all, or holders of a key or a join token.

A join token is a JSON Web Token signed with HS256. It says until when it opens a session, for
which pages and presenters, and which limits the session has.
"""

from __future__ import annotations

import heapq
import logging
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import jwt

from ditto_avatar.errors import JoinNeeded, JoinRefused
from ditto_avatar.server.keys import Key, Keyring, looks_like_key
from ditto_avatar.server.origin import may_connect
from ditto_avatar.server.wire.rest import NewToken
from ditto_avatar.session.grant import Grant, may_show
from ditto_avatar.types import Language

log = logging.getLogger(__name__)

_ALGORITHM = "HS256"
_ISSUER = "ditto-avatar"
_CLAIMS = ("exp", "iss", "jti", "sub", "uses", "session_s")


@dataclass(frozen=True, slots=True)
class Asked:
    """The wishes of a client that asks for a session."""

    credential: str | None
    """A join token or a key."""
    origin: str | None
    """The page that asks; None for a program."""
    avatar: str | None = None
    language: Language | None = None
    cutout: bool = False
    """Whether the presenter is wanted without its background."""


@dataclass(frozen=True, slots=True)
class Admitted:
    """The terms on which a client was let in."""

    avatar: str | None
    language: Language | None
    grant: Grant | None = None


class Access:
    """Issue join tokens, and decide who may open a session. Belongs to the event loop.

    How often a token was used is remembered in memory, until it expires: after a restart, or at
    another server with the same secret, it can be used anew.
    """

    def __init__(
        self,
        keys: Keyring,
        secret: bytes,
        default_avatar: str,
        wall_time: Callable[[], float] = time.time,
    ) -> None:
        self._keys = keys
        self._secret = secret
        self._default_avatar = default_avatar
        self._wall_time = wall_time
        self._used: dict[str, _Use] = {}
        self._expiring: list[tuple[float, str]] = []
        """A heap: when each token that was used may be forgotten."""

    @property
    def open(self) -> bool:
        """Whether everybody may open sessions, because no keys are set."""
        return not self._keys

    @property
    def remembered(self) -> int:
        """How many used tokens are remembered."""
        return len(self._used)

    def key(self, text: str) -> Key | None:
        """Find the key that `text` is; None if it is none."""
        return self._keys.find(text)

    def issue(self, key: Key, wanted: NewToken) -> tuple[str, float]:
        """Sign a join token for the holder of `key`; the token, and when it expires in seconds of
        Unix time."""
        expires_at = int(self._wall_time()) + wanted.expires_s
        token_id = secrets.token_urlsafe(16)
        claims = {
            "iss": _ISSUER,
            "sub": key.name,
            "jti": token_id,
            "exp": expires_at,
            **wanted.model_dump(mode="json", exclude={"expires_s"}, exclude_none=True),
        }
        log.info("the key %s made the join token %s", key.name, token_id)
        return jwt.encode(claims, self._secret, _ALGORITHM), expires_at

    @contextmanager
    def admit(self, asked: Asked) -> Iterator[Admitted]:
        """Let a client open a session inside the block; a use of the token is given back when the
        block raises. Raises `JoinNeeded` without a credential and `JoinRefused`, with the reason,
        for one that does not fit."""
        if self.open:
            yield Admitted(asked.avatar, asked.language)
            return
        if asked.credential is None:
            raise JoinNeeded("This server is for invited people: a join token is needed.")
        if looks_like_key(asked.credential):
            yield self._with_key(asked)
            return
        claims = self._claims(asked.credential)
        admitted = self._with_token(asked, claims)
        use = self._take_use(claims)
        try:
            yield admitted
        except BaseException:
            use.times -= 1
            raise

    def holds(self, grant: Grant | None) -> bool:
        """Return whether a session with `grant` may go on: its time is not over, and its key is
        still one of the settings. A session that was opened before keys were set ends as well."""
        if self.open:
            return True
        if grant is None or grant.key not in self._keys:
            return False
        return grant.ends_at is None or self._wall_time() < grant.ends_at

    def _with_key(self, asked: Asked) -> Admitted:
        if asked.origin is not None:
            raise JoinRefused("A key belongs to a program; a page needs a join token.")
        key = self._keys.find(asked.credential or "")
        if key is None:
            raise JoinRefused("The key is not one of this server's.")
        return Admitted(asked.avatar, asked.language, Grant(key.name))

    def _claims(self, token: str) -> dict[str, Any]:
        """Read a token that this server signed and that has not expired."""
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                self._secret,
                algorithms=[_ALGORITHM],
                issuer=_ISSUER,
                options={"require": list(_CLAIMS), "verify_exp": False},
            )
        except jwt.PyJWTError:
            raise JoinRefused("The join token was not made by this server.") from None
        # By the injected time.
        if claims["exp"] <= self._wall_time():
            raise JoinRefused("The join token has expired; ask for a new one.")
        if claims["sub"] not in self._keys:
            raise JoinRefused("The key that made the join token is no longer valid.")
        return claims

    def _with_token(self, asked: Asked, claims: dict[str, Any]) -> Admitted:
        origins = claims.get("origins")
        if origins is not None and not _comes_from(asked.origin, origins):
            raise JoinRefused("The join token is for another page.")
        avatars = None if (named := claims.get("avatars")) is None else tuple(named)
        avatar = asked.avatar
        if avatar is None and not may_show(avatars, self._default_avatar):
            avatar = avatars[0] if avatars else None
        if avatar is not None and not may_show(avatars, avatar):
            raise JoinRefused("The join token is for another presenter.")
        language = claims.get("language")
        grant = Grant(
            key=claims["sub"],
            ends_at=self._wall_time() + claims["session_s"],
            avatars=avatars,
            turns=claims.get("turns"),
            turns_per_minute=claims.get("turns_per_minute"),
        )
        return Admitted(avatar, Language(language) if language else asked.language, grant)

    def _take_use(self, claims: dict[str, Any]) -> _Use:
        now = self._wall_time()
        while self._expiring and self._expiring[0][0] <= now:
            del self._used[heapq.heappop(self._expiring)[1]]
        token_id = claims["jti"]
        use = self._used.get(token_id)
        if use is None:
            use = self._used[token_id] = _Use()
            heapq.heappush(self._expiring, (claims["exp"], token_id))
        if use.times >= claims["uses"]:
            raise JoinRefused("The join token has been used already; ask for a new one.")
        use.times += 1
        return use


@dataclass(slots=True)
class _Use:
    """Count how often a token was used."""

    times: int = 0


def _comes_from(origin: str | None, allowed: list[str]) -> bool:
    return origin is not None and may_connect(origin, None, ",".join(allowed))
