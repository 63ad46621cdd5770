"""What a person said is removed when they ask for it, and when it is old."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from ditto_avatar.errors import NotFound, StorageFailed
from ditto_avatar.session.conversation import MESSAGE, SAY
from ditto_avatar.session.schema import SessionRow, TurnRow, utc_now
from ditto_avatar.session.session import Session
from ditto_avatar.transport import events
from tests.worlds import World, Worlds

DAY_S = 86_400.0


async def say(world: World, session: Session, text: str) -> str:
    async with world.viewer(session) as viewer:
        turn = await session.submit(SAY, text)
        await viewer.until(events.TurnFinished, where=lambda e: e.turn == turn)
    return turn


async def make_older(world: World, days: float, *, turns: Iterable[str], sessions: bool) -> None:
    """Let `turns`, and all `sessions`, have begun so many days ago."""
    then = utc_now() - timedelta(days=days)
    async with world.services.store.writing() as db:
        await db.execute(update(TurnRow).where(TurnRow.id.in_(list(turns))).values(created_at=then))
        if sessions:
            await db.execute(update(SessionRow).values(created_at=then))


def files(world: World) -> list[Path]:
    return [path for path in world.data_dir.rglob("*") if path.is_file()]


def media(world: World) -> set[str]:
    return {path.suffix for path in files(world) if path.suffix in (".mp4", ".m4s", ".wav")}


async def test_an_erased_conversation_is_in_no_file_any_more(open_world: Worlds) -> None:
    world = await open_world(cache_bytes=10**8)
    world.dialogue.answer = "Dear Gwendolyn, 반갑습니다."
    mine, other = await world.registry.open("me"), await world.registry.open("you")
    async with world.viewer(mine) as viewer:
        await mine.submit(MESSAGE, "My name is Gwendolyn.")
        await viewer.until(events.TurnFinished)
    await say(world, mine, "Gwendolyn lives here.")
    await say(world, other, "Somebody else.")
    before = b"".join(path.read_bytes() for path in files(world))
    assert before.count(b"Gwendolyn") >= 3
    assert any(path.parent.name == mine.id for path in files(world))
    await world.removal.erase(mine.id, "user")
    after = b"".join(path.read_bytes() for path in files(world))
    for word in ("Gwendolyn", "반갑습니다", mine.id):
        assert word.encode() not in after
    assert not any(mine.id in str(path) for path in world.data_dir.rglob("*"))
    assert "Somebody else." in after.decode(errors="ignore")
    assert len([path for path in files(world) if path.suffix == ".mp4"]) == 1
    with pytest.raises(NotFound):
        await world.registry.find(mine.id, mine.token)


async def test_what_a_cancelled_turn_is_still_writing_is_removed_as_well(
    open_world: Worlds,
) -> None:
    world = await open_world(cache_bytes=10**8)
    session = await world.registry.open("me")
    world.clips.gate = threading.Event()
    async with world.viewer(session) as viewer:
        await session.submit(SAY, "Hi.")
        await viewer.until(events.SegmentData, where=lambda event: event.last)
        assert await asyncio.to_thread(world.clips.begun.wait, 20)
        await session.interrupt()
        removing = asyncio.create_task(world.removal.erase(session.id, "user"))
        done, _ = await asyncio.wait([removing], timeout=0.5)
        assert not done  # a thread cannot be stopped, so it is waited for
        world.clips.gate.set()
        await removing
    assert media(world) == set()


async def test_old_turns_go_with_their_clips_and_the_conversation_goes_on(
    open_world: Worlds,
) -> None:
    world = await open_world(cache_bytes=10**8)
    session = await world.registry.open("me")
    old = await say(world, session, "Long ago.")
    await say(world, session, "Just now.")
    await make_older(world, 40, turns=[old], sessions=True)
    await world.cleaning.expire(30 * DAY_S)
    assert [entry.text for entry in session.conversation.history()] == ["Just now."]
    assert await session.find_turn(old) is None
    stored = await world.services.store.session(session.id)
    assert stored is not None
    assert [turn.text for turn in stored.turns] == ["Just now."]
    assert len([path for path in files(world) if path.suffix == ".mp4"]) == 1
    assert all(b"Long ago." not in path.read_bytes() for path in files(world))
    async with world.viewer(session, after=1) as viewer:
        ready = await viewer.until(events.SessionReady)
    assert ready.gap  # what it missed is not known any more
    later = await say(world, session, "And on.")
    found = await session.find_turn(later)
    assert found is not None
    assert found.text == "And on."


@pytest.mark.parametrize("watched", [True, False])
async def test_a_conversation_in_which_nothing_was_said_for_long_goes_as_a_whole(
    open_world: Worlds, watched: bool
) -> None:
    world = await open_world(cache_bytes=10**8)
    session, recent = await world.registry.open("me"), await world.registry.open("you")
    turns = [await say(world, session, text) for text in ("One.", "Two.")]
    await say(world, recent, "Three.")
    await make_older(world, 40, turns=turns, sessions=True)
    async with world.viewer(session):
        if not watched:
            await session.close("idle")
        await world.cleaning.expire(30 * DAY_S)
    assert await world.services.store.session(session.id) is None
    with pytest.raises(NotFound):
        await world.registry.find(session.id, session.token)
    assert await world.registry.find(recent.id, recent.token) is recent
    assert not (world.data_dir / "cache" / session.id).exists()
    assert (world.data_dir / "cache" / recent.id).exists()


async def test_many_old_turns_go_in_small_batches(open_world: Worlds) -> None:
    world = await open_world()
    session = await world.registry.open("me")
    newest = await say(world, session, "Newest.")
    then = utc_now() - timedelta(days=40)
    async with world.services.store.writing() as db:
        db.add_all(
            TurnRow(
                id=f"old{number}",
                session_id=session.id,
                generation=-number,
                kind=SAY,
                text="Old.",
                created_at=then,
            )
            for number in range(1, 131)
        )
    await make_older(world, 40, turns=[], sessions=True)
    await world.cleaning.expire(30 * DAY_S)
    stored = await world.services.store.session(session.id)
    assert stored is not None
    assert [turn.id for turn in stored.turns] == [newest]


async def test_a_session_that_nobody_used_is_forgotten_with_its_takes(open_world: Worlds) -> None:
    world = await open_world(cache_bytes=10**8)
    session = await world.registry.open("me")
    await say(world, session, "A word of mine.")
    await session.interrupt()  # it waits to be heard
    session._context.used_at -= 121
    await world.cleaning.sweep()  # it leaves the memory
    async with world.services.store.writing() as db:
        await db.execute(update(SessionRow).values(used_at=utc_now() - timedelta(hours=2)))
    await world.cleaning.sweep()
    assert media(world) == set()
    assert all(b"A word of mine." not in path.read_bytes() for path in files(world))


async def test_who_returns_while_a_session_is_erased_does_not_bring_it_back(world: World) -> None:
    session = await world.registry.open("me")
    await say(world, session, "Hi.")
    await world.cleaning.sweep()
    erasing = asyncio.create_task(world.removal.erase(session.id, "user"))
    while not erasing.done():
        with contextlib.suppress(NotFound):
            found = await world.registry.find(session.id, session.token)
            assert found is session  # it is not closed yet
        await asyncio.sleep(0)
    with pytest.raises(NotFound):
        await world.registry.find(session.id, session.token)
    assert len(world.registry) == 0


async def test_erasing_that_failed_can_be_done_again(open_world: Worlds) -> None:
    world = await open_world(cache_bytes=10**8)
    session = await world.registry.open("me")
    await say(world, session, "Hi.")
    (clip,) = (path for path in files(world) if path.suffix == ".mp4")
    clip.rename(clip.with_suffix(".kept"))
    clip.mkdir()  # cannot be unlinked
    with pytest.raises(StorageFailed, match="could not be removed"):
        await world.removal.erase(session.id, "user")
    clip.rmdir()
    again = await world.registry.find(session.id, session.token)
    await world.removal.erase(again.id, "user")
    assert await world.services.store.session(session.id) is None
