"""The packs that a worker can draw: those it started with, and those that servers brought."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import tempfile
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ditto_avatar.cluster import worker_pb2 as pb
from ditto_avatar.errors import InvalidAvatar, NotFound
from ditto_avatar.face.avatar import Avatar
from ditto_avatar.face.library import open_pack
from ditto_avatar.face.pack import check_name
from ditto_avatar.face.unpack import MAX_BYTES

log = logging.getLogger(__name__)

UNUSED_S = 3_600.0
"""A pack that was brought and is not drawn for so long is let go."""


@dataclass(slots=True)
class _Brought:
    avatar: Avatar
    size: int
    timer: asyncio.TimerHandle


class WorkerPacks:
    """Find packs by the digest of their files. Belongs to the event loop."""

    def __init__(
        self,
        own: Iterable[Avatar],
        prepare: Callable[[Avatar], Awaitable[None]],
        folder: Path | None = None,
        most_bytes: int = 4 * MAX_BYTES,
        unused_s: float = UNUSED_S,
    ) -> None:
        """Packs that are brought are kept in `folder` (default: the system's for temporary files),
        of `most_bytes` together: those drawn longest ago go first. `prepare` is called for each
        before it counts as there; what it raises refuses the pack."""
        self._own = {avatar.fingerprint: avatar for avatar in own}
        self._prepare = prepare
        self._folder = folder
        self._most_bytes = most_bytes
        self._unused_s = unused_s
        self._brought: OrderedDict[str, _Brought] = OrderedDict()
        self._one_at_a_time = asyncio.Lock()

    @property
    def digests(self) -> Sequence[str]:
        """Of all that can be drawn now."""
        return [*self._own, *self._brought]

    def find(self, digest: str) -> Avatar:
        """Return the avatar that is drawn from these files. Raises `NotFound` where they have to be
        brought first."""
        if (own := self._own.get(digest)) is not None:
            return own
        if (brought := self._brought.get(digest)) is None:
            raise NotFound("This worker has not that pack.")
        self._brought.move_to_end(digest)
        brought.timer.cancel()
        brought.timer = self._let_go_later(digest)
        return brought.avatar

    async def take(self, parts: AsyncIterator[pb.PackPart]) -> None:
        """Take a pack: a child process opens it, as any file of a stranger.

        Raises `InvalidAvatar` for a pack that is not what its head says, or that cannot be drawn.
        Cancelling is safe: nothing of it stays.
        """
        head = (await anext(aiter(parts), pb.PackPart())).head
        check_name(head.name)
        if not 0 < head.size <= MAX_BYTES:
            raise InvalidAvatar(f"expected a pack of at most {MAX_BYTES} bytes, came {head.size}.")
        async with self._one_at_a_time:
            if head.digest in self.digests:
                return
            avatar = await self._opened(head, parts)
            await self._prepare(avatar)
            self._keep(avatar, head.size)
        log.info("a server brought the pack %s", head.name)

    def close(self) -> None:
        """Let go of all that was brought."""
        for brought in self._brought.values():
            brought.timer.cancel()
        self._brought.clear()

    async def _opened(self, head: pb.PackHead, parts: AsyncIterator[pb.PackPart]) -> Avatar:
        with tempfile.NamedTemporaryFile(
            prefix="ditto-avatar-", suffix=".zip", dir=self._folder
        ) as file:
            digest, left = hashlib.sha256(), head.size
            async for part in parts:
                left -= len(part.data)
                if left < 0:
                    break
                digest.update(part.data)
                await asyncio.to_thread(file.write, part.data)
            if left or digest.hexdigest() != head.sha256:
                raise InvalidAvatar("expected the pack that was announced, came other bytes.")
            await asyncio.to_thread(file.flush)
            avatar = await open_pack(Path(file.name), self._folder)
        if (avatar.name, avatar.fingerprint) != (head.name, head.digest):
            raise InvalidAvatar(f"expected the pack {head.name!r}, came the files of another one.")
        return avatar

    def _keep(self, avatar: Avatar, size: int) -> None:
        timer = self._let_go_later(avatar.fingerprint)
        self._brought[avatar.fingerprint] = _Brought(avatar, size, timer)
        while sum(one.size for one in self._brought.values()) > self._most_bytes:
            self._let_go(next(iter(self._brought)))

    def _let_go_later(self, digest: str) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(self._unused_s, self._let_go, digest)

    def _let_go(self, digest: str) -> None:
        # Its files go when no stream draws it any more.
        self._brought.pop(digest).timer.cancel()
