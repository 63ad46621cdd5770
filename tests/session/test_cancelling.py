"""A cancelled caller leaves nothing half done: every public coroutine, at every await."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable

import pytest

from ditto_avatar.errors import SessionEnded
from ditto_avatar.session.conversation import SAY
from ditto_avatar.session.session import Session
from ditto_avatar.transport import events
from ditto_avatar.types import Language
from tests.worlds import World, Worlds

# More turns of the loop than any of them takes.
STEPS = 20


async def cancelled_after(steps: int, work: Awaitable[object]) -> bool:
    """Whether `work` was still under way after so many turns of the loop, and was cancelled."""
    task = asyncio.ensure_future(work)
    for _ in range(steps):
        if task.done():
            break
        # A thread of the database needs real time; without it all awaits would be one.
        await asyncio.sleep(0.0002)
    was_running = task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return was_running


async def speaks_once_more(world: World, session: Session) -> None:
    async with world.viewer(session) as viewer:
        turn = await session.submit(SAY, "Once more.")
        await viewer.until(events.TurnFinished, where=lambda event: event.turn == turn)
        await session.interrupt()


Command = Callable[[World, Session], Awaitable[object]]
COMMANDS: dict[str, Command] = {
    "submit": lambda world, session: session.submit(SAY, "Hi.", "same"),
    "interrupt": lambda world, session: session.interrupt(),
    "keep": lambda world, session: session.keep(),
    "select_avatar": lambda world, session: session.choices.avatar("oval"),
    "select_language": lambda world, session: session.choices.language(Language.KOREAN),
    "find_turn": lambda world, session: session.find_turn("none"),
    "find": lambda world, session: world.registry.find(session.id, session.token),
}


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("stored", [False, True], ids=["new", "stored"])
async def test_a_session_lives_on_whenever_its_caller_is_cancelled(
    world: World, name: str, stored: bool
) -> None:
    cancelled = 0
    for steps in range(STEPS):
        session = await world.registry.open(f"visitor {steps}")
        if stored:
            await session.keep()
        cancelled += await cancelled_after(steps, COMMANDS[name](world, session))
        await speaks_once_more(world, session)
        await session.close("idle")
        kept = await world.services.store.session(session.id)
        assert kept is not None
        assert [turn.generation for turn in kept.turns] == [
            number + 1 for number in range(len(kept.turns))
        ]
        assert {turn.id for turn in kept.turns} == {
            entry.turn for entry in session.conversation.history()
        }
    assert world.services.admission.speaking == 0
    if name in ("submit", "keep"):
        assert cancelled > 0  # else nothing was tested


async def test_a_message_is_accepted_once_whenever_its_sender_is_cancelled(world: World) -> None:
    for steps in range(STEPS):
        session = await world.registry.open(f"visitor {steps}")
        await cancelled_after(steps, session.submit(SAY, "Hi.", "same"))
        turn = await session.submit(SAY, "Hi.", "same")
        assert await session.submit(SAY, "Hi.", "same") == turn
        await session.close("idle")
        with sqlite3.connect(world.data_dir / "conversations.db") as database:
            rows = database.execute(
                "SELECT id FROM turns WHERE session_id = ?", (session.id,)
            ).fetchall()
        assert rows == [(turn,)]


async def test_a_session_goes_for_good_whenever_who_removes_it_is_cancelled(
    open_world: Worlds,
) -> None:
    for steps in range(1, STEPS):
        world = await open_world()
        session = await world.registry.open("me")
        await session.keep()
        if not await cancelled_after(steps, world.removal.erase(session.id, "user")):
            break
        with pytest.raises(SessionEnded):
            await world.registry.find(session.id, session.token)
        assert await world.removal.drained(5)
        await world.registry.close(0)
        assert await world.services.store.session(session.id) is None
        await world.services.store.close()


async def test_a_session_that_was_asked_for_by_somebody_cancelled_is_found_by_the_next(
    world: World,
) -> None:
    for steps in range(STEPS):
        session = await world.registry.open(f"visitor {steps}")
        await session.keep()
        session._context.used_at -= 121
        await world.cleaning.sweep()
        await cancelled_after(steps, world.registry.find(session.id, session.token))
        found = await world.registry.find(session.id, session.token)
        assert found.id == session.id
