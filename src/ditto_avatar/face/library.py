"""The presenters that can be chosen: those that come with the package and the user's own.

A pack of the user's may be a stranger's. A child process unpacks and checks it; what is loaded
here afterwards are the bytes that it checked.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from weakref import WeakKeyDictionary

from ditto_avatar.errors import DittoAvatarError, InvalidAvatar, NotFound
from ditto_avatar.face.avatar import Avatar
from ditto_avatar.face.cutout import SUFFIX, without_background
from ditto_avatar.face.idle import IdleMemory
from ditto_avatar.face.pack import find_avatars, load_avatar, load_folder, pack_digest
from ditto_avatar.face.unpack import MAX_BYTES, UnpackedFolder, pack_in
from ditto_avatar.guard.inspector import Check, Inspector, one_line
from ditto_avatar.guard.limits import Limits

log = logging.getLogger(__name__)

BUNDLED = Path(__file__).parent.parent / "presenters"
PACK_CHECK = Check(
    "ditto_avatar.face.pack_check:check_pack",
    InvalidAvatar,
    Limits(memory_mb=1_024, cpu_s=30, wall_s=60, written_mb=MAX_BYTES // 1_048_576),
)
_MOST_CHILDREN = 4


class AvatarLibrary:
    """Checked packs by name. `refused` tells why others were left out, by file name."""

    def __init__(self, avatars: Iterable[Avatar], refused: Mapping[str, str]) -> None:
        self._avatars = {avatar.name: avatar for avatar in avatars}
        self.refused = refused
        # Avatars that are in no list, and the key that alone may use each, or None for any.
        self._unlisted: dict[str, str | None] = {}
        # What is shown for avatars that are still being made.
        self._stand_ins: dict[str, Avatar] = {}
        self._cutouts: WeakKeyDictionary[Avatar, Avatar] = WeakKeyDictionary()

    def __iter__(self) -> Iterator[Avatar]:
        listed = [a for name, a in self._avatars.items() if name not in self._unlisted]
        return iter(sorted(listed, key=lambda avatar: avatar.name))

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._named(name) is not None

    def cutout_name(self, name: str) -> str:
        """The name under which the avatar `name` is shown without its background; `name` itself
        where it cannot be."""
        return cutout if (cutout := name + SUFFIX) in self else name

    def without_cutouts(self) -> AvatarLibrary:
        """Show every avatar with its background only; this library."""
        for name, avatar in self._avatars.items():
            self._avatars[name] = replace(avatar, cutout_frames=None)
        return self

    def _named(self, name: str) -> Avatar | None:
        found = self._avatars.get(name) or self._stand_ins.get(name)
        if found is not None or not name.endswith(SUFFIX):
            return found
        avatar = self._avatars.get(name.removesuffix(SUFFIX))
        if avatar is None:
            return None
        known = self._cutouts.get(avatar)
        if known is None and (known := without_background(avatar)) is not None:
            self._cutouts[avatar] = known
        return known

    def add(self, avatar: Avatar) -> None:
        """Add an avatar that everybody finds; what stood in for it is gone."""
        self._stand_ins.pop(avatar.name, None)
        self._avatars[avatar.name] = avatar

    def stand_in(self, name: str, avatar: Avatar) -> None:
        """Show `avatar` to those who ask for `name`, until an avatar of that name is added."""
        self._stand_ins[name] = avatar

    def add_unlisted(self, avatar: Avatar, key: str | None = None) -> None:
        """Add an avatar that is found by its name only, by the holders of `key` where one is
        named; or change for whom it is."""
        self._unlisted[avatar.name] = key
        self._avatars[avatar.name] = avatar

    def is_listed(self, name: str) -> bool:
        """Whether everybody finds the avatar of that name."""
        return name in self._avatars and name not in self._unlisted

    def remove(self, name: str) -> None:
        """Take away the avatar of that name, if there is one. Who uses it keeps it."""
        self._unlisted.pop(name, None)
        self._avatars.pop(name, None)

    def find(self, name: str) -> Avatar:
        """The avatar of that name. Raises `NotFound`, naming those that there are."""
        return self._found(name, self._named(name))

    def find_for(self, name: str, key: str | None) -> Avatar:
        """The avatar of that name for a holder of `key`. Raises `NotFound` as well where the avatar
        belongs to another key."""
        owner = self._unlisted.get(name.removesuffix(SUFFIX))
        return self._found(name, self._named(name) if owner in (None, key) else None)

    def _found(self, name: str, avatar: Avatar | None) -> Avatar:
        if avatar is None:
            known = ", ".join(avatar.name for avatar in self) or "none"
            raise NotFound(f"There is no avatar named {name[:64]!r}; there are: {known}.")
        return avatar


async def open_library(
    bundled: Path, own: Path | None = None, check: Check = PACK_CHECK
) -> AvatarLibrary:
    """Load the packs in `bundled`, and those in `own` that pass the `check`. A pack of the
    user's replaces a bundled one of the same name.

    A pack that fails is left out, with one line in the log. Cancelling is safe: no child and no
    unpacked folder stays.
    """
    memory = IdleMemory()
    ours = await asyncio.to_thread(_load_bundled, bundled, memory)
    if own is None:
        return AvatarLibrary(ours, {})
    paths = await asyncio.to_thread(find_avatars, own)
    opened = await _open_all(paths, memory, check)
    refused: dict[str, str] = {}
    for path, found in zip(paths, opened, strict=True):
        if not isinstance(found, Avatar):
            name = one_line(path.name)
            refused[name] = one_line(found)
            log.error("avatar %s is left out: %s", name, refused[name])
    return AvatarLibrary([*ours, *(a for a in opened if isinstance(a, Avatar))], refused)


async def open_pack(path: Path, unpack_in: Path | None = None) -> Avatar:
    """Check and load one pack of a stranger, a folder or a ``.zip``, which is unpacked in a folder
    of its own in `unpack_in` (default: the system's for temporary files). Raises `InvalidAvatar`.
    Cancelling is safe."""
    async with Inspector(PACK_CHECK) as inspector:
        return await _open(inspector, path, IdleMemory(), unpack_in)


def _load_bundled(folder: Path, memory: IdleMemory) -> list[Avatar]:
    return [load_avatar(path, memory) for path in find_avatars(folder)]


async def _open_all(
    paths: Sequence[Path], memory: IdleMemory, check: Check
) -> list[Avatar | DittoAvatarError]:
    """Each pack or the reason it was refused, in the order of `paths`. A few children share the
    work, so that a pack that hangs does not keep all others waiting."""
    opened: dict[Path, Avatar | DittoAvatarError] = {}
    left = iter(paths)

    async def work() -> None:
        async with Inspector(check) as inspector:
            for path in left:
                try:
                    opened[path] = await _open(inspector, path, memory)
                except DittoAvatarError as error:
                    opened[path] = error

    async with asyncio.TaskGroup() as group:
        for _ in range(min(len(paths), os.cpu_count() or 1, _MOST_CHILDREN)):
            group.create_task(work())
    return [opened[path] for path in paths]


async def _open(
    inspector: Inspector, path: Path, memory: IdleMemory, unpack_in: Path | None = None
) -> Avatar:
    place = None if await asyncio.to_thread(os.path.isdir, path) else UnpackedFolder(unpack_in)
    try:
        into = None if place is None else str(place.path)
        checked = await inspector.inspect(path, into=into)
        return await asyncio.to_thread(_load_checked, path, place, checked.value["digest"], memory)
    except BaseException:
        if place is not None:
            place.remove()
        raise


def _load_checked(
    path: Path, place: UnpackedFolder | None, digest: object, memory: IdleMemory
) -> Avatar:
    folder, name = (path, path.name) if place is None else pack_in(place.path, path)
    if pack_digest(folder) != digest:
        raise InvalidAvatar(f"{path.name}: expected the files that were checked, came others.")
    return load_folder(folder, name, place, memory)
