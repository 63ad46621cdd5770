from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import cv2
import numpy as np
import pytest

from ditto_avatar.face.library import BUNDLED
from ditto_avatar.face.pack import load_avatar

from .conftest import Server, ServeWith


@pytest.fixture(scope="module")
def photo() -> bytes:
    frame = load_avatar(BUNDLED / "mina").idle_frames[0]
    _, data = cv2.imencode(".jpg", cv2.cvtColor(frame, cv2.COLOR_YUV2BGR_I420))
    return data.tobytes()


@pytest.fixture
async def faces(serve: ServeWith) -> AsyncIterator[Server]:
    async with serve(max_faces=1) as server:
        yield server


async def opened(server: Server) -> tuple[dict[str, str], dict[str, str]]:
    body = (await server.http.post("/api/sessions", json={})).json()
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
