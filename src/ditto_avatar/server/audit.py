"""Record what operators did, in a file that only grows."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from ditto_avatar.errors import StorageFull
from ditto_avatar.session.schema import utc_now


class AuditLog:
    """Write one JSON line for every action, readable by the server's own user only."""

    def __init__(self, path: Path, now: Callable[[], datetime] = utc_now) -> None:
        self._path = path
        self._now = now

    async def note(self, who: str, action: str, session: str | None = None) -> None:
        """Write that the key `who` asks for `action`. To be called before the action, so that
        none goes unrecorded: raises `StorageFull` when the line cannot be written. Cancelling is
        safe; the line may be there all the same."""
        entry = {"at": self._now().isoformat(timespec="milliseconds"), "who": who, "action": action}
        if session is not None:
            entry["session"] = session
        try:
            await asyncio.to_thread(self._append, json.dumps(entry) + "\n")
        except OSError as error:
            raise StorageFull(
                f"The action was not done: the audit log cannot be written ({error.strerror})."
            ) from error

    def _append(self, line: str) -> None:
        # One write to a file opened for appending: lines of several servers do not mix.
        file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(file, line.encode())
            os.fsync(file)
        finally:
            os.close(file)
