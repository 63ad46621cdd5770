"""The Python client against a real server."""

from __future__ import annotations

from pathlib import Path

import av
import pytest

from ditto_avatar.client import (
    ConnectionEnded,
    Event,
    Fragment,
    ServerError,
    connect,
    save_segments,
)
from tests.deadlines import TEST_DEADLINE_S

from .conftest import Server, ServeWith
from .test_join import ENTRY, KEY


def address(server: Server) -> str:
    return f"http://127.0.0.1:{server.port}"


async def test_an_answer_comes_as_events_and_fragments(server: Server) -> None:
    async with connect(address(server), language="en") as avatar:
        assert avatar.ready["language"] == "en"
        answer = [message async for message in avatar.say("Good morning.")]
    events = [message for message in answer if isinstance(message, Event)]
    assert events[0].type == "turn.started"
    assert events[-1].type == "turn.finished"
    assert events[-1]["text"] == "Good morning."
    fragments = [message for message in answer if isinstance(message, Fragment)]
    assert [fragment.index for fragment in fragments] == list(range(len(fragments)))
    assert fragments[-1].last


async def test_the_fragments_of_a_sentence_are_a_film(server: Server, tmp_path: Path) -> None:
    async with connect(address(server)) as avatar:
        files = await save_segments(avatar.say("One. And then two."), tmp_path / "films")
    assert files
    for file in files:
        with av.open(str(file)) as film:
            assert {stream.type for stream in film.streams} == {"video", "audio"}
            assert sum(1 for _ in film.decode(video=0)) > 5


async def test_an_answer_that_is_left_is_interrupted_and_the_next_is_whole(server: Server) -> None:
    async with connect(address(server)) as avatar:
        long = avatar.say("This is a rather long sentence. And here is another one to follow it.")
        async for message in long:
            if isinstance(message, Fragment):
                break
        await long.aclose()  # type: ignore[attr-defined]
        answer = [message async for message in avatar.say("Short.")]
    first, last = answer[0], answer[-1]
    assert isinstance(first, Event)
    assert first["text"] == "Short."
    assert isinstance(last, Event)
    assert last.type == "turn.finished"


async def test_what_the_server_refuses_is_raised_with_its_code(serve: ServeWith) -> None:
    async with serve(api_keys=ENTRY.entry, max_text=10) as server:
        with pytest.raises(ServerError) as refused:
            async with connect(address(server)):
                pass
        assert refused.value.code == "join_needed"
        async with connect(address(server), join=KEY) as avatar:
            with pytest.raises(ServerError) as too_long:
                await anext(aiter(avatar.ask("Far too long a question.")))
            assert too_long.value.code == "invalid_input"


async def test_a_server_that_ends_is_told(serve: ServeWith) -> None:
    async with serve() as server:
        async with connect(address(server), within_s=TEST_DEADLINE_S) as avatar:
            assert server.parts is not None
            (session,) = server.parts.registry.sessions
            await server.parts.removal.erase(session.id, "user")
            with pytest.raises(ConnectionEnded):
                _ = [message async for message in avatar.ask("Are you there?")]


@pytest.mark.parametrize("text", ["localhost:7136", "ftp://example.org", ""])
async def test_an_address_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="Expected a server"):
        async with connect(text):
            pass
