"""What a session does in the background: writing, in order, and cleaning up."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from ditto_avatar.errors import DittoAvatarError
from ditto_avatar.session.clips import ClipFolder

log = logging.getLogger(__name__)


class Chores:
    """Belongs to the event loop. `failed` hears what could not be written."""

    def __init__(self, clips: ClipFolder, failed: Callable[[DittoAvatarError], object]) -> None:
        self._clips = clips
        self._failed = failed
        self._writing = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    def write(
        self,
        write: Callable[[], Awaitable[None]],
        then: Callable[[], object],
        *,
        otherwise: Callable[[], object],
    ) -> None:
        """Write after what is being written already, then do what waits for it: nobody is told of
        anything that a crash could undo. When it fails, `otherwise` is done instead."""

        async def guarded() -> None:
            async with self._writing:
                try:
                    await write()
                except DittoAvatarError as error:
                    self._failed(error)
                    otherwise()
                else:
                    then()

        self._begin(guarded())

    def discard(self, clip: str) -> None:
        """Remove the files of a clip that is in no conversation."""

        async def remove() -> None:
            try:
                await asyncio.to_thread(self._clips.remove, [clip])
            except OSError:
                # The border of a task: what stays is swept when it is old.
                log.exception("a clip that is in no conversation could not be removed")

        self._begin(remove())

    async def done(self) -> None:
        """Return when nothing is left to do."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
