from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from ditto_avatar.errors import NotFound
from ditto_avatar.face.library import BUNDLED, AvatarLibrary
from ditto_avatar.face.pack import load_avatar
from ditto_avatar.face.register.writing import Terms
from ditto_avatar.server.faces import Faces

from .conftest import Server, ServeWith
from .test_join import KEY, KEYS, OTHER_KEY, bearing


@pytest.fixture(scope="module")
def photo() -> bytes:
    frame = load_avatar(BUNDLED / "mina").idle_frames[0]
    _, data = cv2.imencode(".jpg", cv2.cvtColor(frame, cv2.COLOR_YUV2BGR_I420))
    return data.tobytes()


@pytest.fixture
async def faces(serve: ServeWith) -> AsyncIterator[Server]:
    async with serve(max_faces=1) as server:
        yield server


async def opened(server: Server, key: str | None = None) -> tuple[dict[str, str], dict[str, str]]:
    headers = {} if key is None else bearing(key)
    body = (await server.http.post("/api/sessions", json={}, headers=headers)).json()
    return {"session": body["session"]}, {"Authorization": f"Bearer {body['token']}"}


Opened = tuple[dict[str, str], dict[str, str]]


async def make(server: Server, photo: bytes, own: Opened | None = None) -> list[dict[str, Any]]:
    session, auth = own or await opened(server)
    answer = await server.http.post(
        "/api/avatars",
        params={**session, "consent": "self", "person": "Kim"},
        headers=auth,
        content=photo,
        timeout=120,
    )
    assert answer.status_code == 200, answer.text
    return [json.loads(line) for line in answer.text.splitlines()]


async def test_a_photo_becomes_an_avatar_that_only_its_maker_knows(
    faces: Server, photo: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ditto_avatar.server.faces._MOST_OF_SESSION", 1)
    own = await opened(faces)
    *stages, last = await make(faces, photo, own)
    assert [line["stage"] for line in stages] == ["checking", "making", "testing"]
    name = last["avatar"]["name"]
    assert last["avatar"]["consent"].startswith("The person shown made this avatar")
    listed = [avatar["name"] for avatar in (await faces.http.get("/api/avatars")).json()]
    assert name not in listed
    assert (await faces.http.get(last["avatar"]["idle_url"])).status_code == 200
    async with faces.socket(avatar=name) as socket:
        assert (await socket.until("session.ready"))["avatar"]["name"] == name

    # The quota is used up, and the place comes back when the face goes.
    assert (await make(faces, photo))[-1]["error"]["code"] == "used_up"
    wrong = {"Authorization": "Bearer wrong"}
    assert (await faces.http.delete(f"/api/avatars/{name}", headers=wrong)).status_code == 401
    right = {"Authorization": f"Bearer {last['token']}"}
    assert (await faces.http.delete(f"/api/avatars/{name}", headers=right)).status_code == 204
    assert (await faces.http.get(last["avatar"]["idle_url"])).status_code == 404
    assert list((faces.data_dir / "faces").iterdir()) == []
    # The next picture of the same visitor is looked at again, not refused unseen.
    assert (await make(faces, b"no picture", own))[-1]["error"]["code"] == "invalid_image"


async def test_a_camera_asks_what_is_wrong(faces: Server, photo: bytes) -> None:
    session, auth = await opened(faces)
    good = await faces.http.post("/api/avatars/check", params=session, headers=auth, content=photo)
    assert good.json() == []
    grey = cv2.imencode(".jpg", np.full((200, 200, 3), 90, np.uint8))[1].tobytes()
    bad = await faces.http.post("/api/avatars/check", params=session, headers=auth, content=grey)
    (finding,) = bad.json()
    assert (finding["reason"], finding["blocks"]) == ("no_face", True)
    assert finding["text"].keys() == {"en", "ko"}


async def test_a_picture_that_cannot_be_used_is_told_why(faces: Server) -> None:
    (*_, last) = await make(faces, b"no picture at all")
    assert last["error"]["code"] == "invalid_image"
    folder = faces.data_dir / "faces"
    assert not folder.exists() or list(folder.iterdir()) == []


async def test_without_a_session_nothing_is_looked_at(faces: Server, photo: bytes) -> None:
    session, _ = await opened(faces)
    answer = await faces.http.post("/api/avatars/check", params=session, content=photo)
    assert answer.status_code == 401


async def test_a_server_may_take_no_faces(serve: ServeWith, photo: bytes) -> None:
    async with serve(max_faces=0) as server:
        session, auth = await opened(server)
        answer = await server.http.post(
            "/api/avatars/check", params=session, headers=auth, content=photo
        )
        assert answer.status_code == 403


async def test_a_face_goes_when_its_time_is_over(serve: ServeWith, photo: bytes) -> None:
    async with serve() as server:
        name = (await make(server, photo))[-1]["avatar"]["name"]
        assert server.parts is not None
        await server.parts.faces.expire(3_600)
        assert (await server.http.get(f"/avatars/{name}/poster.webp")).status_code == 200
        await server.parts.faces.expire(0)
        assert (await server.http.get(f"/avatars/{name}/poster.webp")).status_code == 404
        assert not list((server.data_dir / "faces").glob("face-*"))


async def test_a_face_belongs_to_the_key_of_its_maker_until_it_is_shared(
    serve: ServeWith, photo: bytes
) -> None:
    async with serve(api_keys=KEYS) as server:
        made = (await make(server, photo, await opened(server, KEY)))[-1]
        name, owner = made["avatar"]["name"], bearing(made["token"])

        async def status(key: str) -> int:
            answer = await server.http.post(
                "/api/sessions", json={"avatar": name}, headers=bearing(key)
            )
            return int(answer.status_code)

        assert (await status(KEY), await status(OTHER_KEY)) == (201, 404)
        address = f"/api/avatars/{name}/shared"
        stranger = await server.http.put(address, json={"shared": True}, headers=bearing("x"))
        assert stranger.status_code == 401
        assert await status(OTHER_KEY) == 404
        await server.http.put(address, json={"shared": True}, headers=owner)
        assert await status(OTHER_KEY) == 201
        await server.http.put(address, json={"shared": False}, headers=owner)
        assert await status(OTHER_KEY) == 404

        # So it is after a restart.
        assert server.parts is not None
        library = AvatarLibrary([], {})
        async with Faces(library, server.data_dir / "faces", 5).opened():
            assert library.find_for(name, "shop").name == name
            with pytest.raises(NotFound):
                library.find_for(name, "partner")


async def test_neither_picture_nor_token_is_kept(
    faces: Server, photo: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uploads = tmp_path / "uploads"
    uploads.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(uploads))
    last = (await make(faces, photo))[-1]
    (folder,) = (faces.data_dir / "faces").iterdir()
    kept = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert kept.keys() == {
        "about.json", "avatar.npz", "idle.mp4", "mouth.webp", "owner.json", "poster.webp",
    }  # fmt: skip
    assert not any(photo in data or last["token"].encode() in data for data in kept.values())
    assert list(uploads.iterdir()) == []
    about = json.loads(kept["about.json"])
    assert about["license"] == "private"
    assert "Kim" in about["consent"]


async def test_its_pictures_are_in_no_shared_cache(faces: Server, photo: bytes) -> None:
    idle = (await make(faces, photo))[-1]["avatar"]["idle_url"]
    assert "private" in (await faces.http.get(idle)).headers["cache-control"]


async def test_a_maker_who_leaves_leaves_nothing(faces: Server, photo: bytes) -> None:
    assert faces.parts is not None
    begun = asyncio.Event()
    terms = Terms("private", "a test", "of a test")
    making = asyncio.create_task(
        faces.parts.faces.make(photo, "session", None, terms, lambda stage: begun.set())
    )
    await begun.wait()
    making.cancel()
    with pytest.raises(asyncio.CancelledError):
        await making
    assert list((faces.data_dir / "faces").iterdir()) == []
    # Its place is free again.
    assert (await make(faces, photo))[-1]["avatar"]
