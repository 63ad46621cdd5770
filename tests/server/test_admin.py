"""The operator's side of a real server: the admin interface, and the port it is on."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import stat
from typing import Any

import httpx
import pytest

from ditto_avatar.errors import StorageFull, Unavailable
from ditto_avatar.server.audit import AuditLog
from ditto_avatar.server.exposure import OperatorPort, is_loopback, operator_port, warning_for
from ditto_avatar.server.keys import new_key
from ditto_avatar.settings import Settings
from tests.deadlines import TEST_DEADLINE_S

from .conftest import Server, ServeWith
from .test_join import bearing, refused
from .test_rest import error_of, finished, opened

API_KEY, API_ENTRY = new_key("shop")
ADMIN_KEY, ADMIN_ENTRY = new_key("ops")
ADMIN = {"admin_keys": ADMIN_ENTRY.entry}
AUTH = bearing(ADMIN_KEY)
PATHS = ("/metrics", "/docs/", "/openapi.json", "/admin/sessions")


async def statuses(http: httpx.AsyncClient) -> dict[str, int]:
    return {path: (await http.get(path, headers=AUTH)).status_code for path in PATHS}


def audited(server: Server) -> list[dict[str, Any]]:
    lines = (server.data_dir / "audit.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


async def talk(server: Server, text: str = "My name is Hildegard.") -> tuple[str, dict[str, str]]:
    url, auth = await opened(server)
    answer = await server.http.post(f"{url}/say", json={"text": text}, headers=auth)
    await finished(server, url, auth, answer.json()["turn"])
    return url.rpartition("/")[2], auth


# Where it is served -----------------------------------------------------------------------


def settings_of(**values: Any) -> Settings:
    return Settings(_env_file=None, **values)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.5.0.1", "::1", "localhost"])
def test_this_machine_is_known_by_its_addresses(host: str) -> None:
    assert is_loopback(host)
    assert operator_port(settings_of(host=host)) is OperatorPort.MAIN


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.168.0.2", "example.org"])
def test_a_server_for_others_shows_operators_nothing_on_its_port(host: str) -> None:
    assert operator_port(settings_of(host=host)) is OperatorPort.NONE
    assert operator_port(settings_of(host=host, admin_port=7137)) is OperatorPort.OWN


def test_a_server_that_is_open_to_strangers_says_so() -> None:
    warning = warning_for(settings_of(host="0.0.0.0"))
    assert warning is not None
    assert "ditto-avatar keys new" in warning
    assert warning_for(settings_of()) is None
    assert warning_for(settings_of(host="0.0.0.0", api_keys=API_ENTRY.entry)) is None


async def test_on_this_machine_all_is_on_the_main_port(serve: ServeWith) -> None:
    async with serve(**ADMIN) as server:
        assert await statuses(server.http) == dict.fromkeys(PATHS, 200)


async def test_without_a_key_for_operators_there_is_no_admin_interface(server: Server) -> None:
    assert (await statuses(server.http))["/admin/sessions"] == 404
    assert not [path for path in await described(server.http) if path.startswith("/admin")]


async def test_for_strangers_nothing_of_it_is_served(
    serve: ServeWith, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        async with serve(host="0.0.0.0", **ADMIN) as server:
            assert await statuses(server.http) == dict.fromkeys(PATHS, 404)
            assert (await server.http.get("/readyz")).status_code == 200
    assert "are not served: set DITTO_ADMIN_PORT" in caplog.text


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
async def test_on_a_port_of_its_own_it_is_nowhere_else(serve: ServeWith, host: str) -> None:
    async with serve(host=host, admin_port=0, **ADMIN) as server:
        assert await statuses(server.http) == dict.fromkeys(PATHS, 404)
        assert await statuses(server.admin) == dict.fromkeys(PATHS, 200)
        for http in (server.http, server.admin):
            assert (await http.get("/healthz")).json() == {"status": "ok"}
            assert (await http.get("/readyz")).json() == {"status": "ready"}
        for path in ("/", "/api/avatars", "/static/main.js"):
            assert (await server.admin.get(path)).status_code == 404
        await opened(server)
        assert "ditto_sessions 1.0" in (await server.admin.get("/metrics")).text


async def test_the_admin_port_answers_to_its_own_names_only(serve: ServeWith) -> None:
    async with serve(admin_port=0, **ADMIN) as server:
        answer = await server.admin.get("/metrics", headers={"Host": "evil.example"})
        assert error_of(answer) == (421, "misdirected")


async def test_an_admin_port_that_is_taken_is_told(serve: ServeWith) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Unavailable, match=f"DITTO_ADMIN_PORT: port {port}"):
            async with serve(admin_port=port):
                pass


async def described(http: httpx.AsyncClient) -> dict[str, Any]:
    paths: dict[str, Any] = (await http.get("/openapi.json")).json()["paths"]
    return paths


async def test_the_description_names_both_sides(serve: ServeWith) -> None:
    async with serve(admin_port=0, **ADMIN) as server:
        paths = await described(server.admin)
        for path in ("/api/sessions", "/api/tokens", "/admin/sessions/{session}", "/metrics"):
            assert path in paths


async def test_the_docs_load_nothing_from_elsewhere(server: Server) -> None:
    page = await server.http.get("/docs", follow_redirects=True)
    assert page.status_code == 200
    for part in ("/docs/reference.js", "/docs/reference.css"):
        assert part in page.text
        assert "://" not in (await server.http.get(part)).text
    assert "://" not in page.text
    assert "default-src 'self'" in page.headers["content-security-policy"]


# Who may ------------------------------------------------------------------------------------


WRONG = [{}, bearing("nonsense"), bearing(API_KEY), {"Authorization": f"Basic {ADMIN_KEY}"}]


async def test_operators_come_in_with_their_own_key_only(serve: ServeWith) -> None:
    async with serve(api_keys=API_ENTRY.entry, **ADMIN) as server:
        calls = [
            (method.upper(), path.format(session="x"))
            for path, methods in (await described(server.http)).items()
            for method in methods
            if path.startswith("/admin/")
        ]
        assert len(calls) == 7
        for method, path in calls:
            for headers in WRONG:
                answer = await server.http.request(method, path, headers=headers)
                assert error_of(answer) == (401, "unauthorized")
        assert not (server.data_dir / "audit.jsonl").exists()
        # Nor does their key open sessions.
        answer = await server.http.post("/api/tokens", json={}, headers=AUTH)
        assert error_of(answer) == (401, "unauthorized")
        assert await refused(server, join=ADMIN_KEY) == ("join_refused", 4407)


# What they see ------------------------------------------------------------------------------


async def test_sessions_are_listed_with_figures_and_without_words(serve: ServeWith) -> None:
    async with serve(**ADMIN) as server:
        session, auth = await talk(server)
        async with server.socket(language="ko") as viewer:
            watched = (await viewer.until("session.ready"))["session"]
            listed = (await server.http.get("/admin/sessions", headers=AUTH)).json()
        new, kept = listed["sessions"]
        assert (new["session"], new["viewers"], new["turns"]) == (watched, 1, 0)
        assert (new["created_at"], new["language"], new["state"]) == (None, "ko", "idle")
        assert (kept["session"], kept["turns"], kept["avatar"]) == (session, 1, "oval")
        assert kept["created_at"] <= kept["used_at"]
        assert kept["created_at"].endswith("Z")
        # The same person, by a mark that does not tell the address.
        assert kept["visitor"] == new["visitor"] is not None
        assert len(kept["visitor"]) == 8
        shown = await server.http.get(f"/admin/sessions/{session}", headers=AUTH)
        (turn,) = shown.json()["timeline"]
        assert (turn["kind"], turn["state"]) == ("say", "finished")
        assert turn["timings"]["first_frame"] > 0
        for text in (json.dumps(listed), shown.text):
            for secret in ("Hildegard", "127.0.0.1", "token_hash", auth["Authorization"][7:]):
                assert secret not in text


async def test_long_lists_come_in_pages(serve: ServeWith) -> None:
    async with serve(**ADMIN) as server:
        for _ in range(3):
            await opened(server)
        async with server.socket() as viewer:
            await viewer.until("session.ready")
            seen: list[str] = []
            for offset in range(4):
                page = {"limit": 1, "offset": offset}
                body = (await server.http.get("/admin/sessions", params=page, headers=AUTH)).json()
                seen += [session["session"] for session in body["sessions"]]
                assert body["more"] is (offset < 3)
        assert len(set(seen)) == 4
        answer = await server.http.get("/admin/sessions", params={"limit": 501}, headers=AUTH)
        assert error_of(answer) == (422, "invalid_input")


async def test_a_session_that_there_is_not_is_not_found(serve: ServeWith) -> None:
    async with serve(**ADMIN) as server:
        for method, path in (("GET", ""), ("POST", "/close"), ("DELETE", "")):
            url = f"/admin/sessions/none{path}"
            answer = await server.http.request(method, url, headers=AUTH)
            assert error_of(answer) == (404, "not_found")


# What they do -------------------------------------------------------------------------------


async def test_a_closed_session_is_over_and_kept(serve: ServeWith) -> None:
    async with serve(**ADMIN) as server:
        session, auth = await talk(server)
        token = auth["Authorization"].removeprefix("Bearer ")
        async with server.socket(session=session, token=token) as viewer:
            await viewer.until("session.ready")
            url = f"/admin/sessions/{session}"
            assert (await server.http.post(f"{url}/close", headers=AUTH)).status_code == 204
            async with asyncio.timeout(TEST_DEADLINE_S):
                await viewer.raw.wait_closed()
        answer = await server.http.get(f"/api/sessions/{session}", headers=auth)
        assert error_of(answer) == (404, "not_found")
        shown = (await server.http.get(url, headers=AUTH)).json()
        assert (shown["state"], shown["turns"], shown["viewers"]) == ("closed", 1, 0)
        async with server.socket(session=session, token=token) as viewer:
            assert (await viewer.until("session.ready"))["session"] != session


async def test_a_session_is_closed_after_a_restart_as_well(serve: ServeWith) -> None:
    async with serve(**ADMIN) as server:
        session, auth = await talk(server)
    async with serve(**ADMIN) as server:
        url = f"/admin/sessions/{session}"
        assert (await server.http.get(url, headers=AUTH)).json()["state"] == "stored"
        assert (await server.http.post(f"{url}/close", headers=AUTH)).status_code == 204
        answer = await server.http.get(f"/api/sessions/{session}", headers=auth)
        assert error_of(answer) == (404, "not_found")


@pytest.mark.parametrize("restarted", [False, True])
async def test_an_erased_session_leaves_nothing(serve: ServeWith, restarted: bool) -> None:
    async with serve(**ADMIN) as server:
        session, auth = await talk(server)
        if not restarted:
            await erase(server, session, auth)
    if restarted:
        async with serve(**ADMIN) as server:
            await erase(server, session, auth)


async def erase(server: Server, session: str, auth: dict[str, str]) -> None:
    assert list((server.data_dir / "clips").rglob("*.mp4"))
    url = f"/admin/sessions/{session}"
    assert (await server.http.delete(url, headers=AUTH)).status_code == 204
    assert not list((server.data_dir / "clips").rglob("*.mp4"))
    assert error_of(await server.http.get(url, headers=AUTH)) == (404, "not_found")
    answer = await server.http.get(f"/api/sessions/{session}", headers=auth)
    assert error_of(answer) == (404, "not_found")


async def test_draining_finishes_what_runs_and_begins_nothing(serve: ServeWith) -> None:
    async with serve(admin_port=0, **ADMIN) as server:
        url, auth = await opened(server)
        said = await server.http.post(f"{url}/say", json={"text": "Hello there."}, headers=auth)
        drained = await server.admin.post("/admin/drain", headers=AUTH)
        assert drained.json() == {"draining": True}
        for http in (server.http, server.admin):
            assert error_of(await http.get("/readyz")) == (503, "shutting_down")
            assert (await http.get("/healthz")).status_code == 200
        turn = await finished(server, url, auth, said.json()["turn"])
        assert (turn["state"], len(turn["clips"])) == ("finished", 1)
        refused_turn = await server.http.post(f"{url}/say", json={"text": "More."}, headers=auth)
        assert error_of(refused_turn) == (503, "shutting_down")
        refused_session = await server.http.post("/api/sessions", json={})
        assert error_of(refused_session) == (503, "shutting_down")
        assert (await server.admin.get("/admin/status", headers=AUTH)).json()["draining"]
        await server.admin.delete("/admin/drain", headers=AUTH)
        assert (await server.http.get("/readyz")).status_code == 200
        again = await server.http.post(f"{url}/say", json={"text": "More."}, headers=auth)
        assert again.status_code == 202
        assert [line["action"] for line in audited(server)] == ["drain", "resume"]


async def test_every_action_is_written_down_with_who_asked(serve: ServeWith) -> None:
    async with serve(**ADMIN) as server:
        session, _ = await talk(server)
        await server.http.get("/admin/sessions", headers=AUTH)
        await server.http.post(f"/admin/sessions/{session}/close", headers=AUTH)
        await server.http.delete(f"/admin/sessions/{session}", headers=AUTH)
        lines = audited(server)
        assert [(line["who"], line["action"], line["session"]) for line in lines] == [
            ("ops", "close", session),
            ("ops", "erase", session),
        ]
        assert ADMIN_KEY not in json.dumps(lines)
        file = server.data_dir / "audit.jsonl"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    async with serve(**ADMIN) as server:
        await server.http.post("/admin/drain", headers=AUTH)
        assert [line["action"] for line in audited(server)] == ["close", "erase", "drain"]


async def test_what_cannot_be_written_down_is_not_done(serve: ServeWith) -> None:
    async with serve(**ADMIN) as server:
        session, auth = await talk(server)
        (server.data_dir / "audit.jsonl").mkdir()
        answer = await server.http.delete(f"/admin/sessions/{session}", headers=AUTH)
        assert error_of(answer) == (507, "storage_full")
        kept = await server.http.get(f"/api/sessions/{session}", headers=auth)
        assert kept.status_code == 200


async def test_lines_of_many_actions_at_once_stay_whole(tmp_path: Any) -> None:
    audit = AuditLog(tmp_path / "audit.jsonl")
    await asyncio.gather(*(audit.note("ops", "close", f"{n}" * 200) for n in range(10)))
    lines = (tmp_path / "audit.jsonl").read_text().splitlines()
    assert {json.loads(line)["session"][0] for line in lines} == set("0123456789")
    with pytest.raises(StorageFull, match="was not done"):
        await AuditLog(tmp_path / "none" / "audit.jsonl").note("ops", "close")
