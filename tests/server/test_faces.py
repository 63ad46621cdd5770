from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest

from ditto_avatar.errors import Busy, NotFound
from ditto_avatar.face.library import BUNDLED, AvatarLibrary
from ditto_avatar.face.pack import load_avatar
from ditto_avatar.face.register import guarded
from ditto_avatar.face.register.writing import Terms
from ditto_avatar.server.faces import Faces
from tests.cancelling import Moment, cancelled_everywhere
from tests.deadlines import TEST_DEADLINE_S

from .conftest import Server, ServeWith
from .test_join import KEY, KEYS, OTHER_KEY, bearing


@pytest.fixture(scope="module")
def photo() -> bytes:
    frame = load_avatar(BUNDLED / "mina").idle_frames[0]
    _, data = cv2.imencode(".jpg", cv2.cvtColor(frame, cv2.COLOR_YUV2BGR_I420))
    return data.tobytes()


@pytest.fixture
def uploads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where files lie while they come in."""
    folder = tmp_path / "uploads"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Faces are made in a moment."""
    monkeypatch.setattr(guarded, "MAKING", QUICK)


@pytest.fixture
async def faces(serve: ServeWith) -> AsyncIterator[Server]:
    async with serve(max_faces=1) as server:
        yield server


async def opened(server: Server, key: str | None = None) -> tuple[dict[str, str], dict[str, str]]:
    headers = {} if key is None else bearing(key)
    body = (await server.http.post("/api/sessions", json={}, headers=headers)).json()
    return {"session": body["session"]}, {"Authorization": f"Bearer {body['token']}"}


Strings = dict[str, str]
Opened = tuple[Strings, Strings]
FORM = {"consent": "self", "person": "Kim", "terms": "accepted"}
# A child that draws a pack in a moment, in place of the one that makes it of a face.
QUICK = replace(guarded.MAKING, function="tests.fakes.drawn_faces:make")


async def make(server: Server, photo: bytes, own: Opened | None = None) -> list[dict[str, Any]]:
    session, auth = own or await opened(server)
    answer = await post(server, session, auth, FORM, photo)
    assert answer.status_code == 200, answer.text
    return [json.loads(line) for line in answer.text.splitlines()]


async def post(
    server: Server, session: Strings, auth: Strings, form: Strings, photo: bytes
) -> httpx.Response:
    return await server.http.post(
        "/api/avatars",
        params=session,
        headers=auth,
        data=form,
        files={"file": ("face", photo)},
        timeout=120,
    )


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
    refused = await post(faces, *await opened(faces), FORM, photo)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "used_up")
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


async def test_a_face_goes_when_its_time_is_over(
    serve: ServeWith, photo: bytes, quick: None
) -> None:
    async with serve() as server:
        name = (await make(server, photo))[-1]["avatar"]["name"]
        assert server.parts is not None
        await server.parts.faces.expire(3_600)
        assert (await server.http.get(f"/avatars/{name}/poster.webp")).status_code == 200
        await server.parts.faces.expire(0)
        assert (await server.http.get(f"/avatars/{name}/poster.webp")).status_code == 404
        assert not list((server.data_dir / "faces").glob("face-*"))


async def test_a_face_belongs_to_the_key_of_its_maker_until_it_is_shared(
    serve: ServeWith, photo: bytes, quick: None
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
    faces: Server, photo: bytes, uploads: Path
) -> None:
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


async def test_its_pictures_are_in_no_shared_cache(
    faces: Server, photo: bytes, quick: None
) -> None:
    idle = (await make(faces, photo))[-1]["avatar"]["idle_url"]
    assert "private" in (await faces.http.get(idle)).headers["cache-control"]


async def test_a_maker_who_leaves_at_any_moment_leaves_nothing(
    serve: ServeWith, tmp_path: Path, quick: None
) -> None:
    photo = tmp_path / "photo"
    photo.write_bytes(b"a photo")
    terms = Terms("private", "a test", "of a test")
    async with serve(max_faces=2) as server:
        assert server.parts is not None
        faces, folder = server.parts.faces, server.data_dir / "faces"

        async def make() -> None:
            async with faces.place("session", None, "visitor") as place:
                await faces.make(place, photo, terms, lambda stage: None)

        seen = 0
        async for _, moment in cancelled_everywhere(make):
            seen += 1
            # The runs before this moment's ended with one that made a face.
            made = list(Moment).index(moment)
            assert len(list(folder.glob("*")) if folder.exists() else []) == made
            async with faces.place("session", None, "visitor"):
                pass
        assert seen > 20


@pytest.mark.parametrize(
    ("form", "about"),
    [
        ({**FORM, "consent": "perhaps"}, "consent"),
        ({**FORM, "person": " "}, "person"),
        ({**FORM, "person": "x" * 81}, "person"),
        ({**FORM, "person": "x" * 5_000}, "field"),
        ({**FORM, "terms": "read"}, "terms"),
        ({key: FORM[key] for key in ("consent", "person")}, "terms"),
        ({**FORM, "colour": "red"}, "colour"),
    ],
)
async def test_a_form_that_says_too_little_or_something_else_is_refused(
    faces: Server, uploads: Path, form: Strings, about: str
) -> None:
    answer = await post(faces, *await opened(faces), form, b"a photo")
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "invalid_input")
    assert about in answer.json()["error"]["message"]
    assert list(uploads.iterdir()) == []


async def test_a_body_that_is_no_form_is_refused(faces: Server, photo: bytes) -> None:
    session, auth = await opened(faces)
    raw = await faces.http.post(
        "/api/avatars", params={**session, **FORM}, headers=auth, content=photo
    )
    assert raw.status_code == 422
    without = await faces.http.post(
        "/api/avatars", params=session, headers=auth, data=FORM, files={"photo": ("x", b"a photo")}
    )
    assert "file" in without.json()["error"]["message"]


async def test_a_photo_beyond_the_limit_is_refused_however_it_is_sent(
    serve: ServeWith, uploads: Path
) -> None:
    async with serve(max_face_mb=1) as server:
        own = await opened(server)
        announced = await post(server, *own, FORM, bytes(2 << 20))
        assert (announced.status_code, announced.json()["error"]["code"]) == (413, "too_large")

        async def endless() -> AsyncIterator[bytes]:
            yield BEGUN
            for _ in range(40):
                yield bytes(64 << 10)

        hidden = await server.http.post(
            "/api/avatars",
            params=own[0],
            headers={**own[1], "Content-Type": "multipart/form-data; boundary=b"},
            content=endless(),
        )
        assert (hidden.status_code, hidden.json()["error"]["code"]) == (413, "too_large")
        assert list(uploads.iterdir()) == []


async def until(server: Server, holds: Callable[[], bool]) -> None:
    """Wait until it holds: while the server answers, it also does its other work."""
    async with asyncio.timeout(TEST_DEADLINE_S):
        while not holds():
            await server.http.get("/healthz")


BEGUN = b'--b\r\nContent-Disposition: form-data; name="file"; filename="me.jpg"\r\n\r\n'


async def test_an_upload_that_breaks_off_leaves_no_file_and_gives_its_place_back(
    serve: ServeWith, uploads: Path, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ditto_avatar.server.faces._MOST_BRINGING_OF_VISITOR", 1)
    async with serve(max_faces=1) as server:
        session, auth = await opened(server)
        head = (
            f"POST /api/avatars?session={session['session']} HTTP/1.1\r\nHost: localhost\r\n"
            f"Authorization: {auth['Authorization']}\r\nContent-Length: 100000\r\n"
            "Content-Type: multipart/form-data; boundary=b\r\n\r\n"
        )
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(head.encode() + BEGUN + bytes(10_000))
        await until(server, lambda: any(path.stat().st_size for path in uploads.iterdir()))
        # Its place is taken while it comes in.
        refused = await post(server, session, auth, FORM, b"a photo")
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "used_up")
        writer.transport.abort()
        await until(server, lambda: not list(uploads.iterdir()))
        assert (await make(server, b"a photo"))[-1]["avatar"]


async def test_a_visitor_brings_few_faces_at_once(serve: ServeWith) -> None:
    async with serve() as server:
        assert server.parts is not None
        faces = server.parts.faces
        async with faces.place("one", None, "visitor"), faces.place("two", None, "visitor"):
            with pytest.raises(Busy):
                async with faces.place("three", None, "visitor"):
                    pass
            async with faces.place("four", None, "another"):
                pass
        async with faces.place("three", None, "visitor"):
            pass
