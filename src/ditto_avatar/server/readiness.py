"""Tell whether conversations can be stored, asked seldom and never for long."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from ditto_avatar.clock import Clock
from ditto_avatar.errors import DittoAvatarError, NotReady
from ditto_avatar.session.store import Store

log = logging.getLogger(__name__)

# An answer counts this long, so that many questions cost no more than one.
_KNOWN_S = 2.0
_WITHIN_S = 3.0
# More than a page of any file system: a file that is too small may fit where nothing else does.
_PROBE_BYTES = 64 * 1024


class Readiness:
    """Try to write where conversations and clips are kept. Belongs to the event loop."""

    def __init__(self, store: Store, data_dir: Path, clock: Clock) -> None:
        self._store = store
        self._data_dir = data_dir
        self._clock = clock
        self._asking = asyncio.Lock()
        self._asked_at: float | None = None
        self._problem: str | None = None

    async def check(self) -> None:
        """Raise `NotReady` while the database or the data folder cannot be written. Cancelling is
        safe."""
        async with self._asking:
            now = self._clock.now()
            if self._asked_at is None or now - self._asked_at >= _KNOWN_S:
                problem = await self._ask()
                if problem is not None and problem != self._problem:
                    log.error("not ready: %s", problem)
                self._problem, self._asked_at = problem, self._clock.now()
        if self._problem is not None:
            raise NotReady("Nothing can be stored at the moment.")

    async def _ask(self) -> str | None:
        """Write and take back; the problem, if there is one."""
        try:
            async with asyncio.timeout(_WITHIN_S):
                await asyncio.to_thread(self._probe)
                await self._store.check_writable()
        except TimeoutError:
            return f"writing took longer than {_WITHIN_S:g} s"
        except (DittoAvatarError, OSError) as error:
            return str(error)
        return None

    def _probe(self) -> None:
        probe = self._data_dir / ".writable"
        try:
            probe.write_bytes(bytes(_PROBE_BYTES))
        finally:
            probe.unlink(missing_ok=True)
