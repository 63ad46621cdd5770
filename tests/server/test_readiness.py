"""Ready means that what is said can be stored."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from ditto_avatar.errors import NotReady
from ditto_avatar.server.readiness import Readiness
from ditto_avatar.session.database import sqlite_url
from ditto_avatar.session.store import Store
from tests.fakes.clock import ManualClock


async def test_a_data_folder_that_is_gone_is_not_ready_and_heals(tmp_path: Path) -> None:
    clock = ManualClock()
    elsewhere, data = tmp_path / "database", tmp_path / "data"
    elsewhere.mkdir()
    data.mkdir()
    store = Store(sqlite_url(elsewhere))
    await store.start()
    readiness = Readiness(store, data, clock)
    await readiness.check()
    assert list(data.iterdir()) == []
    data.rmdir()
    await readiness.check()  # known for a moment, and asked once
    clock.advance(5)
    with pytest.raises(NotReady):
        await readiness.check()
    data.mkdir()
    clock.advance(5)
    await readiness.check()
    await store.close()


async def test_a_database_that_is_locked_is_not_ready_in_time(tmp_path: Path) -> None:
    store = Store(sqlite_url(tmp_path))
    await store.start()
    other = sqlite3.connect(tmp_path / "conversations.db")
    other.execute("BEGIN IMMEDIATE")
    readiness = Readiness(store, tmp_path, ManualClock())
    with pytest.raises(NotReady):
        await readiness.check()
    other.close()
    await store.close()
