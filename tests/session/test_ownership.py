"""Two servers on one PostgreSQL database, without their processes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from ditto_avatar.clock import SystemClock
from ditto_avatar.errors import InvalidInput, RateLimited, SessionMoved, Unavailable
from ditto_avatar.metrics import Metrics
from ditto_avatar.pipeline.clips import Clip
from ditto_avatar.session import database_lock
from ditto_avatar.session.database import sqlite_url
from ditto_avatar.session.ownership import HeldElsewhere, Owner, Ownership
from ditto_avatar.session.shared_limit import SharedLimit
from ditto_avatar.session.store import Store
from ditto_avatar.session.stored import (
    FINISHED,
    INTERRUPTED,
    RUNNING,
    Held,
    StoredSession,
    StoredTurn,
    hash_token,
)
from ditto_avatar.types import Emotion
from tests.cancelling import cancelled_everywhere


@asynccontextmanager
async def server(url: str, name: str) -> AsyncIterator[tuple[Store, Ownership]]:
    """A server at http://<name>, with its lease."""
    store = Store(url, shared=True)
    ownership = Ownership(store, f"http://{name}", SystemClock(), Metrics())
    try:
        await store.start()
        await ownership.begin()
        yield store, ownership
        await ownership.resign()
    finally:
        await store.close()


def a_session() -> StoredSession:
    return StoredSession("a", hash_token("secret"), "mina", "ko")


async def lapse(store: Store) -> None:
    """Let the lease of a server be over, as if it had hung for long."""
    async with store.writing() as db:
        await db.execute(
            text("UPDATE servers SET lease_until = now() - interval '1 second' WHERE id = :id"),
            {"id": store.server_id},
        )


async def test_a_session_belongs_to_one_server_until_it_gives_it_back(postgres: str) -> None:
    async with server(postgres, "a") as (a, ours), server(postgres, "b") as (_, theirs):
        await a.add_session(a_session())
        with pytest.raises(HeldElsewhere) as held:
            await theirs.take("a")
        assert held.value.owner == Owner(a.server_id, "http://a")
        assert await theirs.owner_of("a") == held.value.owner
        assert await ours.owner_of("a") is None
        await ours.give_back(Held("a"))
        assert await theirs.owner_of("a") is None
        assert (await theirs.take("a")).held == Held("a", 2)
        with pytest.raises(HeldElsewhere):
            await ours.take("a")


async def test_what_a_former_owner_still_writes_is_refused(postgres: str) -> None:
    async with server(postgres, "a") as (a, ours), server(postgres, "b") as (b, theirs):
        await a.add_session(a_session())
        await a.add_turn(Held("a"), StoredTurn("t1", 1, "message", "Hi"))
        await lapse(a)
        taken = await theirs.take("a")
        assert taken.cut == {"t1"}
        clip = Clip("n" * 22, 0, "Late.", Emotion.NEUTRAL, 1.0, 0, 25)
        settled: Any = {"answer": "Late.", "heard": None, "state": FINISHED, "timings": {}}
        late = [
            a.add_turn(Held("a"), StoredTurn("t2", 2, "message", "Late")),
            a.add_clip(Held("a"), "t1", clip),
            a.settle_turn(Held("a"), "t1", **settled),
            a.update_session(Held("a"), avatar="james"),
        ]
        for write in late:
            with pytest.raises(SessionMoved):
                await write
        kept = await b.session("a")
        assert kept is not None
        assert kept.avatar == "mina"
        assert [(turn.id, turn.answer, turn.state) for turn in kept.turns] == [
            ("t1", "", INTERRUPTED)
        ]
        assert await b.clip_names("a") == []
        assert await ours.lost([Held("a")]) == [Held("a")]
        assert await theirs.lost([taken.held]) == []


async def test_one_of_many_that_want_a_free_session_gets_it(postgres: str) -> None:
    async with server(postgres, "a") as (a, ours), server(postgres, "b") as (_, theirs):
        await a.add_session(a_session())
        await ours.give_back(Held("a"))
        both = await asyncio.gather(ours.take("a"), theirs.take("a"), return_exceptions=True)
        assert sorted(isinstance(one, SessionMoved) for one in both) == [False, True]


async def test_the_sessions_of_a_server_that_cannot_be_reached_are_free(postgres: str) -> None:
    async with server(postgres, "a") as (a, ours), server(postgres, "b") as (_, theirs):
        await a.add_session(a_session())
        owner = await theirs.owner_of("a")
        assert owner is not None
        theirs.presume_dead(owner)
        taken = await theirs.take("a")
        assert await ours.lost([Held("a")]) == [Held("a")]
        assert taken.held.epoch == 2


async def test_a_server_that_is_started_again_leaves_nothing_to_its_former_life(
    postgres: str,
) -> None:
    killed = Store(postgres, shared=True)
    await killed.start()
    await Ownership(killed, "http://a", SystemClock(), Metrics()).begin()
    await killed.add_session(a_session())
    await killed.close()
    async with server(postgres, "b") as (_, theirs):
        assert await theirs.owner_of("a") is not None
        async with server(postgres, "a"):
            assert await theirs.owner_of("a") is None


async def test_taking_a_session_can_be_cancelled_at_any_wait(postgres: str) -> None:
    async with server(postgres, "a") as (a, _), server(postgres, "b") as (b, theirs):
        await a.add_session(a_session())
        await lapse(a)

        async def take() -> bool:
            return (await theirs.take("a")).held.epoch > 1

        async for _ in cancelled_everywhere(take):
            # Whatever was done: the session is whole, and can be taken and written.
            held = (await theirs.take("a")).held
            await b.update_session(held, language="en")


async def test_a_start_leaves_alone_what_others_say(postgres: str) -> None:
    async with server(postgres, "a") as (a, _):
        await a.add_session(a_session())
        await a.add_turn(Held("a"), StoredTurn("t1", 1, "message", "Hi"))
        async with server(postgres, "b") as (b, _):
            kept = await b.session("a")
            assert kept is not None
            assert kept.turns[0].state == RUNNING


async def test_servers_that_start_together_migrate_one_after_the_other(postgres: str) -> None:
    stores = [Store(postgres, shared=True) for _ in range(4)]
    await asyncio.gather(*(store.start() for store in stores))
    await stores[0].add_session(a_session())
    await asyncio.gather(*(store.close() for store in stores))


async def test_a_server_that_does_not_share_is_kept_off(
    postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_lock, "_WAIT_S", 0.3)
    alone = Store(postgres)
    async with server(postgres, "a"):
        with pytest.raises(Unavailable, match="all need DITTO_PEER_URL"):
            await alone.start()
    await alone.close()


def test_sqlite_with_more_than_one_server_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="SQLite serves one server alone"):
        Store(sqlite_url(tmp_path), shared=True)


async def test_one_server_sweeps_at_a_time(postgres: str) -> None:
    async with server(postgres, "a") as (a, _), server(postgres, "b") as (b, _):
        async with a.sweeping() as first, b.sweeping() as second:
            assert (first, second) == (True, False)
        async with b.sweeping() as third:
            assert third


async def test_visitors_have_one_allowance_at_all_servers(postgres: str) -> None:
    async with server(postgres, "a") as (a, _), server(postgres, "b") as (b, _):
        here, there = (SharedLimit(store, "s", 3, "new sessions") for store in (a, b))
        await here.take("192.0.2.1")
        await there.take("192.0.2.1")
        await here.take("192.0.2.1")
        for limit in (here, there):
            with pytest.raises(RateLimited, match="wait 20 s"):
                await limit.take("192.0.2.1")
        await there.take("192.0.2.2")
        await here.forget()
        with pytest.raises(RateLimited):
            await there.take("192.0.2.1")
