"""Callers that are cancelled at any moment, on real sessions with a real database."""

from __future__ import annotations

import asyncio
import itertools
import sqlite3
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import closing
from pathlib import Path
from typing import Any

from ditto_avatar.errors import DittoAvatarError, SessionEnded
from ditto_avatar.server.parts import ServerParts
from ditto_avatar.server.startup import open_parts
from ditto_avatar.session.conversation import SAY
from ditto_avatar.session.session import Session
from ditto_avatar.settings import Settings
from ditto_avatar.types import Language
from tests.cancelling import cancelled_everywhere
from tests.fakes.packs import make_pack

# One step of a command: a database answers in a thread, and needs real time for it.
_STEP_S = 0.0002
_MOST_STEPS = 400
# A command that was over this often before it was cancelled has no further point.
_OVER = 3
_GOOD_WITHIN_S = 30.0

Command = Callable[[ServerParts, Session], Coroutine[Any, Any, object]]
COMMANDS: dict[str, Command] = {
    "submit": lambda parts, session: session.submit(SAY, "Hi.", "same"),
    "submit_twice": lambda parts, session: _submit_twice(session),
    "interrupt": lambda parts, session: session.interrupt(),
    "keep": lambda parts, session: session.keep(),
    "select_avatar": lambda parts, session: session.choices.avatar("oval"),
    "select_language": lambda parts, session: session.choices.language(Language.KOREAN),
    "find_turn": lambda parts, session: session.find_turn("none"),
    "find": lambda parts, session: _find_stored(parts, session),
    "remove": lambda parts, session: parts.removal.erase(session.id, "user"),
}


async def _submit_twice(session: Session) -> None:
    """The second interrupts the first."""
    await session.submit(SAY, "First of two.")
    await session.submit(SAY, "Second of two.")


async def _find_stored(parts: ServerParts, session: Session) -> None:
    """A session that is in the database only."""
    await session.keep()
    session._context.used_at -= 1_000
    await parts.cleaning.sweep()
    await parts.registry.find(session.id, session.token)


async def cancel_everywhere(share: float) -> dict[str, Any]:
    """Cancel every command wherever it waits, and after ever more steps, of which `share` are
    tried; the figures."""
    spoiled: list[str] = []
    tried = 0
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        make_pack(data / "packs" / "oval")
        settings = Settings(
            data_dir=data, avatars_dir=data / "packs", avatar="oval", dialogue="offline",
            speech="espeak", shutdown_s=0.1, sessions_per_minute=1_000_000,
            turns_per_minute=1_000_000, _env_file=None,
        )  # fmt: skip
        async with open_parts(settings) as parts:
            for name, stored in itertools.product(COMMANDS, (False, True)):
                async for session, point in _points(parts, COMMANDS[name], stored, share):
                    tried += 1
                    problem = await _problem_of(parts, session, gone=name == "remove")
                    if problem is not None:
                        spoiled.append(f"{name} at {point}: {problem}")
    for line in spoiled:
        sys.stderr.write(f"spoiled: {line}\n")
    return {"cancel_points_that_spoil": len(spoiled), "cancel_points_tried": tried}


async def _points(
    parts: ServerParts, command: Command, stored: bool, share: float
) -> AsyncIterator[tuple[Session, str]]:
    """Run the command on ever new sessions, each time cancelled at another point; yields after
    each cancellation."""
    sessions: list[Session] = []

    async def open_another() -> None:
        sessions.append(await parts.registry.open("visitor"))
        if stored:
            await sessions[-1].keep()

    await open_another()
    async for wait, moment in cancelled_everywhere(lambda: command(parts, sessions[-1])):
        yield sessions[-1], f"wait {wait} ({moment.name})"
        await open_another()
    over = 0
    for steps in range(0, _MOST_STEPS, round(1 / share)):
        await open_another()
        if await _cancelled_after(steps, command(parts, sessions[-1])):
            over = 0
            yield sessions[-1], f"step {steps}"
        elif (over := over + 1) == _OVER:
            break


async def _cancelled_after(steps: int, work: Coroutine[Any, Any, object]) -> bool:
    """Whether `work` was still under way after so many steps, and was cancelled."""
    task = asyncio.create_task(work)
    for _ in range(steps):
        if task.done():
            break
        await asyncio.sleep(_STEP_S)
    was_running = task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return was_running


async def _problem_of(parts: ServerParts, session: Session, *, gone: bool) -> str | None:
    """What is wrong with a session after a cancellation."""
    look = _is_gone if gone else _goes_on
    try:
        async with asyncio.timeout(_GOOD_WITHIN_S):
            await look(parts, session)
    except (AssertionError, DittoAvatarError, TimeoutError) as error:
        return f"{type(error).__name__} {error}"
    return None


async def _goes_on(parts: ServerParts, session: Session) -> None:
    """A further message is accepted, once, and the database agrees with the memory."""
    found = await parts.registry.find(session.id, session.token)
    turn = await found.submit(SAY, "Once more.", "once more")
    assert await found.submit(SAY, "Once more.", "once more") == turn, "it was accepted twice"
    await found.interrupt()
    shown = list(dict.fromkeys(entry.turn for entry in found.conversation.history()))
    await found.close("idle")
    rows = _rows(parts, session.id)
    assert [row[0] for row in rows] == shown, "the database has other turns than the memory"
    assert [row[1] for row in rows] == list(range(1, len(rows) + 1)), "a generation is missing"
    assert shown[-1] == turn, "the last message is lost"


async def _is_gone(parts: ServerParts, session: Session) -> None:
    """It is removed when that is asked for again, and nothing of it is left."""
    await parts.removal.erase(session.id, "user")
    assert not _rows(parts, session.id), "turns of it are left"
    try:
        await parts.registry.find(session.id, session.token)
    except SessionEnded:
        return
    raise AssertionError("it is found")


def _rows(parts: ServerParts, session: str) -> list[tuple[str, int]]:
    query = "SELECT id, generation FROM turns WHERE session_id = ? ORDER BY generation"
    with closing(sqlite3.connect(parts.settings.data_dir / "conversations.db")) as database:
        return database.execute(query, (session,)).fetchall()
