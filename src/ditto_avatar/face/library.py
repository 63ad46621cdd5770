"""The presenters that can be chosen: those that come with the package and the user's own."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

from ditto_avatar.errors import InvalidAvatar, NotFound
from ditto_avatar.face.avatar import Avatar
from ditto_avatar.face.idle import IdleMemory
from ditto_avatar.face.pack import find_avatars, load_avatar

log = logging.getLogger(__name__)

BUNDLED = Path(__file__).parent.parent / "presenters"


class AvatarLibrary:
    """Checked packs by name; a pack of the user's replaces a bundled one of the same name."""

    def __init__(self, *folders: Path) -> None:
        self._avatars: dict[str, Avatar] = {}
        memory = IdleMemory()
        for folder in folders:
            for path in find_avatars(folder):
                try:
                    avatar = load_avatar(path, memory)
                except InvalidAvatar as error:
                    # One bad pack must not keep the others from being served.
                    log.error("avatar %s is left out: %s", path.name, error)
                else:
                    self._avatars[avatar.name] = avatar

    def __iter__(self) -> Iterator[Avatar]:
        return iter(sorted(self._avatars.values(), key=lambda avatar: avatar.name))

    def find(self, name: str) -> Avatar:
        """The avatar of that name. Raises `NotFound`, naming those that there are."""
        avatar = self._avatars.get(name)
        if avatar is None:
            known = ", ".join(sorted(self._avatars)) or "none"
            raise NotFound(f"There is no avatar named {name[:64]!r}; there are: {known}.")
        return avatar
