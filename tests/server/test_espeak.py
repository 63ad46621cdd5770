"""A stranger's sentence does not end the server, nor anybody's turn."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

import ditto_avatar.speech.espeak.process as process
from ditto_avatar.speech.espeak import EspeakEngine
from ditto_avatar.speech.fallback import FallbackSpeech
from tests.fakes.espeak_child import picky_child
from tests.fakes.hostile_texts import NASTY

from .conftest import Server, ServeWith

# The first one ended the process of espeak-ng 1.52 before long runs were broken; the second one
# does still.
HOSTILE = [".a" * 220, ("щ." * 10 + " ") * 15]


def embedded(server: Server) -> EspeakEngine:
    """The embedded voice of a server in this process."""
    assert server.parts is not None
    assert isinstance(server.parts.speech, FallbackSpeech)
    (engine,) = server.parts.speech.engines
    assert isinstance(engine, EspeakEngine)
    return engine


@pytest.mark.parametrize("text", HOSTILE, ids=["run", "fatal"])
async def test_another_visitor_is_served_beside_a_text_that_ends_the_library(
    server: Server, text: str
) -> None:
    async with server.socket() as hostile, server.socket() as visitor:
        await hostile.send(type="say", text=text)
        await hostile.until("turn.started")
        await visitor.send(type="say", text="Hello.")
        assert (await visitor.until("video_ready"))["duration"] > 0.3
        # It is said as well, to its end.
        await hostile.until("segment.started")
        await hostile.send(type="interrupt")
        await hostile.until("turn.interrupted")
    assert (await server.http.get("/readyz")).status_code == 200


async def test_every_nasty_text_is_said_or_refused_and_the_next_one_too(server: Server) -> None:
    began: list[str] = []
    async with server.socket() as client:
        for number, text in enumerate(NASTY):
            await client.send(type="say", text=text, id=f"n{number}")
            while True:
                message = await client.next()
                if message["type"] == "error":
                    assert (message["id"], message["code"]) == (f"n{number}", "invalid_input")
                    break
                if message["type"] in ("segment.started", "turn.finished"):
                    began.append(message["turn"])
                    break
        await client.send(type="say", text="And goodbye.")
        while (await client.until("turn.finished"))["text"] != "And goodbye.":
            pass
    # Each turn but the one that the next text interrupted before its end.
    assert len(set(began)) > len(NASTY) // 2
    assert (await server.http.get("/readyz")).status_code == 200


async def test_a_sentence_whose_child_is_killed_is_heard_all_the_same(own_server: Server) -> None:
    server = own_server
    sentence = "This is a sentence that is spoken by two children."
    engine = embedded(server)
    async with server.socket() as client:
        await client.send(type="say", text="Hello.")
        await client.until("turn.finished")
        for pid in engine.pids:
            os.kill(pid, signal.SIGSTOP)
        await client.send(type="say", text=sentence)
        await client.until("turn.started")
        for pid in engine.pids:
            os.kill(pid, signal.SIGKILL)
        clip = await client.until("video_ready")
        assert clip["duration"] > 2
        assert (await client.until("turn.finished"))["text"] == sentence
        assert not client.of("notice")
        metrics = (await server.http.get("/metrics")).text
    assert 'ditto_speech_children_lost_total{reason="died"}' in metrics


async def test_a_sentence_that_cannot_be_said_is_left_out_with_a_notice(
    serve: ServeWith, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_PROGRAM", picky_child(tmp_path))
    async with serve() as server, server.socket() as client:
        await client.send(type="say", text="The first one. A fatal one. The last one.")
        await client.until("turn.finished")
        said = [segment["text"] for segment in client.of("segment.started")]
        metrics = (await server.http.get("/metrics")).text
    assert said == ["The first one.", "The last one."]
    (notice,) = client.of("notice")
    assert "left out" in notice["message"]
    assert 'ditto_speech_children_lost_total{reason="died"} 2.0' in metrics
    assert 'ditto_fallbacks_total{failed="espeak",part="sentence"} 1.0' in metrics


async def test_no_child_outlives_the_server(serve: ServeWith) -> None:
    async with serve() as server, server.socket() as client:
        await client.send(type="say", text="Hello.")
        await client.until("turn.finished")
        engine = embedded(server)
        pids = engine.pids
    assert pids
    assert engine.pids == []
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
