from __future__ import annotations

import asyncio
import contextlib
import io
import json
from contextlib import AsyncExitStack

import av
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests.deadlines import TEST_DEADLINE_S

from .conftest import Server, ServeWith, Socket


async def closed(client: Socket) -> int:
    """The close code, once the server has closed."""
    async with asyncio.timeout(TEST_DEADLINE_S):
        with contextlib.suppress(ConnectionClosed):
            while True:
                await client.next()
    assert client.raw.close_code is not None
    return client.raw.close_code


async def test_a_conversation_from_hello_to_the_finished_clips(server: Server) -> None:
    async with server.socket(language="en") as client:
        ready = await client.next()
        assert (ready["type"], ready["resumed"], ready["language"]) == (
            "session.ready",
            False,
            "en",
        )
        assert ready["avatar"]["name"] == "oval"
        await client.send(type="user.text", text="Hello!", id="c1", idle_frame=12.5)
        started = await client.until("turn.started")
        assert (started["id"], started["kind"]) == ("c1", "message")
        done = await client.until("turn.finished")
        assert done["text"] == "".join(m["text"] for m in client.of("text.delta"))
        assert done["timings"]["first_fragment"] > 0
        headers = [m for m in client.of("segment.data") if m["bytes"]]
        assert [m["bytes"] for m in headers] == [len(part) for part in client.media]
        clips = client.of("video_ready")
        assert [c["index"] for c in clips] == list(range(len(clips)))
        file = await server.http.get(clips[0]["video_url"])
        with av.open(io.BytesIO(file.content), "r") as video:
            assert video.streams.video
            assert video.streams.audio


async def test_the_streamed_fragments_are_the_clip(server: Server) -> None:
    async with server.socket() as client:
        await client.send(type="say", text="One sentence only.")
        clip = await client.until("video_ready")
        await client.until("turn.finished")
    with av.open(io.BytesIO(b"".join(client.media)), "r") as stream:
        assert sum(1 for _ in stream.decode(video=0)) == round(clip["duration"] * 25)


async def test_a_page_without_media_source_gets_no_fragments(server: Server) -> None:
    async with server.socket(playback="clips") as client:
        await client.send(type="say", text="Hi.")
        await client.until("turn.finished")
    assert client.of("video_ready")
    assert not client.media
    assert not client.of("segment.data")


async def test_numbered_events_have_no_gaps(server: Server) -> None:
    async with server.socket() as client:
        await client.send(type="say", text="Hi. And bye.")
        await client.until("turn.finished")
    numbers = [m["seq"] for m in client.messages if "seq" in m and m["type"] != "session.ready"]
    assert numbers == list(range(1, len(numbers) + 1))


async def test_reconnecting_in_the_middle_gets_the_rest(server: Server) -> None:
    async with server.socket() as client:
        ready = await client.next()
        await client.send(type="say", text="This is a first sentence. This is a second one.")
        last = await client.until("segment.started")
    async with server.socket(
        session=ready["session"],
        token=ready["token"],
        epoch=ready["epoch"],
        after=last["seq"],
    ) as again:
        back = await again.next()
        assert (back["resumed"], back["gap"]) == (True, False)
        await again.until("turn.finished")
        assert [m["index"] for m in again.of("video_ready")] == [0, 1]
        assert [m["index"] for m in again.of("segment.started")] == [1]


async def test_a_session_that_ended_is_replaced_by_a_new_one(server: Server) -> None:
    async with server.socket(session="gone", token="gone", after=7) as client:
        ready = await client.next()
    assert (ready["resumed"], ready["history"]) == (False, [])


async def test_a_wrong_token_is_refused_for_good(server: Server) -> None:
    async with server.socket() as client:
        ready = await client.next()
        await client.send(type="say", text="Mine.")
        await client.until("turn.started")
    async with server.socket(session=ready["session"], token="wrong") as thief:
        assert (await thief.next())["code"] == "unauthorized"
        assert await closed(thief) == 4401


async def test_interrupting_stops_fragments_at_once(server: Server) -> None:
    async with server.socket() as client:
        await client.send(type="say", text="A long sentence that goes on and on. " * 10)
        await client.until("segment.data")
        await client.send(type="interrupt")
        stopped = await client.until("turn.interrupted")
        await client.send(type="ping", t=1)
        await client.until("pong")
        late = [m for m in client.messages[client.messages.index(stopped) :]]
    assert stopped["reason"] == "user"
    assert not [m for m in late if m["type"] in ("segment.data", "segment.started")]


async def test_dropping_the_last_sentence_before_interrupting_is_an_interruption(
    server: Server,
) -> None:
    async with server.socket() as client:
        ready = await client.next()
        await client.send(type="say", text="One two three four five six seven eight.")
        clip = await client.until("video_ready")
        await client.until("turn.finished")
        half_ms = clip["duration"] * 500
        for state, media_ms in (("painted", 0), ("playing", half_ms / 2), ("dropped", half_ms)):
            segment = clip["segment"]
            await client.send(type="playback", segment=segment, state=state, media_ms=media_ms)
        await client.send(type="interrupt")
        stopped = await client.until("turn.interrupted")
        url = f"/api/sessions/{ready['session']}"
        auth = {"Authorization": f"Bearer {ready['token']}"}
        (entry,) = (await server.http.get(url, headers=auth)).json()["history"]
    assert stopped["turn"] == clip["turn"]
    assert entry["heard"] == "One two three four"


async def test_what_the_page_reports_late_comes_back_when_it_was_heard_out(server: Server) -> None:
    async with server.socket() as client:
        await client.send(type="say", text="Hi.")
        clip = await client.until("video_ready")
        await client.until("turn.finished")
        report = {"type": "playback", "segment": clip["segment"]}
        await client.send(**report, state="painted", media_ms=0, since_text_ms=640, drift_ms=-12)
        await client.send(**report, state="ended", media_ms=clip["duration"] * 1000, idle_frame=7)
        told = await client.until("turn.timings")
    assert told["turn"] == clip["turn"]
    assert told["timings"]["first_painted"] == 640
    assert told["drift_ms"] == -12
    assert "seq" not in told


async def test_two_people_never_get_each_others_answers(server: Server) -> None:
    async with server.socket() as one, server.socket() as two:
        await asyncio.gather(
            one.send(type="say", text="Only for one."), two.send(type="say", text="Just for two.")
        )
        await asyncio.gather(one.until("turn.finished"), two.until("turn.finished"))
    assert {m["text"] for m in one.of("segment.started")} == {"Only for one."}
    assert {m["text"] for m in two.of("segment.started")} == {"Just for two."}


@pytest.mark.parametrize(
    "frame",
    [
        "not json",
        "[]",
        "{}",
        '{"type": "unknown"}',
        '{"type": "user.text"}',
        '{"type": "user.text", "text": 7}',
        '{"type": "user.text", "text": ""}',
        json.dumps({"type": "user.text", "text": "a" * 20_000}),
        '{"type": "hello"}',
        '{"type": "avatar.select", "avatar": "nobody"}',
        '{"type": "playback", "segment": "s", "state": "dancing"}',
        b"\x00\x01\x02",
        b"",
    ],
)
async def test_a_bad_message_gets_one_error_and_the_session_lives_on(
    server: Server, frame: str | bytes
) -> None:
    async with server.socket() as client:
        await client.next()
        await client.raw.send(frame)
        error = await client.next()
        assert error["type"] == "error"
        assert error["code"] in ("invalid_input", "not_found")
        assert error["message"]
        await client.send(type="say", text="Hi.")
        await client.until("turn.finished")


async def test_the_first_message_must_be_hello(server: Server) -> None:
    for frame in ('{"type": "ping", "t": 1}', "nonsense", b"binary"):
        async with connect(f"ws://127.0.0.1:{server.port}/ws") as raw:
            await raw.send(frame)
            assert await closed(Socket(raw)) == 4400


async def test_a_message_over_the_limit_ends_the_connection_not_the_session(
    serve: ServeWith,
) -> None:
    async with serve(max_body_kb=32) as server:
        async with server.socket() as client:
            ready = await client.next()
            await client.send(type="say", text="Mine.")
            await client.until("turn.started")
            await client.raw.send("x" * 100_000)
            assert await closed(client) == 1009
        async with server.socket(
            session=ready["session"],
            token=ready["token"],
            epoch=ready["epoch"],
            after=0,
        ) as again:
            assert (await again.next())["resumed"]


async def test_ping_is_answered_with_the_same_number(server: Server) -> None:
    async with server.socket() as client:
        await client.send(type="ping", t=17.5)
        assert (await client.until("pong"))["t"] == 17.5


async def test_presenter_and_language_can_be_chosen(server: Server) -> None:
    async with server.socket(avatar="egg", language="ko") as client:
        ready = await client.next()
        assert (ready["avatar"]["name"], ready["language"]) == ("egg", "ko")
        await client.send(type="avatar.select", avatar="oval")
        assert (await client.until("avatar.selected"))["avatar"]["name"] == "oval"
        await client.send(type="language.select", language="en")
        assert (await client.until("language.selected"))["language"] == "en"
    async with server.socket(session=ready["session"], token=ready["token"]) as again:
        back = await again.next()
    assert (back["avatar"]["name"], back["language"]) == ("oval", "en")


async def test_a_stopping_server_says_so_to_its_viewers(serve: ServeWith) -> None:
    async with AsyncExitStack() as outlives_the_server:
        async with serve() as server:
            client = await outlives_the_server.enter_async_context(server.socket())
            await client.next()
        assert await closed(client) == 1012


async def test_a_client_that_vanishes_finds_its_answer_when_it_returns(server: Server) -> None:
    async with server.socket() as client:
        ready = await client.next()
        await client.send(type="say", text="This is a first sentence. This is a second one.")
        await client.until("segment.data")
        client.raw.transport.abort()  # no farewell: the cable was pulled
    auth = {"Authorization": f"Bearer {ready['token']}"}
    async with server.socket(
        session=ready["session"],
        token=ready["token"],
        epoch=ready["epoch"],
        after=0,
    ) as again:
        await again.until("turn.finished")
        assert [m["index"] for m in again.of("video_ready")] == [0, 1]
        url = f"/api/sessions/{ready['session']}"
        (entry,) = (await server.http.get(url, headers=auth)).json()["history"]
        assert len(entry["clips"]) == 2


async def test_a_client_that_does_not_read_holds_nobody_up(server: Server) -> None:
    async with server.socket() as sleeper, server.socket() as reader:
        await sleeper.send(type="say", text="Nobody listens to this long sentence. " * 8)
        await reader.send(type="say", text="But somebody listens to this one.")
        await reader.until("turn.finished")
        assert reader.of("video_ready")
