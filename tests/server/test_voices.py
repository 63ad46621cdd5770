"""The page gets a better voice when it is asked to, behind the conversation."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ditto_avatar.models.catalogue import CatalogueFile, catalogue, find_entry
from ditto_avatar.server.keys import new_key
from tests.deadlines import TEST_DEADLINE_S
from tests.fakes import model_hub
from tests.fakes.voices import write_piper

from .conftest import Server, ServeWith

NAME = "en_US-stand-medium"
OFFERS = "/api/voices/offers"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[model_hub.ModelHub]:
    """A hub with one voice, which the catalogue offers first."""
    path = write_piper(tmp_path / "hub", NAME)
    content = {f"{path.name}{end}": Path(f"{path}{end}").read_bytes() for end in ("", ".json")}
    files = tuple(CatalogueFile(name, name) for name in content)
    kristin = find_entry("en_US-kristin-medium")
    entries: Any = catalogue()
    entry = replace(kristin, name=NAME, label="Stand-in", files=files, revision="main")
    monkeypatch.setitem(entries, NAME, entry)
    with model_hub.serve(entry.repository, content) as served:
        yield served


@pytest.fixture
async def server(hub: model_hub.ModelHub, serve: ServeWith) -> AsyncIterator[Server]:
    async with serve(speech="auto", checkpoints_endpoint=hub.address) as served:
        yield served


async def offers(server: Server, **headers: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What is offered, and the stand-in among it."""
    body = (await server.http.get(OFFERS, headers=headers)).json()
    return body, next(offer for offer in body["offers"] if offer["name"] == NAME)


async def until(server: Server, *states: str) -> dict[str, Any]:
    """The stand-in's offer once it is in one of `states`; asks as the page does."""
    async with asyncio.timeout(TEST_DEADLINE_S):
        while True:
            _, offer = await offers(server)
            if offer["state"] in states:
                return offer


async def test_a_voice_is_downloaded_once_it_is_asked_for_and_speaks_at_once(
    server: Server, hub: model_hub.ModelHub
) -> None:
    body, offer = await offers(server)
    assert body["may_download"] is True
    assert body["speaking"] == {"en": "espeak", "ko": "espeak"}
    assert (offer["state"], offer["megabytes"], offer["asks_license"]) == ("absent", 63.5, False)
    assert hub.requests == []
    answer = await server.http.post(f"{OFFERS}/{NAME}", json={})
    assert answer.status_code == 202
    assert (await until(server, "installed", "failed"))["state"] == "installed"
    body, _ = await offers(server)
    assert body["speaking"] == {"en": "local", "ko": "espeak"}
    voices = (await server.http.get("/api/voices")).json()
    assert (voices[0]["id"], voices[0]["engine"]) == (NAME, "local")
    metrics = (await server.http.get("/metrics")).text
    assert 'ditto_voice_downloads_total{outcome="installed"} 1.0' in metrics


async def test_a_chosen_voice_speaks_from_the_next_turn(server: Server) -> None:
    async with server.socket(language="en") as socket:
        await socket.until("session.ready")
        await socket.send(type="voice.select", voices=["en+m3", "ko+m3"])
        assert (await socket.until("voice.selected"))["voices"] == ["en+m3", "ko+m3"]
        await socket.send(type="say", text="Hello there.")
        await socket.until("turn.finished")
        assert socket.of("notice") == socket.of("error") == []


async def test_a_download_can_be_stopped_and_only_one_runs(
    server: Server, hub: model_hub.ModelHub
) -> None:
    hub.held[f"{NAME}.onnx"] = 100
    assert (await server.http.post(f"{OFFERS}/{NAME}", json={})).status_code == 202
    assert (await offers(server))[1]["state"] == "loading"
    other = await server.http.post(f"{OFFERS}/en_US-ljspeech-medium", json={})
    assert (other.status_code, other.json()["error"]["code"]) == (503, "busy")
    assert (await server.http.delete(f"{OFFERS}/{NAME}")).status_code == 204
    assert (await offers(server))[1]["state"] == "absent"
    hub.release.set()
    await server.http.post(f"{OFFERS}/{NAME}", json={})
    assert (await until(server, "installed", "failed"))["state"] == "installed"


async def test_a_failure_is_told_and_counted(server: Server, hub: model_hub.ModelHub) -> None:
    hub.spoiled.add(f"{NAME}.onnx")
    await server.http.post(f"{OFFERS}/{NAME}", json={})
    offer = await until(server, "failed", "installed")
    assert "arrived damaged 2 times" in offer["message"]
    metrics = (await server.http.get("/metrics")).text
    assert 'ditto_voice_downloads_total{outcome="failed"} 1.0' in metrics


async def test_a_licence_that_asks_has_to_be_accepted(server: Server) -> None:
    answer = await server.http.post(f"{OFFERS}/supertonic", json={})
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "license_not_accepted")


async def test_strangers_cannot_have_a_server_download_anything(
    hub: model_hub.ModelHub, serve: ServeWith
) -> None:
    text, operator = new_key("ops")
    for settings in ({"host": "0.0.0.0"}, {"api_keys": new_key("page")[1].entry}):
        async with serve(
            speech="auto", checkpoints_endpoint=hub.address, admin_keys=operator.entry, **settings
        ) as server:
            assert (await offers(server))[0]["may_download"] is False
            answer = await server.http.post(f"{OFFERS}/{NAME}", json={})
            assert (answer.status_code, answer.json()["error"]["code"]) == (403, "forbidden")
            assert (await server.http.delete(f"{OFFERS}/{NAME}")).status_code == 403
            assert hub.requests == []
            key = {"Authorization": f"Bearer {text}"}
            assert (await offers(server, **key))[0]["may_download"] is True


async def test_a_server_that_stops_gives_its_download_up(
    hub: model_hub.ModelHub, serve: ServeWith, tmp_path: Path
) -> None:
    hub.held[f"{NAME}.onnx"] = 100
    async with serve(speech="auto", checkpoints_endpoint=hub.address) as server:
        await server.http.post(f"{OFFERS}/{NAME}", json={})
        assert (await offers(server))[1]["state"] == "loading"
    assert not find_entry(NAME).is_installed(tmp_path / "data")
    hub.release.set()
