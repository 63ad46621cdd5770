"""A conversation becomes one film with captions, without encoding anything again."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import av
import pytest

from ditto_avatar.errors import Busy, NotFound
from ditto_avatar.session.conversation import MESSAGE, SAY
from ditto_avatar.session.film import MARK
from ditto_avatar.session.session import Session
from ditto_avatar.transport import events
from tests.cancelling import cancelled_everywhere
from tests.worlds import World


async def film_of(world: World, session: Session) -> zipfile.ZipFile:
    data = b"".join([chunk async for chunk in await world.exports.film(session)])
    archive = zipfile.ZipFile(io.BytesIO(data))
    assert archive.testzip() is None
    return archive


async def said(world: World, *texts: str) -> tuple[Session, list[events.VideoReady]]:
    session = await world.registry.open("me")
    async with world.viewer(session) as viewer:
        for number, text in enumerate(texts, start=1):
            await session.submit(SAY, text)
            await viewer.until(events.TurnFinished, number)
    return session, viewer.of(events.VideoReady)


def leftovers(world: World) -> set[str]:
    return {path.name for path in (world.data_dir / "clips").iterdir() if path.name[0] == "."}


async def test_all_that_was_said_is_one_film(world: World) -> None:
    session, ready = await said(world, "One thing. And another one.", "A <last> word.")
    archive = await film_of(world, session)
    assert archive.namelist() == ["film.mp4", "film.vtt", "film.srt"]
    clips = [world.clips.find("video", f"{each.clip.name}.mp4") for each in ready]
    assert len(clips) == 3
    data = archive.read("film.mp4")
    assert data.index(b"moov") < data.index(b"mdat")
    with av.open(io.BytesIO(data), "r") as film:
        assert film.metadata["comment"] == MARK
        pictures = [packet for packet in film.demux(video=0) if packet.size]
    assert [bytes(packet) for packet in pictures] == [
        bytes(packet) for clip in clips for packet in packets(clip)
    ]
    with av.open(io.BytesIO(data), "r") as film:
        times = [frame.time for frame in film.decode(video=0)]
    assert times == pytest.approx([index / 25 for index in range(len(pictures))])
    assert len(times) / 25 == pytest.approx(sum(each.clip.duration for each in ready))


def packets(clip: Path) -> list[av.Packet]:  # type: ignore[type-arg]
    with av.open(str(clip), "r") as file:
        return [packet for packet in file.demux(video=0) if packet.size]


async def test_sound_and_picture_stay_together_in_a_long_film(world: World) -> None:
    session, ready = await said(world, *(f"Sentence number {number}." for number in range(12)))
    archive = await film_of(world, session)
    with av.open(io.BytesIO(archive.read("film.mp4")), "r") as film:
        sound = [packet for packet in film.demux(audio=0) if packet.size]
    times = [packet.pts for packet in sound]
    assert times == [1024 * index for index in range(len(sound))]
    seconds = sum(each.clip.duration for each in ready)
    assert abs(len(sound) * 1024 / 48_000 - seconds) <= 512 / 48_000


async def test_the_captions_say_what_is_said_and_that_it_is_ai(world: World) -> None:
    session, ready = await said(world, "One thing. And another one.", "A <last> word.")
    archive = await film_of(world, session)
    vtt, srt = archive.read("film.vtt").decode(), archive.read("film.srt").decode()
    assert vtt.startswith("WEBVTT\n")
    assert MARK in vtt
    assert "A &lt;last&gt; word." in vtt
    second = ready[0].clip.duration
    assert f"2\n00:00:{second:06.3f}".replace(".", ",") in srt
    assert [clip.clip.text for clip in ready] == [
        block.split("\n")[2] for block in srt.split("\n\n")
    ]


async def test_a_conversation_without_clips_has_no_film(world: World) -> None:
    session, ready = await said(world, "Hi.")
    world.clips.remove([each.clip.name for each in ready])
    with pytest.raises(NotFound, match="is kept as a film"):
        await film_of(world, session)
    assert leftovers(world) == set()


async def test_two_conversations_are_joined_at_once_and_no_more(world: World) -> None:
    session, _ = await said(world, "Hi.")
    running = [await world.exports.film(session) for _ in range(2)]
    for film in running:
        await anext(film)
    with pytest.raises(Busy):
        await film_of(world, session)
    for film in running:
        await film.aclose()
    assert leftovers(world) == set()
    assert (await film_of(world, session)).namelist()


async def test_cancelling_leaves_nothing(world: World) -> None:
    session, _ = await said(world, "Hi.")

    async def export() -> None:
        async for _ in world.exports.films.export(session.id):
            pass

    async for _ in cancelled_everywhere(export):
        assert leftovers(world) == set()
    assert (await film_of(world, session)).namelist()


async def test_an_answer_and_a_text_are_both_in_it(world: World) -> None:
    session = await world.registry.open("me")
    async with world.viewer(session) as viewer:
        await session.submit(MESSAGE, "Hello?")
        await viewer.until(events.TurnFinished)
    srt = (await film_of(world, session)).read("film.srt").decode()
    assert "How are you today?" in srt
    assert "Hello?" not in srt
