"""What goes wrong around a running server, and passes: nothing of it lasts."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest

from ditto_avatar.clock import AgeClock
from ditto_avatar.session.database import sqlite_url
from tests.deadlines import TEST_DEADLINE_S

from .conftest import Server, ServeWith
from .test_process import data, process

__all__ = ["data"]  # a fixture

# The superuser may write everywhere: a server that should not be able to is started without that.
AS_ANYBODY = (
    ("setpriv", "--bounding-set", "-dac_override,-dac_read_search") if os.geteuid() == 0 else ()
)
DAYS_S = 86_400


async def until_ready_is(server: Server, status: int) -> None:
    """Wait until `/readyz` answers so: what it knows may be some seconds old."""
    async with asyncio.timeout(TEST_DEADLINE_S):
        while (await server.http.get("/readyz")).status_code != status:
            pass  # asking is all there is to wait on


def allow_writing(folder: Path, allowed: bool) -> None:
    for path in (folder, *folder.rglob("*")):
        mode = 0o700 if path.is_dir() else 0o600
        path.chmod(mode if allowed else mode & 0o500)


async def test_a_data_folder_that_becomes_read_only_costs_replays_and_nothing_else(
    packs: Path, data: Path
) -> None:
    running = process(packs, data, sqlite_url(data), within=AS_ANYBODY, DITTO_CACHE_MB="8")
    async with running as one, one.server.socket() as client:
        await client.send(type="say", text="Before it.")
        await client.until("video_ready")
        await client.until("turn.finished")
        allow_writing(data, False)
        try:
            await until_ready_is(one.server, 503)
            await client.send(type="say", text="Meanwhile.")
            # It is seen and heard all the same.
            assert (await client.until("segment.started"))["text"] == "Meanwhile."
            assert (await client.until("error"))["code"] == "storage_full"
            await client.until("turn.finished")
        finally:
            allow_writing(data, True)
        await until_ready_is(one.server, 200)
        await client.send(type="say", text="After it.")
        clip = await client.until("video_ready")
        assert clip["text"] == "After it."
        assert (await one.server.http.get(clip["video_url"])).status_code == 200
        await client.until("turn.finished")
        ready = client.messages[0]
        async with one.server.socket(session=ready["session"], token=ready["token"]) as again:
            history = (await again.next())["history"]
    assert [entry["text"] for entry in history] == ["Before it.", "Meanwhile.", "After it."]


async def test_a_clock_that_is_set_two_days_forward_removes_nothing(
    serve: ServeWith, monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead = 0.0
    clock = AgeClock(lambda: time.time() + ahead)
    monkeypatch.setattr("ditto_avatar.server.storage.AgeClock", lambda: clock)
    async with serve(retention_days=1, clip_max_age_s=DAYS_S) as server, server.socket() as client:
        assert server.parts is not None
        await client.send(type="say", text="Hello.")
        clip = await client.until("video_ready")
        await client.until("turn.finished")
        ahead = 2 * DAYS_S
        await server.parts.cleaning.sweep()
        await server.parts.cleaning.expire(DAYS_S)
        await asyncio.to_thread(server.parts.services.clips.sweep)
        assert (await server.http.get(clip["video_url"])).status_code == 200
        await client.send(type="say", text="Hello again.")
        assert (await client.until("turn.finished"))["text"] == "Hello again."
        ready = client.messages[0]
        shown = await server.http.get(
            f"/api/sessions/{ready['session']}",
            headers={"Authorization": f"Bearer {ready['token']}"},
        )
    assert [entry["text"] for entry in shown.json()["history"]] == ["Hello.", "Hello again."]
