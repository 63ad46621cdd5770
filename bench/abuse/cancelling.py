"""Callers that are cancelled at any moment, on a real session with a real database."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from ditto_avatar.errors import DittoAvatarError, SessionEnded
from ditto_avatar.server.house import House, open_house
from ditto_avatar.session.conversation import SAY
from ditto_avatar.session.session import Session
from ditto_avatar.settings import Settings
from ditto_avatar.types import Language
from tests.fakes.packs import make_pack

# How long one turn of the loop is given: a database answers in a thread and needs real time.
_STEP_S = 0.0002
_MOST_STEPS = 400
# A command that was over this often before it was cancelled has no further point.
_OVER = 3

Command = Callable[[House, Session], Awaitable[object]]
COMMANDS: dict[str, Command] = {
    "submit": lambda house, session: session.submit(SAY, "Hi.", "same"),
    "submit_while_it_speaks": lambda house, session: _again(session),
    "interrupt": lambda house, session: session.interrupt(),
    "keep": lambda house, session: session.keep(),
    "select_avatar": lambda house, session: session.select_avatar("oval"),
    "select_language": lambda house, session: session.select_language(Language.KOREAN),
    "find_turn": lambda house, session: session.find_turn("none"),
    "find": lambda house, session: _find_stored(house, session),
    "remove": lambda house, session: house.registry.remove(session),
}


async def _again(session: Session) -> None:
    await session.submit(SAY, "First of two.")
    await session.submit(SAY, "Second of two.")


async def _find_stored(house: House, session: Session) -> None:
    """A session that is in the database only."""
    await session.keep()
    session.used_at -= 1_000
    await house.registry.sweep()
    await house.registry.find(session.id, session.token)


async def cancel_everywhere(share: float) -> dict[str, Any]:
    """Cancel every command after ever more turns of the loop; `share` of the points are tried. The
    figures."""
    tried, spoiled = 0, []
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        make_pack(data / "packs" / "oval")
        settings = Settings(
            data_dir=data, avatars_dir=data / "packs", avatar="oval", dialogue="offline",
            speech="espeak", shutdown_s=0.1, sessions_per_minute=1_000_000,
            turns_per_minute=1_000_000, _env_file=None,
        )  # fmt: skip
        async with open_house(settings) as house:
            for name, command in COMMANDS.items():
                for stored in (False, True):
                    points, bad = await _every_point(
                        house, data / "conversations.db", name, command, stored, share
                    )
                    tried += points
                    spoiled += bad
    for line in spoiled:
        sys.stderr.write(f"spoiled: {line}\n")
    return {"cancel_points_that_spoil": len(spoiled), "cancel_points_tried": tried}


async def _every_point(
    house: House, database: Path, name: str, command: Command, stored: bool, share: float
) -> tuple[int, list[str]]:
    points, over, spoiled = 0, 0, []
    for steps in range(0, _MOST_STEPS, round(1 / share)):
        session = await house.registry.open(f"visitor {name} {stored} {steps}")
        if stored:
            await session.keep()
        was_running = await _cancelled_after(steps, command(house, session))
        over = 0 if was_running else over + 1
        points += was_running
        try:
            await _still_good(house, database, session, gone=name == "remove")
        except (AssertionError, DittoAvatarError, TimeoutError) as error:
            spoiled.append(f"{name} after {steps} steps: {type(error).__name__} {error}")
        if over >= _OVER:
            break
    return points, spoiled


async def _cancelled_after(steps: int, work: Awaitable[object]) -> bool:
    """Whether `work` was still under way after so many turns of the loop, and was cancelled."""
    task = asyncio.ensure_future(work)
    for _ in range(steps):
        if task.done():
            break
        await asyncio.sleep(_STEP_S)
    was_running = task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return was_running


async def _still_good(house: House, database: Path, session: Session, *, gone: bool) -> None:
    """A further message is accepted, and the database agrees with the memory; of a session that
    was to be removed, nothing is left once it is removed again."""
    async with asyncio.timeout(20):
        if gone:
            await house.registry.remove(session)
            assert not _rows(database, session.id), "turns of a removed session are left"
            try:
                await house.registry.find(session.id, session.token)
            except SessionEnded:
                return
            raise AssertionError("a removed session is found")
        found = await house.registry.find(session.id, session.token)
        turn = await found.submit(SAY, "Once more.", "once more")
        assert await found.submit(SAY, "Once more.", "once more") == turn, "accepted twice"
        await found.interrupt()
        shown = list(dict.fromkeys(entry["turn"] for entry in found.conversation.history()))
        await found.close("idle")
    rows = _rows(database, session.id)
    assert [row[0] for row in rows] == shown, "the database has other turns than the memory"
    assert [row[1] for row in rows] == list(range(1, len(rows) + 1)), "generations are missing"
    assert shown[-1] == turn, "the last message is lost"


def _rows(database: Path, session: str) -> list[tuple[str, int]]:
    query = "SELECT id, generation FROM turns WHERE session_id = ? ORDER BY generation"
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute(query, (session,)).fetchall()
