"""How a server watches its workers."""

from __future__ import annotations

import asyncio
import itertools

from ditto_avatar.cluster.fleet import Fleet
from tests.deadlines import TEST_DEADLINE_S


async def test_a_worker_that_is_long_away_is_looked_for_every_other_second() -> None:
    """Left alone, gRPC waits twice as long each time, up to two minutes."""
    loop = asyncio.get_running_loop()
    attempts: list[float] = []
    enough = asyncio.Event()

    def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        attempts.append(loop.time())
        writer.close()
        if len(attempts) == 6:
            enough.set()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    fleet = Fleet([f"127.0.0.1:{port}"], None)
    opening = asyncio.create_task(fleet.open())
    async with asyncio.timeout(TEST_DEADLINE_S):
        await enough.wait()
    opening.cancel()
    await asyncio.wait([opening])
    server.close()
    assert max(later - earlier for earlier, later in itertools.pairwise(attempts)) < 3
