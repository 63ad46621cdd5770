"""Sessions with a grant, and operators who end sessions."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from ditto_avatar.errors import Forbidden, SessionEnded, ShuttingDown, UsedUp
from ditto_avatar.session.conversation import MESSAGE, SAY
from ditto_avatar.session.grant import Grant
from ditto_avatar.session.overview import Overview
from ditto_avatar.session.session import Session
from ditto_avatar.transport import events
from tests.worlds import World, Worlds

GRANT = Grant("shop", ends_at=5.0, avatars=("oval",), turns=2, turns_per_minute=30)


async def said(world: World, session: Session, text: str = "Hi.") -> None:
    async with world.viewer(session) as viewer:
        await session.submit(SAY, text)
        await viewer.until(events.TurnFinished)
        await session.interrupt()  # nobody listens to the end


async def test_the_turns_of_a_grant_are_counted_through_a_restart(open_world: Worlds) -> None:
    world = await open_world()
    session = await world.registry.open("me", grant=GRANT)
    await said(world, session)
    await world.registry.close(1)
    await world.services.store.close()
    again = await open_world()
    back = await again.registry.find(session.id, session.token)
    assert back.grant == GRANT
    await said(again, back)
    with pytest.raises(UsedUp):
        await back.submit(SAY, "One too many.")
    assert len(back.conversation.history()) == 2


async def test_a_turn_that_is_sent_twice_is_counted_once(world: World) -> None:
    session = await world.registry.open("me", grant=Grant("shop", turns=1))
    first = await session.submit(SAY, "Hi.", "c1")
    assert await session.submit(SAY, "Hi.", "c1") == first


async def test_another_presenter_than_the_grants_cannot_be_chosen(world: World) -> None:
    session = await world.registry.open("me", grant=GRANT)
    await session.choices.avatar("oval")
    with pytest.raises(Forbidden):
        await session.choices.avatar("egg")


async def test_a_session_whose_time_is_over_ends_for_those_who_watch_it_too(
    open_world: Worlds,
) -> None:
    valid = {GRANT}
    world = await open_world(admits=lambda grant: grant in valid)
    session = await world.registry.open("me", grant=GRANT)
    async with world.viewer(session) as viewer:
        await session.submit(MESSAGE, "Tell me a long story.")
        await viewer.until(events.TurnStarted)
        valid.clear()
        with pytest.raises(SessionEnded, match="time of this session is over"):
            await session.submit(SAY, "More.")
        await world.cleaning.sweep()
        assert len(world.registry) == 0
        assert (await viewer.until(events.TurnInterrupted)).reason == "over"
    with pytest.raises(SessionEnded):
        await world.registry.find(session.id, session.token)


async def test_a_closed_session_is_closed_to_who_is_just_coming_back(world: World) -> None:
    session = await world.registry.open("me")
    await said(world, session)
    await world.cleaning.sweep()
    await _out_of_memory(world, session)
    loading = asyncio.create_task(world.registry.find(session.id, session.token))
    await asyncio.sleep(0)
    assert await world.removal.end(session.id)
    await asyncio.gather(loading, return_exceptions=True)
    assert world.registry.get(session.id) is None
    with pytest.raises(SessionEnded):
        await world.registry.find(session.id, session.token)


async def test_a_session_that_is_closed_at_its_first_message_stays_closed(world: World) -> None:
    session = await world.registry.open("me")
    asking = asyncio.create_task(session.submit(SAY, "Hi."))
    await asyncio.sleep(0)
    assert await world.removal.end(session.id)
    await asyncio.gather(asking, return_exceptions=True)
    with pytest.raises(SessionEnded):
        await world.registry.find(session.id, session.token)


async def _out_of_memory(world: World, session: Session) -> None:
    session._context.used_at -= 1_000
    await world.cleaning.sweep()
    assert world.registry.get(session.id) is None


ACTIONS: dict[str, Callable[[World, str], Awaitable[bool]]] = {
    "end": lambda world, session: world.removal.end(session),
    "erase": lambda world, session: world.removal.erase(session, "operator"),
}


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("loops", range(12))
async def test_an_operators_action_is_done_although_its_caller_is_cancelled(
    world: World, action: str, loops: int
) -> None:
    session = await world.registry.open("me")
    await said(world, session)
    acting = asyncio.ensure_future(ACTIONS[action](world, session.id))
    for _ in range(loops):
        await asyncio.sleep(0)
    acting.cancel()
    await asyncio.wait([acting])
    if loops == 0:
        assert acting.cancelled()
        return  # nothing had begun
    await world.removal.drained(5)
    await world.registry.close(5)
    kept = await world.services.store.session(session.id)
    assert kept is None if action == "erase" else kept is not None and kept.closed


@pytest.mark.parametrize("action", ACTIONS)
async def test_a_session_that_nothing_was_said_in_can_be_ended(world: World, action: str) -> None:
    session = await world.registry.open("me")
    assert await ACTIONS[action](world, session.id)
    assert len(world.registry) == 0
    assert not await ACTIONS[action](world, session.id)


async def test_draining_keeps_who_is_there_and_begins_nothing(world: World) -> None:
    session = await world.registry.open("me")
    await said(world, session)
    world.services.drain.on = True
    with pytest.raises(ShuttingDown):
        await session.submit(SAY, "More.")
    with pytest.raises(ShuttingDown):
        await world.registry.open("you")
    assert await world.registry.find(session.id, session.token) is session
    await _out_of_memory(world, session)
    # A page that lost its connection comes back all the same.
    back = await world.registry.find(session.id, session.token)
    world.services.drain.on = False
    await said(world, back)


async def test_figures_tell_what_a_session_does(world: World) -> None:
    overview = Overview(world.registry, world.services.store, world.services.clock)
    session = await world.registry.open("me", grant=Grant("shop"))
    (new,) = await overview.sessions(10)
    assert (new.state, new.created_at, new.address, new.key) == ("idle", None, "me", "shop")
    world.speech.gate = asyncio.Event()
    async with world.viewer(session) as viewer:
        await session.submit(SAY, "Hi.")
        await viewer.until(events.TurnStarted)
        running = await overview.session(session.id)
        assert running is not None
        assert running.state not in ("idle", "stored")
        assert (running.turns, running.viewers) == (1, 1)
        world.speech.gate.set()
        await viewer.until(events.TurnFinished)
        await session.interrupt()
    await _out_of_memory(world, session)
    stored = await overview.session(session.id)
    assert stored is not None
    assert (stored.state, stored.address, stored.key) == ("stored", None, "shop")
    (turn,) = await overview.turns(session.id)
    assert turn.kind == "say"
    assert turn.timings["first_frame"] > 0
    assert await overview.session("unknown") is None
