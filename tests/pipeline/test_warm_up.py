from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ditto_avatar.errors import InvalidInput
from ditto_avatar.face.avatar import Avatar
from ditto_avatar.pipeline.warm_up import (
    own_sentences,
    prepare,
    prepare_each,
    read_phrases,
    warm_up,
)
from ditto_avatar.session.conversation import SAY
from ditto_avatar.transport import events
from ditto_avatar.types import Language
from tests.fakes.engines import ScriptedDialogue
from tests.worlds import World, Worlds


async def test_a_phrase_drawn_beforehand_costs_nothing_later(open_world: Worlds) -> None:
    own = own_sentences(ScriptedDialogue(), ["Welcome."])
    world = await open_world(cache_bytes=10**8, own_sentences=own)
    session = await world.registry.open("me")
    pipeline = world.services.pipeline
    await warm_up(pipeline, session.avatar, Language.ENGLISH, ["Welcome."])
    assert world.speech.said == ["Welcome."]
    assert not (world.data_dir / "clips").exists()  # nobody would ask for them
    async with world.viewer(session) as viewer:
        await session.submit(SAY, "Welcome.")
        await viewer.until(events.TurnFinished)
    assert world.speech.said == ["Welcome."]
    assert len(viewer.of(events.VideoReady)) == 1


async def test_preparing_a_face_leaves_nothing_open(world: World, avatar: Avatar) -> None:
    await prepare(world.face, avatar)
    assert world.face.open_streams == 0


def test_phrases_are_read_line_by_line(tmp_path: Path) -> None:
    path = tmp_path / "phrases.txt"
    path.write_text("# greetings\nWelcome.\n\n  안녕하세요.  \n", encoding="utf-8")
    assert read_phrases(path) == ["Welcome.", "안녕하세요."]
    assert read_phrases(None) == []


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"missing\.txt"):
        read_phrases(tmp_path / "missing.txt")


async def test_an_avatar_that_cannot_be_drawn_does_not_keep_others_from_being_prepared(
    world: World, avatar: Avatar, caplog: pytest.LogCaptureFixture
) -> None:
    others = [replace(avatar, name=name) for name in ("first", "faceless", "last")]
    world.face.undrawable = {"faceless"}
    await prepare_each(world.face, others)
    assert world.face.prepared == ["first", "faceless", "last"]
    assert [record.getMessage() for record in caplog.records] == [
        "avatar faceless cannot be drawn: faceless has no face."
    ]
