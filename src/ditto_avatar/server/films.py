"""Serve at once while the operator's lone films become avatars."""

from __future__ import annotations

import logging
from contextlib import aclosing

from ditto_avatar.face.base import FaceEngine
from ditto_avatar.face.library import AvatarLibrary
from ditto_avatar.face.register.base_films import BaseFilms
from ditto_avatar.pipeline.warm_up import prepare_each

log = logging.getLogger(__name__)


def stand_in(library: AvatarLibrary, films: BaseFilms, default: str) -> None:
    """Show another avatar for the `default` one as long as that is being made."""
    other = next(iter(library), None)
    if default in films.stages and other is not None:
        log.info("avatar %s: %s is shown until it is ready", default, other.name)
        library.stand_in(default, other)


async def add_each(films: BaseFilms, library: AvatarLibrary, face: FaceEngine) -> None:
    """Make avatars of the films one after the other and add each to `library`, prepared. Cancelling
    is safe: what is not finished leaves nothing."""
    try:
        async with aclosing(films.make()) as made:
            async for avatar in made:
                await prepare_each(face, [avatar])
                library.add(avatar)
    except Exception:
        # The border of a task: the server goes on with the avatars that it has.
        log.exception("films could not be made into avatars")
