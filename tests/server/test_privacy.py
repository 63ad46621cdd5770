"""What a server keeps of people, as they and the owner of the machine see it."""

from __future__ import annotations

import asyncio
import io
import json
import stat
import zipfile
from pathlib import Path

import pytest

from ditto_avatar.errors import Unavailable
from ditto_avatar.server.private_files import keep_private
from tests.deadlines import TEST_DEADLINE_S

from .conftest import Server, ServeWith
from .test_rest import error_of, finished, opened


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def everything(folder: Path) -> bytes:
    """The names and the contents of all files."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return b"".join(str(path).encode() + path.read_bytes() for path in paths)


async def test_an_erased_session_is_in_no_file_of_the_server(own_server: Server) -> None:
    server = own_server
    url, auth = await opened(server)
    for kind, text in (("say", "Gwendolyn 반갑습니다."), ("messages", "I am Gwendolyn.")):
        answer = await server.http.post(f"{url}/{kind}", json={"text": text}, headers=auth)
        await finished(server, url, auth, answer.json()["turn"])
    session = url.rsplit("/", 1)[1]
    before = everything(server.data_dir)
    assert b"Gwendolyn" in before
    assert f"cache/{session}/".encode() in before
    assert (await server.http.delete(url, headers=auth)).status_code == 204
    after = everything(server.data_dir)
    for word in ("Gwendolyn", "반갑습니다", session):
        assert word.encode() not in after
    assert not list((server.data_dir / "clips").iterdir())


async def test_a_conversation_can_be_taken_along(server: Server) -> None:
    url, auth = await opened(server, language="en")
    answer = await server.http.post(f"{url}/say", json={"text": "Just this."}, headers=auth)
    turn = await finished(server, url, auth, answer.json()["turn"])
    exported = await server.http.get(f"{url}/export", headers=auth)
    assert exported.headers["content-type"] == "application/zip"
    assert "attachment" in exported.headers["content-disposition"]
    assert exported.headers["cache-control"] == "no-store"
    archive = zipfile.ZipFile(io.BytesIO(exported.content))
    assert archive.testzip() is None
    told = json.loads(archive.read("conversation.json"))
    assert [entry["text"] for entry in told["turns"]] == ["Just this."]
    (clip,) = told["turns"][0]["clips"]
    video = await server.http.get(turn["clips"][0]["video_url"])
    assert archive.read(clip["video"]) == video.content


async def test_only_the_sessions_own_token_exports_it(server: Server) -> None:
    url, _ = await opened(server)
    _, other = await opened(server)
    for headers in ({}, other):
        answer = await server.http.get(f"{url}/export", headers=headers)
        assert error_of(answer) == (401, "unauthorized")


async def test_the_data_folder_is_for_its_owner_only(serve: ServeWith, tmp_path: Path) -> None:
    data = tmp_path / "data"
    for folder in (data, data / "clips", data / "cache" / "someone"):
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o755)
    (data / "conversations.db").touch(0o644)
    async with serve():
        for folder in (data, data / "clips", data / "cache"):
            assert mode(folder) == 0o700
        assert mode(data / "conversations.db") == 0o600
        assert mode(data / "conversations.db-wal") == 0o600


def test_a_folder_that_holds_more_keeps_its_mode(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    everybodys, home = tmp_path / "tmp", tmp_path / "home"
    for folder, its_mode in ((everybodys, 0o1777), (home, 0o755)):
        folder.mkdir()
        folder.chmod(its_mode)
    monkeypatch.setenv("HOME", str(home))
    for folder, its_mode in ((everybodys, 0o1777), (home, 0o755)):
        (folder / "clips").mkdir(mode=0o755)
        keep_private(folder)
        assert mode(folder) == its_mode
        assert mode(folder / "clips") == 0o700
    assert caplog.text.count("its mode was not changed") == 2


def test_a_data_folder_that_cannot_be_made_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Unavailable, match="cannot be made"):
        keep_private(tmp_path / "file" / "data")


async def test_what_is_older_than_its_time_goes_by_itself(serve: ServeWith, tmp_path: Path) -> None:
    async with serve() as server:
        url, auth = await opened(server)
        answer = await server.http.post(f"{url}/say", json={"text": "Gwendolyn."}, headers=auth)
        await finished(server, url, auth, answer.json()["turn"])
    # A thousandth of a second: all there is is older when the next server starts.
    async with serve(retention_days=0.001 / 86_400) as server:
        async with asyncio.timeout(TEST_DEADLINE_S):
            while (await server.http.get(url, headers=auth)).status_code != 404:
                pass  # it is still being removed
            while b"Gwendolyn" in await asyncio.to_thread(everything, server.data_dir):
                pass  # the database's log comes last
        assert not list((server.data_dir / "clips").iterdir())
