"""A real process: killed at any moment, stopped politely, started again."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from ditto_avatar.session.database import sqlite_url
from ditto_avatar.session.store import Store
from tests.deadlines import TEST_DEADLINE_S
from tests.fakes.openai_server import Talk, fake_openai
from tests.fakes.serving import command_with

from .conftest import Server
from .test_rest import finished

LONG = "This is a sentence that takes a while to be spoken and drawn. " * 12


@asynccontextmanager
async def process(
    packs: Path, data: Path, database: str, *, within: Sequence[str] = (), **settings: str
) -> AsyncIterator[Process]:
    """A server in a process of its own; `within` is a command that starts another one, and
    ``{port}`` in a setting stands for the server's port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        **os.environ,
        "DITTO_DATA_DIR": str(data),
        "DITTO_DATABASE_URL": database,
        "DITTO_AVATAR": "oval",
        "DITTO_SPEECH": "espeak",
        "DITTO_DIALOGUE": "offline",
        "DITTO_CACHE_MB": "0",
        "DITTO_SHUTDOWN_S": "20",
        **{name: value.replace("{port}", str(port)) for name, value in settings.items()},
    }
    running = await asyncio.create_subprocess_exec(
        *within, *command_with(packs), "serve", "--port", str(port),
        env=environment, cwd=data, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
            await _until_ready(http, running)
            yield Process(Server(port, data, http, http), running)
    finally:
        if running.returncode is None:
            running.kill()
        await running.wait()


class Process:
    """The server and its process."""

    def __init__(self, server: Server, running: asyncio.subprocess.Process) -> None:
        self.server = server
        self._running = running

    async def end(self, number: signal.Signals) -> int:
        """Send a signal and wait for the end."""
        self._running.send_signal(number)
        async with asyncio.timeout(TEST_DEADLINE_S):
            return await self._running.wait()

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        self._running.send_signal(number)


async def _until_ready(http: httpx.AsyncClient, running: asyncio.subprocess.Process) -> None:
    async with asyncio.timeout(TEST_DEADLINE_S):
        while running.returncode is None:
            try:
                await http.get("/readyz")
            except httpx.TransportError:
                await asyncio.sleep(0.05)  # nothing listens yet: there is nothing to wait on
            else:
                return
    raise RuntimeError(f"the server ended with {running.returncode}")


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return sqlite_url(tmp_path / "data")
    url: str = request.getfixturevalue("postgres")
    return url


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("moment", ["turn.started", "segment.started", "video_ready"])
async def test_a_killed_server_loses_nothing_that_was_accepted(
    packs: Path, data: Path, database: str, moment: str
) -> None:
    async with process(packs, data, database) as first:
        async with first.server.socket() as client:
            ready = await client.next()
            await client.send(type="say", text="First things first.")
            clip = await client.until("video_ready")
            await client.send(
                type="playback", segment=clip["segment"], state="ended", media_ms=2000
            )
            await client.until("turn.finished")
            await client.send(type="say", text=LONG, id="c7")
            await client.until(moment)
            await first.end(signal.SIGKILL)
    seen: dict[str, Any] = client.messages[-1]
    async with process(packs, data, database) as second:
        async with second.server.socket(
            session=ready["session"],
            token=ready["token"],
            epoch=ready["epoch"],
            after=seen.get("seq", 0),
        ) as again:
            back = await again.next()
            assert (back["resumed"], back["gap"], back["running_turn"]) == (True, True, None)
            assert back["history"][0]["text"] == "First things first."
            replay = back["history"][0]["clips"][0]["video_url"]
            assert (await second.server.http.get(replay)).status_code == 200
            # Of the answer that was cut, the caption and every clip that was told of are there.
            cut = back["history"][1]
            assert (cut["role"], cut["text"]) == ("assistant", LONG.strip())
            told = [m for m in client.of("video_ready") if m["turn"] == cut["turn"]]
            assert cut["heard"] == " ".join(c["text"] for c in cut["clips"])
            await _replayable(second, told, cut["clips"])
            # The same message again is known: not answered twice, and not left unanswered.
            await again.send(type="say", text=LONG, id="c7")
            over = await again.until("turn.interrupted")
            assert over["turn"] == again.of("turn.started")[0]["turn"] == cut["turn"]
            await again.send(type="say", text="Hello again.")
            done = await again.until("turn.finished")
            # Waits until the films have their credentials.
            await _replayable(second, [], again.of("video_ready"))
        assert done["text"] == "Hello again."
        assert [m["text"] for m in again.of("turn.started")] == [LONG.strip(), "Hello again."]
        assert not list((data / "clips").glob(".*"))
    store = Store(database)
    await store.start()
    kept = await store.session(ready["session"])
    await store.close()
    assert kept is not None
    assert [turn.text[:5] for turn in kept.turns] == ["First", "This ", "Hello"]
    assert [turn.state for turn in kept.turns[:2]] == ["finished", "interrupted"]


async def test_an_answer_that_a_kill_cut_off_is_kept_as_far_as_it_was_made(
    packs: Path, data: Path, database: str
) -> None:
    async with process(packs, data, database) as first:
        async with first.server.socket() as client:
            ready = await client.next()
            await client.send(type="user.text", text="How does it work?")
            clip = await client.until("video_ready")
            await first.end(signal.SIGKILL)
    async with process(packs, data, database) as second:
        async with second.server.socket(
            session=ready["session"],
            token=ready["token"],
            epoch=ready["epoch"],
            after=clip["seq"],
        ) as again:
            back = await again.next()
    assert back["running_turn"] is None
    question, answer = back["history"]
    assert (question["role"], question["text"]) == ("user", "How does it work?")
    assert answer["role"] == "assistant"
    assert answer["text"] == " ".join(c["text"] for c in answer["clips"])
    assert answer["heard"] == answer["text"]
    assert answer["clips"][0]["video_url"] == clip["video_url"]


async def test_a_question_that_was_stored_and_never_confirmed_is_answered_when_it_comes_again(
    packs: Path, data: Path, database: str
) -> None:
    question = {"type": "user.text", "text": "How does it work?", "id": "q1"}
    async with (
        fake_openai(Talk((), then="stall")) as silent,
        process(
            packs, data, database,
            DITTO_DIALOGUE="openai", DITTO_OPENAI_API_KEY="key",
            DITTO_OPENAI_BASE_URL=silent.base_url,
        ) as first,
        first.server.socket() as client,
    ):  # fmt: skip
        ready = await client.next()
        await client.send(**question)
        # It is stored: the model has it. The client has read no more than `session.ready`.
        await asyncio.wait_for(silent.asked.wait(), TEST_DEADLINE_S)
        await first.end(signal.SIGKILL)
    async with process(packs, data, database) as second:
        async with second.server.socket(
            session=ready["session"],
            token=ready["token"],
            epoch=ready["epoch"],
            after=ready["seq"],
        ) as again:
            back = await again.next()
            (entry,) = back["history"]
            assert (entry["text"], entry["id"]) == (question["text"], "q1")
            await again.send(**question)
            done = await again.until("turn.finished")
            (started,) = again.of("turn.started")
            assert (started["id"], started["turn"], done["turn"]) == ("q1", *[entry["turn"]] * 2)
            assert done["text"]
            # Once more, as after a line that broke in just that moment: told, not answered anew.
            await again.send(**question)
            told = await again.until("turn.finished")
            assert (told["turn"], told["text"]) == (done["turn"], done["text"])
            assert "seq" not in told
        url = f"/api/sessions/{ready['session']}"
        auth = {"Authorization": f"Bearer {ready['token']}"}
        kept = (await second.server.http.get(url, headers=auth)).json()["history"]
    assert [entry["role"] for entry in kept] == ["user", "assistant"]
    assert kept[1]["text"] == done["text"]


async def _replayable(
    running: Process, told: list[dict[str, Any]], kept: list[dict[str, Any]]
) -> None:
    assert [c["video_url"] for c in told] == [c["video_url"] for c in kept][: len(told)]
    for clip in kept:
        assert (await running.server.http.get(clip["video_url"])).status_code == 200


async def test_asked_to_stop_it_finishes_what_it_says_and_takes_nothing_new(
    packs: Path, data: Path
) -> None:
    async with process(packs, data, sqlite_url(data)) as running:
        async with running.server.socket() as client:
            await client.send(type="say", text="A sentence to finish. And a second one.")
            await client.until("segment.started")
            running.send(signal.SIGTERM)
            done = await client.until("turn.finished")
            assert len(client.of("video_ready")) == 2
            # Playback ends the turn, so that the server need not wait for it.
            for clip in client.of("video_ready"):
                await client.send(
                    type="playback", segment=clip["segment"], state="ended", media_ms=9000
                )
            assert done["text"] == "A sentence to finish. And a second one."
            await client.raw.wait_closed()
            assert client.raw.close_code == 1012
        assert await running.end(signal.SIGTERM) == 0


async def test_both_ports_stop_together_the_admin_port_last(packs: Path, data: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    settings = {"DITTO_ADMIN_PORT": str(port)}
    async with (
        process(packs, data, sqlite_url(data), **settings) as running,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as admin,
        running.server.socket() as client,
    ):
        await client.send(type="say", text="A sentence to finish.")
        await client.until("segment.started")
        running.send(signal.SIGTERM)
        await client.until("turn.finished")
        # The main port is still giving running answers their time.
        answer = await admin.get("/readyz")
        assert answer.json()["error"]["code"] == "shutting_down"
        assert "ditto_viewers 1.0" in (await admin.get("/metrics")).text
        # The signal does not end the process before everything is closed, the database too.
        assert await running.end(signal.SIGINT) == 0
        assert not (data / "conversations.db-wal").exists()
        with pytest.raises(httpx.ConnectError):
            await admin.get("/healthz")


async def test_a_second_ctrl_c_ends_the_time_that_running_answers_get(
    packs: Path, data: Path
) -> None:
    more_than_we_wait = str(10 * TEST_DEADLINE_S)
    settings = {"DITTO_SHUTDOWN_S": more_than_we_wait}
    async with process(packs, data, sqlite_url(data), **settings) as running:
        async with running.server.socket() as client:
            await client.send(type="say", text=LONG)
            await client.until("segment.started")
            running.send(signal.SIGINT)
            await _closing(running)
            await running.end(signal.SIGINT)


async def _closing(running: Process) -> None:
    """Return when the server has begun to stop."""
    async with asyncio.timeout(TEST_DEADLINE_S):
        # The server does not tell: it has to be asked.
        while (await running.server.http.get("/readyz")).status_code != 503:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def test_what_a_process_writes_is_for_its_owner_only(packs: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    async with process(packs, data, sqlite_url(data), DITTO_CACHE_MB="10") as running:
        http = running.server.http
        body = (await http.post("/api/sessions", json={})).json()
        url = f"/api/sessions/{body['session']}"
        auth = {"Authorization": f"Bearer {body['token']}"}
        said = await http.post(f"{url}/say", json={"text": "Hi."}, headers=auth)
        turn = await finished(running.server, url, auth, said.json()["turn"])
        # Waits until the film has its credentials.
        assert (await http.get(turn["clips"][0]["video_url"])).status_code == 200
        written = [data, *data.rglob("*")]
        assert {".mp4", ".wav", ".m4s", ".db"} <= {path.suffix for path in written}
        assert [path for path in written if path.stat().st_mode & 0o077] == []
