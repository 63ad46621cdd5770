from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from ditto_avatar.clock import AgeClock
from ditto_avatar.errors import (
    InvalidInput,
    SessionEnded,
    StorageFailed,
    StorageFull,
    Unavailable,
)
from ditto_avatar.pipeline.clips import Clip
from ditto_avatar.session import database_lock
from ditto_avatar.session.database import sqlite_url
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

CLIP = Clip("n" * 22, 0, "Hi.", Emotion.NEUTRAL, 1.2, 5, 34)


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return sqlite_url(tmp_path)
    url: str = request.getfixturevalue("postgres")
    return url


@pytest.fixture
async def store(url: str) -> AsyncIterator[Store]:
    store = Store(url)
    await store.start()
    yield store
    await store.close()


def session(name: str = "a") -> StoredSession:
    return StoredSession(name, hash_token("secret"), "mina", "ko")


async def test_a_conversation_comes_back_as_it_was(store: Store) -> None:
    await store.add_session(session())
    await store.add_turn(Held("a"), StoredTurn("t1", 1, "message", "안녕?", client_id="c1"))
    await store.add_clip(Held("a"), "t1", CLIP)
    await store.settle_turn(
        Held("a"), "t1", answer="네.", heard=None, state=FINISHED, timings={"x": 1.0}
    )
    await store.add_turn(Held("a"), StoredTurn("t2", 2, "say", "Hi."))
    found = await store.session("a")
    assert found is not None
    assert (found.avatar, found.language) == ("mina", "ko")
    assert found.turns == (
        StoredTurn("t1", 1, "message", "안녕?", "네.", None, FINISHED, "c1", None, (CLIP,)),
        StoredTurn("t2", 2, "say", "Hi."),
    )


async def test_only_the_right_token_opens_a_session(store: Store) -> None:
    await store.add_session(session())
    found = await store.session("a")
    assert found is not None
    assert found.accepts("secret")
    assert not found.accepts("Secret")
    assert not found.accepts("")


async def test_the_same_message_is_kept_once(store: Store) -> None:
    await store.add_session(session())
    await store.add_turn(Held("a"), StoredTurn("t1", 0, "message", "Hi", client_id="c1"))
    with pytest.raises(InvalidInput, match="'c1' was answered long ago"):
        await store.add_turn(Held("a"), StoredTurn("t2", 0, "message", "Hi", client_id="c1"))
    third = await store.add_turn(Held("a"), StoredTurn("t3", 0, "message", "Hi", client_id="c2"))
    assert third.generation == 2


async def test_turns_are_numbered_by_the_database(store: Store) -> None:
    await store.add_session(session())
    asked = [StoredTurn(f"t{i}", 0, "message", "Hi") for i in range(3)]
    kept = [await store.add_turn(Held("a"), turn) for turn in asked]
    assert [turn.generation for turn in kept] == [1, 2, 3]


async def test_a_turn_of_no_session_says_that_the_session_ended(store: Store) -> None:
    with pytest.raises(SessionEnded):
        await store.add_turn(Held("nobody"), StoredTurn("t1", 0, "message", "Hi"))


async def test_a_session_is_stored_with_its_first_turn_or_not_at_all(store: Store) -> None:
    await store.add_turn(Held("a"), StoredTurn("t1", 0, "message", "Hi"), session())
    found = await store.session("a")
    assert found is not None
    assert [turn.id for turn in found.turns] == ["t1"]
    with pytest.raises(StorageFailed):  # the turn's id is taken: neither of them stays
        await store.add_turn(Held("b"), StoredTurn("t1", 0, "message", "Hi"), session("b"))
    assert await store.session("b") is None


async def test_only_the_newest_turns_are_read(store: Store) -> None:
    await store.add_session(session())
    for i in range(5):
        await store.add_turn(Held("a"), StoredTurn(f"t{i}", 0, "message", "Hi"))
    found = await store.session("a", newest_turns=2)
    assert found is not None
    assert [turn.id for turn in found.turns] == ["t3", "t4"]


async def test_a_start_marks_what_was_running_as_interrupted(url: str) -> None:
    first = Store(url)
    await first.start()
    await first.add_session(session("crash"))
    await first.add_turn(Held("crash"), StoredTurn("r1", 1, "message", "Hi"))
    await first.close()
    second = Store(url)
    assert await second.start() == 1
    found = await second.session("crash")
    assert found is not None
    assert found.turns[0].state == INTERRUPTED
    await second.remove_session("crash")
    await second.close()


async def test_a_second_server_is_refused_until_the_first_has_stopped(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = Store(url), Store(url)
    await first.start()
    await first.add_session(session("busy"))
    await first.add_turn(Held("busy"), StoredTurn("r1", 0, "message", "Hi"))
    monkeypatch.setattr(database_lock, "_WAIT_S", 0.3)
    with pytest.raises(Unavailable, match="Another server uses this database"):
        await second.start()
    found = await first.session("busy")
    assert found is not None
    assert found.turns[0].state == RUNNING
    await first.close()
    assert await second.start() == 1
    await second.remove_session("busy")
    await second.close()


async def test_a_removed_session_leaves_nothing(store: Store) -> None:
    await store.add_session(session())
    await store.add_turn(Held("a"), StoredTurn("t1", 1, "message", "Hi"))
    await store.add_clip(Held("a"), "t1", CLIP)
    assert await store.clip_names("a") == [CLIP.name]
    await store.remove_session("a")
    assert await store.session("a") is None
    assert await store.clip_names("a") == []
    await store.remove_session("a")  # again is no error


async def test_unused_sessions_are_found_by_age(store: Store) -> None:
    await store.add_session(session())
    assert await store.sessions_unused_for(3600) == []
    assert await store.sessions_unused_for(-1) == ["a"]


async def test_a_clock_that_is_set_forward_makes_no_session_old(url: str) -> None:
    wall, passed = time.time(), 0.0
    store = Store(url, AgeClock(lambda: wall, lambda: passed))
    await store.start()
    await store.add_session(session("jump"))
    wall += 2 * 86_400
    assert await store.sessions_unused_for(86_400) == []
    passed += 2 * 86_400
    assert await store.sessions_unused_for(86_400) == ["jump"]
    await store.remove_session("jump")
    await store.close()


async def test_a_database_that_a_newer_version_changed_is_refused(url: str) -> None:
    store = Store(url)
    await store.start()
    await store.close()
    engine = create_async_engine(url)
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    await engine.dispose()
    older = Store(url)
    with pytest.raises(Unavailable, match="belongs to a newer version"):
        await older.start()
    await older.close()


async def test_removed_rows_are_gone_from_every_file_of_the_database(tmp_path: Path) -> None:
    store = Store(sqlite_url(tmp_path))
    await store.start()
    for name in ("a", "b"):
        await store.add_session(session(name))
        for number in range(1, 60):
            text = f"{name} private {number} " * (number * 3)
            await store.add_turn(Held(name), StoredTurn(f"{name}{number}", number, "message", text))
            await store.settle_turn(
                Held(name),
                f"{name}{number}",
                answer=text.upper(),
                heard=None,
                state=FINISHED,
                timings={},
            )
    await store.remove_session("a")
    assert await store.purge()
    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"a private" not in kept
    assert b"A PRIVATE" not in kept
    assert b"b private 7 " in kept
    await store.close()


async def test_a_purge_can_be_cancelled_at_any_wait(tmp_path: Path) -> None:
    store = Store(sqlite_url(tmp_path))
    await store.start()

    async def remove_and_purge() -> bool:
        await store.add_session(session())
        await store.remove_session("a")
        return not await store.purge()

    async for _ in cancelled_everywhere(remove_and_purge):
        await store.remove_session("a")  # where it was cancelled before
        assert await store.purge()
    await store.close()


async def test_a_database_that_is_read_meanwhile_is_purged_later(tmp_path: Path) -> None:
    store = Store(sqlite_url(tmp_path))
    await store.start()
    await store.add_session(session())
    await store.add_turn(Held("a"), StoredTurn("t1", 1, "message", "a private word"))
    with closing(sqlite3.connect(tmp_path / "conversations.db")) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM turns").fetchall()
        await store.remove_session("a")
        assert not await store.purge()
        await store.add_session(session("b"))  # nobody is held up
    assert await store.purge()
    assert all(b"private" not in path.read_bytes() for path in tmp_path.iterdir())
    await store.close()


async def test_the_choice_of_presenter_and_language_is_kept(store: Store) -> None:
    await store.add_session(session())
    await store.update_session(Held("a"), avatar="james", language="en")
    found = await store.session("a")
    assert found is not None
    assert (found.avatar, found.language) == ("james", "en")


# aiosqlite's thread outlives a connection that never opened, by the time its loop takes to close.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_a_database_that_cannot_be_opened_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "conversations.db").mkdir()
    store = Store(sqlite_url(tmp_path / "data"))
    with pytest.raises(Unavailable, match="cannot be used"):
        await store.start()
    await store.close()


@pytest.mark.parametrize(
    ("url", "kind", "sentence"),
    [
        ("nonsense", InvalidInput, "expected a URL as postgresql://"),
        ("oracle://host/name", Unavailable, "The database oracle cannot be used"),
        ("sqlite:////proc/nowhere/file.db", Unavailable, "/proc/nowhere/file.db cannot be made"),
    ],
)
def test_a_url_that_leads_nowhere_is_one_clear_error(
    url: str, kind: type[Exception], sentence: str
) -> None:
    with pytest.raises(kind, match=re.escape(sentence)):
        Store(url)


async def test_a_url_without_a_driver_gets_the_one_of_this_house(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path}/conversations.db")
    assert await store.start() == 0
    await store.close()


async def test_an_unreachable_server_is_named_without_its_password() -> None:
    store = Store("postgresql+asyncpg://ditto:hunter2@127.0.0.1:1/none")
    with pytest.raises(Unavailable) as caught:
        await store.start()
    await store.close()
    assert "127.0.0.1:1" in str(caught.value)
    assert "hunter2" not in str(caught.value)


async def test_a_database_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    store = Store(sqlite_url(tmp_path))
    await store.start()
    await store.add_session(session())
    async with store._engine.begin() as connection:  # as a full disk does: every write fails
        await connection.exec_driver_sql("PRAGMA max_page_count=1")
        await connection.exec_driver_sql("PRAGMA query_only=ON")
    with pytest.raises(StorageFull, match="could not be stored"):
        await store.add_turn(Held("a"), StoredTurn("t1", 1, "message", "Hi"))
    await store.close()
