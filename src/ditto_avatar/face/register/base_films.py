"""Make avatars of lone films: a folder that holds ``base.mp4`` and no pack becomes one."""

from __future__ import annotations

import asyncio
import logging
import shutil
import tempfile
from collections.abc import AsyncGenerator, Mapping
from functools import partial
from pathlib import Path

from ditto_avatar.errors import DittoAvatarError
from ditto_avatar.face.avatar import Avatar
from ditto_avatar.face.library import open_pack
from ditto_avatar.face.pack import check_name
from ditto_avatar.face.register.guarded import Step, register_face
from ditto_avatar.face.register.writing import Terms
from ditto_avatar.files import run_to_end
from ditto_avatar.guard.inspector import one_line

log = logging.getLogger(__name__)

BASE_FILM = "base.mp4"


class BaseFilms:
    """Lone films, which become avatars one after the other. Belongs to the event loop."""

    def __init__(self, films: Mapping[str, Path]) -> None:
        self._films = films
        self._stages = dict.fromkeys(films, Step.WAITING)

    @classmethod
    async def found_in(cls, folder: Path | None) -> BaseFilms:
        """Look for lone films in the folders in `folder`."""
        films = [] if folder is None else await asyncio.to_thread(_lone_films, folder)
        return cls({film.parent.name: film for film in films})

    @property
    def stages(self) -> Mapping[str, Step]:
        """How far each avatar is that is still to be made, by its name; one that failed stays."""
        return self._stages

    async def make(self) -> AsyncGenerator[Avatar]:
        """Make a pack of every film and yield it, checked; its files go beside the film. A film
        that fails is left as it was, with one line in the log. Cancelling is safe: what is not
        finished leaves nothing."""
        for name, film in self._films.items():
            try:
                avatar = await self._made(name, film)
            except (DittoAvatarError, OSError) as error:
                log.error("avatar %s is left out: %s", one_line(name), one_line(error))
                self._stages[name] = Step.FAILED
                continue
            log.info("avatar %s: ready; choose it in the page, or set DITTO_AVATAR", one_line(name))
            yield avatar
            # Only now: whoever sees that it is no longer made finds it.
            del self._stages[name]

    async def _made(self, name: str, film: Path) -> Avatar:
        log.info("avatar %s: made from its %s, in some seconds", one_line(name), BASE_FILM)
        terms = Terms("as the operator says", f"{BASE_FILM} of the operator", "of the operator")
        check_name(name)
        with tempfile.TemporaryDirectory(prefix="ditto-avatar-") as work:
            pack = Path(work) / name
            await register_face(film, pack, terms, on_step=partial(self._stages.__setitem__, name))
            await run_to_end(partial(_move_files, pack, film.parent))
        return await open_pack(film.parent)


async def register_base_films(folder: Path) -> None:
    """Make a pack of every lone film in the folders in `folder`, as `BaseFilms.make` does."""
    films = await BaseFilms.found_in(folder)
    async for _ in films.make():
        pass


def _lone_films(folder: Path) -> list[Path]:
    found = sorted(folder.glob(f"*/{BASE_FILM}"))
    return [film for film in found if not (film.parent / "about.json").exists()]


def _move_files(pack: Path, folder: Path) -> None:
    # The one that makes a folder a pack comes last.
    for path in sorted(pack.iterdir(), key=lambda path: path.name == "about.json"):
        shutil.move(path, folder / path.name)
