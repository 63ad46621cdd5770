"""What fails for a moment breaks nothing for good."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ditto_avatar.errors import StorageFailed
from ditto_avatar.session.conversation import MESSAGE, SAY
from ditto_avatar.session.database import sqlite_url
from ditto_avatar.session.session import Session
from ditto_avatar.transport import events
from tests.fakes.postgres import Postgres
from tests.worlds import Viewer, World, Worlds


async def answered(session: Session, viewer: Viewer, text: str) -> str:
    turn = await session.submit(MESSAGE, text)
    await viewer.until(events.TurnFinished, where=lambda event: event.turn == turn)
    return turn


async def everything_is_kept(world: World, session: Session) -> None:
    """What the memory knows is in the store."""
    await session.close("idle")
    kept = await world.services.store.session(session.id)
    assert kept is not None
    shown = {e.turn: e.text for e in session.conversation.history() if e.role != "user"}
    assert {turn.id: turn.answer for turn in kept.turns} == shown
    assert len(shown) == len(kept.turns)


async def test_a_postgresql_that_restarts_in_mid_conversation(
    open_world: Worlds, postgres_server: Postgres, postgres: str
) -> None:
    world = await open_world(database_url=postgres)
    session = await world.registry.open("me")
    async with world.viewer(session) as viewer:
        await answered(session, viewer, "Before?")
        world.dialogue.gate = asyncio.Event()
        during = await session.submit(MESSAGE, "During?")
        await viewer.until(events.TextDelta, where=lambda event: event.turn == during)
        await asyncio.to_thread(postgres_server.stop)
        world.dialogue.gate.set()
        # The answer is heard all the same, and what went wrong is told.
        await viewer.until(events.TurnFinished, where=lambda event: event.turn == during)
        assert viewer.of(events.Failure)[0].code == "storage_failed"
        with pytest.raises(StorageFailed):
            await session.submit(SAY, "While it is away.")
        with pytest.raises(StorageFailed):
            await world.cleaning.sweep()
        await asyncio.to_thread(postgres_server.start)
        await answered(session, viewer, "After?")
    await world.cleaning.sweep()
    await everything_is_kept(world, session)


@contextmanager
def locked(world: World) -> Iterator[None]:
    """Somebody else writes to the database and does not end."""
    database = sqlite3.connect(world.data_dir / "conversations.db", isolation_level=None)
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        database.execute("ROLLBACK")
        database.close()


async def test_a_database_that_is_locked_for_longer_than_a_write_waits(
    open_world: Worlds, tmp_path: Path
) -> None:
    world = await open_world(database_url=f"{sqlite_url(tmp_path)}?timeout=0.05")
    session = await world.registry.open("me")
    async with world.viewer(session) as viewer:
        await answered(session, viewer, "Before?")
        world.dialogue.gate = asyncio.Event()
        during = await session.submit(MESSAGE, "During?")
        with locked(world):
            world.dialogue.gate.set()
            await viewer.until(events.TurnFinished, where=lambda event: event.turn == during)
            with pytest.raises(StorageFailed):
                await session.submit(SAY, "While it is locked.")
        await answered(session, viewer, "After?")
    await everything_is_kept(world, session)
