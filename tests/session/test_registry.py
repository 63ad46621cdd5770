from __future__ import annotations

import pytest

from ditto_avatar.errors import Busy, NotFound, RateLimited, ShuttingDown, Unauthorized
from ditto_avatar.session import events
from ditto_avatar.session.conversation import SAY
from ditto_avatar.session.registry import Registry
from ditto_avatar.session.reports import PlaybackReport, Playing

from .conftest import World, Worlds


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


async def test_beyond_the_limit_sessions_are_refused(open_world: Worlds) -> None:
    world = await open_world(max_sessions=1)
    await world.registry.open("me")
    with pytest.raises(Busy):
        await world.registry.open("you")


async def test_a_conversation_survives_a_restart(open_world: Worlds) -> None:
    world = await open_world()
    session = await world.registry.open("me")
    async with world.viewer(session) as viewer:
        await session.submit(SAY, "Hi.")
        clip = await viewer.until(events.VideoReady)
        await viewer.until(events.TurnFinished)
    await world.registry.close(0)

    after = await open_world()
    found = await after.registry.find(session.id, session.token)
    assert found is not session
    (entry,) = found.conversation.history()
    assert entry["text"] == "Hi."
    assert entry["clips"][0]["video_url"] == clip.video_url
    with pytest.raises(Unauthorized):
        await after.registry.find(session.id, "wrong")


async def test_ending_a_session_removes_its_clips(world: World) -> None:
    session = await world.registry.open("me")
    async with world.viewer(session) as viewer:
        await session.submit(SAY, "Hi.")
        await viewer.until(events.TurnFinished)
    assert list((world.data_dir / "clips").iterdir())
    await world.registry.remove(session)
    assert not list((world.data_dir / "clips").iterdir())
    with pytest.raises(NotFound):
        await world.registry.find(session.id, session.token)


async def test_a_session_nobody_watches_leaves_the_memory_but_can_be_resumed(
    world: World,
) -> None:
    session = await world.registry.open("me")
    session.used_at -= 121
    await world.registry.sweep()
    assert len(world.registry) == 0
    assert (await world.registry.find(session.id, session.token)).id == session.id


async def test_a_session_nobody_uses_for_long_ends(world: World) -> None:
    session = await world.registry.open("me")
    session.used_at -= 121
    registry = Registry(
        world.services,
        world.clips,
        session_limit=world.services.turn_limit,
        max_sessions=1,
        idle_s=-1,
        default_avatar="oval",
        default_language=session.language,
    )
    await registry.sweep()
    assert await world.services.store.session(session.id) is None


async def test_a_stopping_server_lets_running_answers_finish(world: World) -> None:
    session = await world.registry.open("me")
    async with world.viewer(session) as viewer:
        await session.submit(SAY, "Hi.")
        await viewer.until(events.SegmentStarted)
        segment = viewer.of(events.SegmentStarted)[0].segment
        session.playback(PlaybackReport(segment, Playing.ENDED, 0.1))
        await world.registry.close(10)
    assert viewer.of(events.TurnFinished)
    with pytest.raises(ShuttingDown):
        await session.submit(SAY, "Hi.")
    with pytest.raises(ShuttingDown):
        await world.registry.open("me")


async def test_a_stopping_server_interrupts_what_takes_too_long(world: World) -> None:
    import asyncio

    world.speech.gate = asyncio.Event()
    session = await world.registry.open("me")
    async with world.viewer(session) as viewer:
        await session.submit(SAY, "A long sentence that waits.")
        await viewer.until(events.SegmentStarted)
        await world.registry.close(0.05)
    assert viewer.of(events.TurnInterrupted)[0].reason == "shutdown"
