from __future__ import annotations

import asyncio
import sqlite3
from contextlib import AsyncExitStack

import pytest

from ditto_avatar.errors import (
    Busy,
    NotFound,
    RateLimited,
    SessionEnded,
    ShuttingDown,
    Unauthorized,
)
from ditto_avatar.session.conversation import SAY
from ditto_avatar.session.playback import PlaybackReport, PlaybackState
from ditto_avatar.session.session import Session
from ditto_avatar.session.stored import Held
from ditto_avatar.transport import events
from tests.worlds import World, Worlds


async def test_a_session_is_found_with_its_token_only(world: World) -> None:
    session = await world.registry.open("me")
    assert await world.registry.find(session.id, session.token) is session
    with pytest.raises(Unauthorized):
        await world.registry.find(session.id, "wrong")
    with pytest.raises(NotFound):
        await world.registry.find("unknown", session.token)


async def test_ids_and_tokens_cannot_be_guessed(world: World) -> None:
    sessions = [await world.registry.open("me") for _ in range(20)]
    assert len({s.id for s in sessions} | {s.token for s in sessions}) == 40
    assert all(len(s.token) >= 32 for s in sessions)


async def test_an_unknown_avatar_opens_nothing(world: World) -> None:
    with pytest.raises(NotFound, match="nobody"):
        await world.registry.open("me", avatar="nobody")
    assert len(world.registry) == 0


async def test_one_address_cannot_open_sessions_without_end(open_world: Worlds) -> None:
    world = await open_world(sessions_per_minute=2)
    for _ in range(2):
        await world.registry.open("me")
    with pytest.raises(RateLimited):
        await world.registry.open("me")
    await world.registry.open("you")


async def test_beyond_the_limit_sessions_are_refused_however_many_come_at_once(
    open_world: Worlds,
) -> None:
    world = await open_world(max_sessions=2)
    async with AsyncExitStack() as stack:

        async def come(who: str) -> None:
            session = await world.registry.open(who)
            await stack.enter_async_context(world.viewer(session))

        outcomes = await asyncio.gather(*map(come, "abcdefgh"), return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [type(None)] * 2 + [Busy] * 6
        assert len(world.registry) == 2


async def test_loading_counts_before_it_is_done(open_world: Worlds) -> None:
    world = await open_world(max_sessions=2)
    kept = [await world.registry.open("me") for _ in range(2)]
    for session in kept:
        await session.keep()
        session._context.used_at -= 121
    await world.cleaning.sweep()
    assert len(world.registry) == 0
    async with world.viewer(await world.registry.open("you")):
        finding = [world.registry.find(s.id, s.token, "me") for s in kept]
        found = await asyncio.gather(*finding, return_exceptions=True)
    assert [type(outcome) for outcome in found] == [Session, Busy]


async def test_a_session_that_many_ask_for_is_read_once(world: World) -> None:
    session = await world.registry.open("me")
    await session.keep()
    session._context.used_at -= 121
    await world.cleaning.sweep()
    finding = [world.registry.find(session.id, session.token) for _ in range(5)]
    assert len(set(await asyncio.gather(*finding))) == 1
    assert len(world.registry) == 1


async def test_a_wrong_token_costs_those_with_the_right_one_nothing(world: World) -> None:
    session = await world.registry.open("me")
    await session.keep()
    session._context.used_at -= 121
    await world.cleaning.sweep()
    finding = [
        world.registry.find(session.id, token) for token in ("wrong", session.token, "wrong too")
    ]
    wrong, found, wrong_too = await asyncio.gather(*finding, return_exceptions=True)
    assert isinstance(found, Session)
    assert (type(wrong), type(wrong_too)) == (Unauthorized, Unauthorized)
    assert len(world.registry) == 1


async def test_one_address_leaves_sessions_for_others(open_world: Worlds) -> None:
    world = await open_world(max_sessions=4, share=0.5)
    async with AsyncExitStack() as stack:
        for _ in range(2):
            await stack.enter_async_context(world.viewer(await world.registry.open("one")))
        with pytest.raises(Busy, match="2 open sessions"):
            await world.registry.open("one")
        await stack.enter_async_context(world.viewer(await world.registry.open("two")))
    await world.registry.open("one")


async def test_a_session_that_nobody_watches_makes_room(open_world: Worlds) -> None:
    world = await open_world(max_sessions=1)
    first = await world.registry.open("me")
    await first.keep()
    second = await world.registry.open("you")
    async with world.viewer(second):
        with pytest.raises(Busy):
            await world.registry.find(first.id, first.token, "me")
    assert (await world.registry.find(first.id, first.token, "me")).id == first.id


async def test_a_session_in_which_nothing_was_said_ends_with_its_viewer(world: World) -> None:
    session = await world.registry.open("me")
    async with world.viewer(session):
        assert len(world.registry) == 1
    assert len(world.registry) == 0
    with pytest.raises(SessionEnded):
        await world.registry.find(session.id, session.token)


async def test_a_removed_presenter_costs_nobody_a_conversation(world: World) -> None:
    session = await world.registry.open("me")
    async with world.viewer(session) as viewer:
        await session.submit(SAY, "Hi.")
        await viewer.until(events.TurnFinished)
        await session.interrupt()
    await world.services.store.update_session(Held(session.id), avatar="removed")
    session._context.used_at -= 121
    await world.cleaning.sweep()
    found = await world.registry.find(session.id, session.token)
    assert found.avatar.name == "oval"
    assert [entry.text for entry in found.conversation.history()] == ["Hi."]


async def test_a_session_that_was_watched_is_not_forgotten_when_the_page_is_closed(
    open_world: Worlds,
) -> None:
    world = await open_world(idle_s=3600)
    session = await world.registry.open("me")
    async with world.viewer(session) as viewer:
        await session.submit(SAY, "Hi.")
        await viewer.until(events.TurnFinished)
        with sqlite3.connect(world.data_dir / "conversations.db") as database:
            database.execute("UPDATE sessions SET used_at = '2020-01-01 00:00:00.000000'")
        await session.interrupt()
        await world.cleaning.sweep()
    session._context.used_at -= 121
    await world.cleaning.sweep()
    assert len(world.registry) == 0
    assert (await world.registry.find(session.id, session.token)).id == session.id


async def test_a_conversation_survives_a_restart(open_world: Worlds) -> None:
    world = await open_world()
    session = await world.registry.open("me")
    async with world.viewer(session) as viewer:
        await session.submit(SAY, "Hi.")
        ready = await viewer.until(events.VideoReady)
        await viewer.until(events.TurnFinished)
    await world.registry.close(0)
    await world.services.store.close()

    after = await open_world()
    found = await after.registry.find(session.id, session.token)
    assert found is not session
    (entry,) = found.conversation.history()
    assert entry.text == "Hi."
    assert entry.clips == (ready.clip,)
    with pytest.raises(Unauthorized):
        await after.registry.find(session.id, "wrong")


async def test_ending_a_session_removes_its_clips(world: World) -> None:
    session = await world.registry.open("me")
    async with world.viewer(session) as viewer:
        await session.submit(SAY, "Hi.")
        await viewer.until(events.TurnFinished)
    assert list((world.data_dir / "clips").iterdir())
    await world.removal.erase(session.id, "user")
    assert not list((world.data_dir / "clips").iterdir())
    with pytest.raises(NotFound):
        await world.registry.find(session.id, session.token)


async def test_a_session_nobody_watches_leaves_the_memory_but_can_be_resumed(
    world: World,
) -> None:
    session = await world.registry.open("me")
    await session.keep()
    session._context.used_at -= 121
    await world.cleaning.sweep()
    assert len(world.registry) == 0
    assert (await world.registry.find(session.id, session.token)).id == session.id


async def test_a_session_nobody_uses_for_long_ends(open_world: Worlds) -> None:
    world = await open_world(idle_s=-1)
    session = await world.registry.open("me")
    await session.keep()
    session._context.used_at -= 121
    await world.cleaning.sweep()
    assert await world.services.store.session(session.id) is None


async def test_a_stopping_server_lets_running_answers_finish(world: World) -> None:
    session = await world.registry.open("me")
    async with world.viewer(session) as viewer:
        await session.submit(SAY, "Hi.")
        await viewer.until(events.SegmentStarted)
        segment = viewer.of(events.SegmentStarted)[0].segment
        session.playback(PlaybackReport(segment, PlaybackState.ENDED, 0.1))
        await world.registry.close(10)
    assert viewer.of(events.TurnFinished)
    with pytest.raises(ShuttingDown):
        await session.submit(SAY, "Hi.")
    with pytest.raises(ShuttingDown):
        await world.registry.open("me")


async def test_a_stopping_server_interrupts_what_takes_too_long(world: World) -> None:
    world.speech.gate = asyncio.Event()
    session = await world.registry.open("me")
    async with world.viewer(session) as viewer:
        await session.submit(SAY, "A long sentence that waits.")
        await viewer.until(events.SegmentStarted)
        await world.registry.close(0.05)
    assert viewer.of(events.TurnInterrupted)[0].reason == "shutdown"
