"""Films that leave a server carry content credentials."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest

pytest.importorskip("c2pa")

from ditto_avatar.credentials.reading import read_credentials
from ditto_avatar.errors import Unavailable

from .conftest import ServeWith


async def test_the_clip_and_the_export_of_an_answer_are_signed(
    serve: ServeWith, tmp_path: Path
) -> None:
    async with serve(credentials="on") as server, server.socket() as client:
        ready = await client.until("session.ready")
        await client.send(type="say", text="Good morning.")
        clip = await client.until("video_ready")
        await client.until("turn.finished")
        film = await server.http.get(clip["video_url"])
        token = {"Authorization": f"Bearer {ready['token']}"}
        address = f"/api/sessions/{ready['session']}/export"
        export = await server.http.get(address, headers=token)
        joined = await server.http.get(f"{address}?as=film", headers=token)
    path = tmp_path / "film.mp4"
    path.write_bytes(film.content)
    read = await read_credentials(path)
    assert read.made_by_ai
    assert read.statement is not None
    assert (read.statement.presenter, read.statement.engine) == ("oval", "puppet")
    assert read.statement.consent == ready["avatar"]["consent"]
    with zipfile.ZipFile(io.BytesIO(export.content)) as archive:
        assert archive.read("clips/0001-00.mp4") == film.content
    with zipfile.ZipFile(io.BytesIO(joined.content)) as archive:
        path.write_bytes(archive.read("film.mp4"))
    assert (await read_credentials(path)).statement == read.statement


async def test_a_certificate_without_its_key_is_told_at_the_start(
    serve: ServeWith, tmp_path: Path
) -> None:
    with pytest.raises(Unavailable, match="belong together"):
        async with serve(credentials="auto", credentials_key=tmp_path / "key.pem"):
            pass


async def test_credentials_can_be_switched_off(serve: ServeWith) -> None:
    async with serve(credentials="off") as server:
        assert server.parts is not None
        assert not server.parts.services.clip_signer.signs
