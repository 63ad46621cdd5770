"""Sign clips behind the back of those who wait for them, and before anybody gets one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from ditto_avatar.credentials.signing import Credentials
from ditto_avatar.credentials.statement import Statement
from ditto_avatar.errors import DittoAvatarError, NotFound
from ditto_avatar.face.avatar import Avatar
from ditto_avatar.face.base import FaceEngine
from ditto_avatar.pipeline.clips import ClipFolder

log = logging.getLogger(__name__)


def statement_of(avatar: Avatar, face: FaceEngine) -> Statement:
    """Write what the credentials of a film state: `avatar`, drawn by `face`."""
    about = avatar.about
    return Statement(avatar.name, face.name, about.consent, about.provenance)


class ClipSigner:
    """Sign clips that are stored, one after the other. A clip can be told of before it is signed:
    `find` waits for the signature, and makes it where a killed process left one out.

    A film that cannot be signed is kept without credentials. That is logged, and `failed` is
    called: an answer with a visible mark alone is better than a conversation with a hole.
    """

    def __init__(
        self,
        clips: ClipFolder,
        credentials: Credentials | None = None,
        failed: Callable[[], object] = lambda: None,
    ) -> None:
        self._clips = clips
        self._credentials = credentials
        self._failed = failed
        self._signing: dict[str, asyncio.Task[None]] = {}

    @property
    def signs(self) -> bool:
        """Whether films get credentials."""
        return self._credentials is not None

    def later(self, name: str) -> None:
        """Begin to sign the clip `name`, without waiting."""
        self._begin(f"{name}.mp4")

    async def find(self, kind: str, file_name: str) -> Path:
        """Do what `ClipFolder.find` does, with a film that is signed. Cancelling is safe."""
        try:
            return await asyncio.to_thread(self._clips.find, kind, file_name)
        except NotFound:
            if kind != "video":
                raise
        await asyncio.shield(self._signing.get(file_name) or self._begin(file_name))
        return await asyncio.to_thread(self._clips.find, kind, file_name)

    async def sign(self, film: Path, statement: Statement) -> None:
        """Sign a film that was made out of clips, in its place. It stays as it is where nothing is
        signed. Cancelling is safe."""
        if self._credentials is not None:
            await self._sign(self._credentials, film, film, statement)

    async def close(self) -> None:
        """Stop signing. Clips that still wait are signed when they are asked for."""
        for task in (tasks := list(self._signing.values())):
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        if self._credentials is not None:
            await self._credentials.close()

    def _begin(self, file_name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(self._sign_clip(file_name))
        self._signing[file_name] = task
        task.add_done_callback(lambda _: self._signing.pop(file_name, None))
        return task

    async def _sign_clip(self, file_name: str) -> None:
        waiting = await asyncio.to_thread(self._clips.unsigned, file_name)
        if waiting is None:
            return
        film, statement = waiting
        signed = False
        if self._credentials is not None:
            target = self._clips.target(file_name)
            signed = await self._sign(self._credentials, film, target, statement)
        await asyncio.to_thread(self._clips.settle, file_name, signed=signed)

    async def _sign(
        self, credentials: Credentials, film: Path, target: Path, statement: Statement
    ) -> bool:
        try:
            await credentials.sign(film, target, statement)
        except (DittoAvatarError, OSError) as error:
            self._failed()
            log.warning("a film is kept without credentials: %s", error)
            return False
        return True
