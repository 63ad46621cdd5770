"""Download voices while the server runs: one at a time, and never without being asked."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ditto_avatar.errors import Busy, DittoAvatarError, Unavailable, public_text
from ditto_avatar.models.catalogue import Entry, catalogue, fetch_entry
from ditto_avatar.models.hub import Progress, check_license
from ditto_avatar.speech.neural.local import LocalSpeech

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Status:
    """How far an entry is: ``absent``, ``loading`` (`share` of it is there, 0 to 1), ``trying``,
    ``installed``, ``slow`` or ``failed``, with the reason as a sentence."""

    state: str
    share: float = 0.0
    message: str = ""


class VoiceDownloads:
    """Gets voices of the catalogue for `local`, which speaks with them from the next sentence on.

    `done` is called with ``installed``, ``failed`` or ``cancelled`` for every download. `close`
    ends what runs. Belongs to the event loop.
    """

    def __init__(
        self,
        data_dir: Path,
        local: LocalSpeech | None,
        endpoint: str | None,
        done: Callable[[str], object],
    ) -> None:
        self._data_dir = data_dir
        self._local = local
        self._endpoint = endpoint
        self._done = done
        self._task: asyncio.Task[None] | None = None
        self._entry: Entry | None = None
        self._status = Status("absent")
        self._failed: dict[str, Status] = {}

    @property
    def offers(self) -> Sequence[Entry]:
        """The voices that can be had here: none where the settings leave local voices out."""
        if self._local is None:
            return ()
        return [entry for entry in catalogue().values() if entry.kind == "voices"]

    def status(self, entry: Entry) -> Status:
        """Tell how far `entry` is. Looks at one file."""
        if self._task is not None and entry is self._entry:
            return self._status
        if entry.is_installed(self._data_dir):
            slow = self._local is not None and entry.name in self._local.slow
            return Status("slow" if slow else "installed", 1.0)
        return self._failed.get(entry.name, Status("absent"))

    def start(self, entry: Entry, *, accepted: bool) -> None:
        """Begin to download `entry` in the background. Raises `Unavailable` where local voices are
        left out, `LicenseNotAccepted`, and `Busy` while another download runs."""
        if self._local is None:
            raise Unavailable("This server speaks without local voices (DITTO_SPEECH).")
        if entry.asks:
            check_license(entry.name, entry.license, accepted=accepted)
        if self._task is not None:
            raise Busy("A voice is being downloaded already.")
        self._entry, self._status = entry, Status("loading")
        self._failed.pop(entry.name, None)
        self._task = asyncio.create_task(self._get(entry, self._local))
        log.info("the voice %s is downloaded, for it was asked for in the page", entry.name)

    async def cancel(self) -> None:
        """Give up the download that runs; what has arrived is kept. Cancelling is safe."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def close(self) -> None:
        """End what runs. Cancelling is safe: it is told to stop first."""
        await self.cancel()

    async def _get(self, entry: Entry, local: LocalSpeech) -> None:
        loop = asyncio.get_running_loop()

        def arrived(progress: Progress) -> None:
            self._status = Status("loading", progress.done / max(progress.total, 1))

        def tell(progress: Progress) -> None:
            loop.call_soon_threadsafe(arrived, progress)

        outcome = "failed"
        try:
            await fetch_entry(
                entry, self._data_dir, accepted=True, endpoint=self._endpoint, tell=tell
            )
            self._status = Status("trying", 1.0)
            await local.prepare()
            outcome = "installed"
        except asyncio.CancelledError:
            outcome = "cancelled"
            raise
        except DittoAvatarError as error:
            self._failed[entry.name] = Status("failed", 0.0, public_text(error))
            log.warning("the voice %s could not be downloaded: %s", entry.name, error)
        except Exception as error:
            # The border of a task: the page is told that it did not work.
            self._failed[entry.name] = Status("failed", 0.0, public_text(error))
            log.exception("the voice %s could not be downloaded", entry.name)
        finally:
            self._task = self._entry = None
            self._done(outcome)
