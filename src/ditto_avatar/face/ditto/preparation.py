"""The making of a quick backend while another one draws."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from ditto_avatar.face.ditto.models import Coming, DittoModels
from ditto_avatar.face.ditto.runtime.beside import Beside, DoesCalls


class Preparation:
    """Makes what is `coming` in a thread of its own; `do` does calls on the device's thread,
    between two batches."""

    def __init__(self, coming: Coming, do: DoesCalls) -> None:
        self.name = coming.name
        self._coming = coming
        self._beside = Beside(do)

    async def made(self) -> DittoModels:
        """Wait for it. Raises what making it raises. Cancelling is safe: it returns when the thread
        and what that has started have ended, which takes no longer than one step of it."""
        threads = ThreadPoolExecutor(1, "ditto-prepare")
        loop = asyncio.get_running_loop()
        working = loop.run_in_executor(threads, self._coming.make, self._beside)
        try:
            return await asyncio.shield(working)
        except asyncio.CancelledError:
            self._beside.stop()
            await asyncio.wait([working])
            working.exception()  # nobody else asks for it
            raise
        finally:
            threads.shutdown(wait=False)
