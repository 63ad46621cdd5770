"""A turn that is cancelled at any of its events leaves nothing behind."""

from __future__ import annotations

import asyncio
from pathlib import Path

from ditto_avatar.face.avatar import Avatar
from ditto_avatar.pipeline import progress
from ditto_avatar.pipeline.request import TurnRequest
from ditto_avatar.render import Script, render
from ditto_avatar.speech.fallback import FallbackSpeech
from ditto_avatar.types import Language
from tests.fakes.engines import LoudnessFace, ToneSpeech
from tests.worlds import World

TEXT = "Hi. Ho."


async def events_until_cancelled(world: World, avatar: Avatar, at: int) -> int:
    """Cancel a turn at its event `at`, counted from 0; how many there were."""
    seen = 0

    def notify(event: progress.Progress) -> None:
        nonlocal seen
        seen += 1
        if seen > at:
            task.cancel()

    request = TurnRequest(avatar, Language.ENGLISH, TEXT, None, lambda: 0, "a session")
    task = asyncio.create_task(world.services.pipeline.run(request, notify))
    await asyncio.wait([task])
    assert task.cancelled() == (seen > at)
    return seen


async def test_a_turn_cancelled_at_any_event_holds_nothing(world: World, avatar: Avatar) -> None:
    every = await events_until_cancelled(world, avatar, 10_000)
    assert every > 20
    kept = len(list((world.data_dir / "clips").iterdir()))
    for at in range(0, every - 1, 2):
        await events_until_cancelled(world, avatar, at)
        assert world.speech.open_sentences == world.face.open_streams == 0
        await world.clip_writer.discarded()
    await world.threads_rest()
    # Clips that were told of are whole; a session would remove them.
    assert not list((world.data_dir / "clips").glob(".*.part"))
    assert len(list((world.data_dir / "clips").iterdir())) % 2 == kept % 2 == 0


async def film_until_cancelled(avatar: Avatar, out: Path, at: int) -> None:
    """Cancel a film at its picture `at`; its engines must be free then."""
    face, speech = LoudnessFace(), ToneSpeech()

    def drawn(done: int, total: int | None) -> None:
        if done == at:
            task.cancel()

    script, engines = Script(TEXT, Language.ENGLISH), FallbackSpeech([speech])
    task = asyncio.create_task(render(script, avatar, face, engines, out, on_drawn=drawn))
    await asyncio.wait([task])
    assert task.cancelled()
    assert face.open_streams == speech.open_sentences == 0


async def test_a_film_that_is_cancelled_leaves_no_file(avatar: Avatar, tmp_path: Path) -> None:
    for at in range(1, 12, 3):
        await film_until_cancelled(avatar, tmp_path / "film.mp4", at)
        assert not list(tmp_path.iterdir())
