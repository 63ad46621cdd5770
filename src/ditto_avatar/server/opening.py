"""Open sessions, over REST and the WebSocket alike."""

from __future__ import annotations

from ditto_avatar.server.access import Asked
from ditto_avatar.server.parts import ServerParts
from ditto_avatar.session.session import Session


async def open_session(
    parts: ServerParts, visitor: str, asked: Asked, *, keep: bool = False
) -> Session:
    """Open a session for `visitor`, with what its credential allows; with `keep` it is stored at
    once, as one with a grant always is: the token that opened it opens no other when its page is
    loaded again. Raises like `Access.admit`, `Registry.open` and `Session.keep`. Cancelling is
    safe: then the token is not used up."""
    with parts.access.admit(asked) as admitted:
        avatar = admitted.avatar
        if asked.cutout:
            avatar = parts.avatars.cutout_name(avatar or parts.settings.avatar)
        session = await parts.registry.open(visitor, avatar, admitted.language, admitted.grant)
        if keep or admitted.grant is not None:
            await session.keep()
    return session
