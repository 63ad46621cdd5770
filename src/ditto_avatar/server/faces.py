"""Faces that visitors bring: checked, made into avatars, kept for those who made them.

A face has a name that nobody can guess and is in no list. Where sessions are opened with keys it
belongs to the key of its maker, until the maker shares it. Only the token that came with it shares
or removes it. The picture itself is never kept.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

from ditto_avatar.clock import AgeClock
from ditto_avatar.errors import Busy, DittoAvatarError, NotFound, Unauthorized, UsedUp
from ditto_avatar.face.avatar import Avatar
from ditto_avatar.face.library import AvatarLibrary, open_pack
from ditto_avatar.face.register.findings import Finding
from ditto_avatar.face.register.guarded import (
    PICTURE_CHECK,
    OnStep,
    check_picture,
    register_face,
)
from ditto_avatar.face.register.writing import Terms
from ditto_avatar.files import run_to_end
from ditto_avatar.guard.inspector import Inspector
from ditto_avatar.server.throttle import Shares

log = logging.getLogger(__name__)

PREFIX = "face-"
_OWNER_FILE = "owner.json"
_MOST_OF_SESSION = 3
# Cameras ask twice a second, and one child looks at a picture in milliseconds.
_MOST_CHECKS = 16
# Each may lie on the disk with the largest film that is taken, and waits for those before it.
_MOST_BRINGING = 6
_MOST_BRINGING_OF_VISITOR = 2
_TOO_MANY = "Too many pictures are being looked at; try again in a moment."


class Faces:
    """The visitors' faces in `folder`, at most `most` of them. Belongs to the event loop."""

    def __init__(
        self, library: AvatarLibrary, folder: Path, most: int, clock: AgeClock | None = None
    ) -> None:
        self._library = library
        self._folder = folder
        self._most = most
        self._clock = clock or AgeClock()
        self._names: set[str] = set()
        # Sessions by the face that they made since the server started.
        self._makers: dict[str, str] = {}
        # Faces that are on their way in, by visitor; one is made at a time.
        self._bringing = Shares(_MOST_BRINGING_OF_VISITOR)
        self._making = asyncio.Lock()
        # Pictures that wait for the child, which looks at one at a time.
        self._checking = 0
        self._looking = asyncio.Lock()
        self._inspector: Inspector | None = None

    @property
    def allowed(self) -> bool:
        """Whether visitors may bring faces at all."""
        return self._most > 0

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Load the faces that were made before; end the child that checks pictures afterwards."""
        for path in await asyncio.to_thread(_packs_in, self._folder):
            try:
                avatar = await open_pack(path)
                self._add(avatar, await asyncio.to_thread(_read_owner, path))
            except DittoAvatarError as error:
                log.error("the face %s is left out: %s", path.name, error)
        async with Inspector(PICTURE_CHECK) as self._inspector:
            yield

    async def check(self, data: bytes) -> list[Finding]:
        """Return what is wrong with a small picture of a camera. Raises `InvalidImage`, `Busy`.
        Cancelling is safe."""
        assert self._inspector is not None
        if self._checking >= _MOST_CHECKS:
            raise Busy(_TOO_MANY)
        self._checking += 1
        try:
            with _kept(data) as path:
                async with self._looking:
                    return await check_picture(path, preview=True, inspector=self._inspector)
        finally:
            self._checking -= 1

    @asynccontextmanager
    async def place(self, session: str, key: str | None, visitor: str) -> AsyncIterator[FacePlace]:
        """Hold a place for a face of the holder of `session`, and of `key` where it was opened with
        one, for as long as the block lasts; the face that `make` makes in it stays afterwards.

        Raises `UsedUp` beyond the quota, `Busy` when too many bring faces at the same time, many of
        them or this `visitor`. Nothing is waited for. Cancelling is safe: nothing is left.
        """
        if len(self._names) >= self._most:
            raise UsedUp("This server keeps no more faces.")
        if list(self._makers.values()).count(session) >= _MOST_OF_SESSION:
            raise UsedUp(f"A visitor may have {_MOST_OF_SESSION} faces; remove one first.")
        if self._bringing.total >= _MOST_BRINGING or not self._bringing.take(visitor):
            raise Busy(_TOO_MANY)
        place = FacePlace(PREFIX + secrets.token_hex(16), secrets.token_urlsafe(24), key)
        self._names.add(place.name)
        self._makers[place.name] = session
        try:
            yield place
        finally:
            self._bringing.give_back(visitor)
            if not place.taken:
                self._forget(place.name)
                await self._erase(place.name)

    async def make(self, place: FacePlace, path: Path, terms: Terms, on_step: OnStep) -> Avatar:
        """Make an avatar in `place` of the photo or film at `path`. Raises `InvalidImage` with the
        remedies. Cancelling is safe: leaving the place removes what there is."""
        async with self._making:
            avatar = await register_face(
                path, self._folder / place.name, terms, source="a photo", on_step=on_step
            )
        owner = _Owner(_digest(place.token), place.key)
        await run_to_end(partial(_write_owner, avatar.folder, owner))
        self._add(avatar, owner)
        place.taken = True
        log.info("a visitor made the face %s", place.name)
        return avatar

    async def remove(self, name: str, token: str) -> None:
        """Remove a face and all its files. Raises `NotFound`, `Unauthorized`."""
        await self._require_owner(name, token)
        await self._drop(name)

    async def share(self, name: str, token: str, shared: bool) -> None:
        """Let holders of every key use a face whose name they know, or only those of its maker's.
        Raises `NotFound`, `Unauthorized`. Cancelling is safe: the old state stays, or the new."""
        owner = replace(await self._require_owner(name, token), shared=shared)
        await run_to_end(partial(_write_owner, self._folder / name, owner))
        if name in self._names:
            self._add(self._library.find(name), owner)

    async def _require_owner(self, name: str, token: str) -> _Owner:
        if name not in self._names:
            raise NotFound("There is no such face.")
        owner = await asyncio.to_thread(_read_owner, self._folder / name)
        if not secrets.compare_digest(owner.token, _digest(token)):
            raise Unauthorized("Expected the token that came with this face.")
        return owner

    async def expire(self, age_s: float) -> None:
        """Remove the faces that were made longer ago than `age_s` seconds. Cancelling is safe."""
        for name in await asyncio.to_thread(self._older_than, age_s):
            await self._drop(name)

    def _older_than(self, age_s: float) -> list[str]:
        before = self._clock.now() - age_s
        packs = _packs_in(self._folder)
        return [path.name for path in packs if (path / "about.json").stat().st_mtime < before]

    async def _drop(self, name: str) -> None:
        self._forget(name)
        self._library.remove(name)
        await self._erase(name)

    async def _erase(self, name: str) -> None:
        await run_to_end(partial(shutil.rmtree, self._folder / name, ignore_errors=True))

    def _forget(self, name: str) -> None:
        self._names.discard(name)
        self._makers.pop(name, None)

    def _add(self, avatar: Avatar, owner: _Owner) -> None:
        self._names.add(avatar.name)
        self._library.add_unlisted(avatar, None if owner.shared else owner.key)


@dataclass(slots=True)
class FacePlace:
    """A place that is held for a face: its name, the token that will share and remove it, the name
    of its maker's key, and whether it was made."""

    name: str
    token: str
    key: str | None
    taken: bool = False


@dataclass(frozen=True, slots=True)
class _Owner:
    """Who may do what with a face: the digest of its token, the name of its maker's key, and
    whether others may use it."""

    token: str
    key: str | None = None
    shared: bool = False


@contextmanager
def _kept(data: bytes) -> Iterator[Path]:
    """A file with `data` for as long as the block lasts."""
    with tempfile.NamedTemporaryFile(prefix="ditto-avatar-", suffix=".upload") as file:
        file.write(data)
        file.flush()
        yield Path(file.name)


def _packs_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob(f"{PREFIX}*") if (path / "about.json").is_file())


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _write_owner(folder: Path, owner: _Owner) -> None:
    part = folder / f".{_OWNER_FILE}.part"
    part.write_text(json.dumps(asdict(owner)), encoding="utf-8")
    part.replace(folder / _OWNER_FILE)


def _read_owner(folder: Path) -> _Owner:
    """The owner; nobody where the file cannot be read: then the operator removes the face."""
    try:
        return _Owner(**json.loads((folder / _OWNER_FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return _Owner(token="", key="")
