"""A person takes a conversation along: every text, and every clip that is still there."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import pytest

from ditto_avatar.errors import NotFound, RateLimited
from ditto_avatar.session.conversation import MESSAGE, SAY
from ditto_avatar.session.schema import TurnRow
from ditto_avatar.session.session import Session
from ditto_avatar.transport import events
from tests.worlds import World, Worlds


async def exported(world: World, session: Session) -> zipfile.ZipFile:
    data = b"".join([chunk async for chunk in await world.exports.clips(session)])
    archive = zipfile.ZipFile(io.BytesIO(data))
    assert archive.testzip() is None
    return archive


def conversation(archive: zipfile.ZipFile) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(archive.read("conversation.json"))
    return found


async def test_an_export_has_every_text_and_every_clip(world: World) -> None:
    session = await world.registry.open("me")
    async with world.viewer(session) as viewer:
        await session.submit(MESSAGE, "안녕?", client_id="c1")
        await viewer.until(events.TurnFinished)
        await session.submit(SAY, "Just this.")
        await viewer.until(events.TurnFinished, 2)
    clips = viewer.of(events.VideoReady)
    archive = await exported(world, session)
    told = conversation(archive)
    assert (told["session"], told["avatar"], told["language"]) == (session.id, "oval", "en")
    assert [turn["text"] for turn in told["turns"]] == ["안녕?", "Just this."]
    assert told["turns"][0]["answer"] == "Hello there. How are you today?"
    assert told["turns"][0]["id"] == "c1"
    assert session.token not in json.dumps(told)
    files = [clip for turn in told["turns"] for clip in turn["clips"]]
    assert [clip["text"] for clip in files] == [ready.clip.text for ready in clips]
    for clip, ready in zip(files, clips, strict=True):
        for kind, end in (("video", ".mp4"), ("audio", ".wav")):
            path = world.clips.find(kind, ready.clip.name + end)
            assert archive.read(clip[kind]) == path.read_bytes()
            assert archive.getinfo(clip[kind]).compress_type == zipfile.ZIP_STORED


async def test_a_clip_that_was_removed_is_named_as_gone(world: World) -> None:
    session = await world.registry.open("me")
    async with world.viewer(session) as viewer:
        await session.submit(SAY, "Hi.")
        ready = await viewer.until(events.VideoReady)
        await viewer.until(events.TurnFinished)
    world.clips.remove([ready.clip.name])
    archive = await exported(world, session)
    (clip,) = conversation(archive)["turns"][0]["clips"]
    assert (clip["video"], clip["audio"]) == (None, None)
    assert archive.namelist() == ["conversation.json"]


async def test_a_long_conversation_is_exported_piece_by_piece(world: World) -> None:
    session = await world.registry.open("me")
    await session.keep()
    async with world.services.store.writing() as db:
        db.add_all(
            TurnRow(
                id=f"t{number}",
                session_id=session.id,
                generation=number,
                kind=SAY,
                text=f"{number} " * 200,
            )
            for number in range(1, 131)
        )
    chunks = [chunk async for chunk in await world.exports.clips(session)]
    told = conversation(zipfile.ZipFile(io.BytesIO(b"".join(chunks))))
    assert [turn["generation"] for turn in told["turns"]] == list(range(1, 131))
    assert max(map(len, chunks)) < sum(map(len, chunks))


async def test_an_empty_conversation_is_exported_as_well(world: World) -> None:
    session = await world.registry.open("me")
    assert conversation(await exported(world, session))["turns"] == []


async def test_a_reader_that_leaves_early_leaves_nothing_open(world: World) -> None:
    session = await world.registry.open("me")
    async with world.viewer(session) as viewer:
        await session.submit(SAY, "Hi.")
        await viewer.until(events.TurnFinished)
    whole = len([chunk async for chunk in await world.exports.clips(session)])
    for count in range(1, whole):
        chunks = await world.exports.clips(session)
        for _ in range(count):
            await anext(chunks)
        await chunks.aclose()
    await world.removal.erase(session.id, "user")
    with pytest.raises(NotFound):
        await exported(world, session)


async def test_exports_count_as_messages(open_world: Worlds) -> None:
    world = await open_world(turns_per_minute=1)
    session = await world.registry.open("me")
    await exported(world, session)
    with pytest.raises(RateLimited):
        await world.exports.clips(session)
