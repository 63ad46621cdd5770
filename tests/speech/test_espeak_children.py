"""The child processes of the embedded voice: they die, hang and are left; the voice speaks on."""

from __future__ import annotations

import asyncio
import logging
import os
import select
import signal
import struct
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import espeakng_loader
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ditto_avatar.speech.espeak.process as process
from ditto_avatar.errors import ProviderFailed, SentenceFailed, Unavailable
from ditto_avatar.speech.child_processes import frames
from ditto_avatar.speech.espeak import EspeakEngine, protocol
from ditto_avatar.speech.espeak.process import Deadlines
from ditto_avatar.speech.espeak.request import Request, pieces
from ditto_avatar.speech.espeak.voices import VOICES
from ditto_avatar.types import SpeechChunk, joined
from tests.cancelling import cancelled_everywhere
from tests.deadlines import TEST_DEADLINE_S
from tests.fakes.espeak_child import mad_child, picky_child

VOICE = VOICES[0]
# A minute of sound: far more than pipes and buffers hold, so a child is still speaking when its
# first sound has arrived.
LONG = "one word after another " * 40
# Ends espeak-ng 1.52, although no run in it is long.
FATAL = ("ß." * 19 + " ") * 20
# A lost child is replaced within 100 ms on an idle machine; this is for a busy one.
REPLACED_S = 10.0

linux = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


class Losses(list[str]):
    """The reasons for which children were lost."""


@pytest.fixture
def lost() -> Losses:
    return Losses()


@pytest.fixture
async def engine(lost: Losses) -> AsyncIterator[EspeakEngine]:
    async with EspeakEngine(children=2, on_child_lost=lost.append) as made:
        yield made


@pytest.fixture
async def single(lost: Losses) -> AsyncIterator[EspeakEngine]:
    """An engine with one child, impatient."""
    deadlines = Deadlines(frame_s=1.0)
    async with EspeakEngine(children=1, deadlines=deadlines, on_child_lost=lost.append) as made:
        yield made


async def say(engine: EspeakEngine, text: str) -> SpeechChunk:
    return joined([chunk async for chunk in engine.speak(text, VOICE)])


def same(speech: SpeechChunk, known: SpeechChunk) -> bool:
    """Whether both say the same, all of it and nothing twice; the library's sound differs by a
    few samples each time."""
    symbols = [[p.symbol for p in chunk.phonemes] for chunk in (speech, known)]
    return symbols[0] == symbols[1] and abs(len(speech.samples) - len(known.samples)) < 100


@pytest.mark.parametrize("text", [".a" * 220, "щ." * 141, "ness" * 88, "http://" + "a." * 1990])
async def test_long_runs_are_said_and_end_no_process(
    engine: EspeakEngine, lost: Losses, text: str
) -> None:
    assert len((await say(engine, text)).phonemes) > 20
    assert lost == []


async def test_a_text_that_ends_the_library_is_said_in_a_simpler_form(
    engine: EspeakEngine, lost: Losses, caplog: pytest.LogCaptureFixture
) -> None:
    assert len((await say(engine, FATAL)).phonemes) > 100
    assert lost == ["died"]
    assert await say(engine, "next")
    (record,) = [r for r in caplog.records if r.levelno >= logging.WARNING]
    assert "died (SIGABRT)" in record.getMessage()
    assert "ß" not in caplog.text


@pytest.mark.parametrize(("number", "reason"), [(signal.SIGKILL, "died"), (signal.SIGSTOP, "hung")])
async def test_a_sentence_goes_on_where_its_child_stopped(
    single: EspeakEngine, lost: Losses, number: signal.Signals, reason: str
) -> None:
    known = await say(single, LONG)
    (pid,) = single.pids
    async with aclosing(single.speak(LONG, VOICE)) as chunks:
        first = await anext(chunks)
        os.kill(pid, number)
        speech = joined([first, *[chunk async for chunk in chunks]])
    assert same(speech, known)
    assert lost == [reason]
    assert len(single.pids) == 1
    assert single.pids != [pid]


async def test_a_child_that_died_while_it_was_idle_is_replaced(
    single: EspeakEngine, lost: Losses
) -> None:
    await say(single, "hello")
    (pid,) = single.pids
    os.kill(pid, signal.SIGKILL)
    async with asyncio.timeout(REPLACED_S):
        assert (await say(single, "hello")).phonemes
    assert lost == ["died"]


async def test_a_sentence_that_fails_twice_is_given_up_and_the_next_one_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: EspeakEngine, lost: Losses
) -> None:
    monkeypatch.setattr(process, "_PROGRAM", picky_child(tmp_path))
    with pytest.raises(SentenceFailed):
        await say(engine, "This is fatal.")
    assert lost == ["died", "died"]
    async with asyncio.timeout(REPLACED_S):
        assert (await say(engine, "This is not.")).phonemes


@pytest.mark.parametrize(
    "answer",
    [
        b"\xff" * 64,
        frames.HEADER.pack(protocol.SOUND, protocol.MAX_PAYLOAD_BYTES + 1),
        frames.frame(protocol.SOUND),
        frames.frame(protocol.SOUND, struct.pack("=H", 9)),
        frames.frame(protocol.SOUND, struct.pack("=H", 0) + b"\0"),
        frames.frame(protocol.DONE),
        frames.frame(frames.READY),
    ],
)
async def test_a_child_that_sends_nonsense_is_not_believed(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    engine: EspeakEngine,
    lost: Losses,
    answer: bytes,
) -> None:
    monkeypatch.setattr(process, "_PROGRAM", mad_child(tmp_path, answer))
    with pytest.raises(SentenceFailed):
        await say(engine, "Hello.")
    assert lost == ["nonsense", "nonsense"]


async def test_a_child_that_cannot_start_is_a_failure_of_the_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: EspeakEngine
) -> None:
    monkeypatch.setattr(process, "_PROGRAM", tmp_path / "missing.py")
    with pytest.raises(ProviderFailed, match="did not start") as caught:
        await say(engine, "Hello.")
    assert not isinstance(caught.value, SentenceFailed)
    monkeypatch.undo()
    assert await say(engine, "Hello.")


async def test_two_sentences_are_spoken_at_once(engine: EspeakEngine, lost: Losses) -> None:
    async with aclosing(engine.speak(LONG, VOICE)) as chunks:
        first = await anext(chunks)
        (busy,) = engine.pids
        os.kill(busy, signal.SIGSTOP)
        assert (await say(engine, "The other one.")).phonemes
        os.kill(busy, signal.SIGCONT)
        speech = joined([first, *[chunk async for chunk in chunks]])
    assert same(speech, await say(engine, LONG))
    assert len(engine.pids) == 2
    assert lost == []


async def test_a_reader_who_does_not_read_keeps_nobody_waiting(single: EspeakEngine) -> None:
    async with aclosing(single.speak(LONG, VOICE)) as chunks:
        first = await anext(chunks)
        known = await say(single, LONG)
        assert same(joined([first, *[chunk async for chunk in chunks]]), known)


async def test_a_reader_who_leaves_frees_the_child(single: EspeakEngine, lost: Losses) -> None:
    for _ in range(5):
        async with aclosing(single.speak("word " * 20_000, VOICE)) as chunks:
            await anext(chunks)
        assert (await say(single, "next")).phonemes
    assert lost == []
    assert len(single.pids) == 1


async def test_cancelling_anywhere_loses_no_child_and_no_place(
    engine: EspeakEngine, lost: Losses
) -> None:
    known = await say(engine, "Still here.")
    async for _ in cancelled_everywhere(lambda: say(engine, "A short sentence.")):
        assert same(await say(engine, "Still here."), known)
        assert len(engine.pids) <= 2
    together = await asyncio.gather(*(say(engine, "Still here.") for _ in range(4)))
    assert all(same(speech, known) for speech in together)
    assert lost == []


async def test_closing_can_be_cancelled_anywhere_and_done_again() -> None:
    engines: list[EspeakEngine] = []

    async def use() -> None:
        engine = EspeakEngine(children=2)
        engines.append(engine)
        await engine.check()
        await engine.close()

    async for _ in cancelled_everywhere(use):
        await engines[-1].close()
        assert engines[-1].pids == []


async def test_closing_ends_what_is_being_said_and_all_children() -> None:
    engine = EspeakEngine(children=2)
    await engine.check()
    chunks = engine.speak(LONG, VOICE)
    await anext(chunks)
    pids = engine.pids
    assert len(pids) == 2
    await engine.close()
    with pytest.raises(Unavailable):
        _ = [chunk async for chunk in chunks]
    with pytest.raises(Unavailable):
        await say(engine, "hello")
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


async def test_closing_at_once_ends_a_sentence_that_has_not_begun() -> None:
    engine = EspeakEngine(children=1)
    speaking = asyncio.create_task(say(engine, "hello"))
    await asyncio.sleep(0)
    await engine.close()
    with pytest.raises(Unavailable):
        await speaking


ALPHABETS = st.sampled_from(
    ["abcdefghijklmnopqrstuvwxyz .,'-", "가나다값않읽 .,?", "АБщжы.", "0123456789.,:-/", "éüñßøç ."]
)
TEXTS = st.one_of(
    st.text(max_size=60),
    ALPHABETS.flatmap(lambda letters: st.text(letters, max_size=120)),
    st.builds(
        lambda unit, times: unit * times,
        st.one_of(st.text(min_size=1, max_size=4), st.text("aщ.-가", min_size=1, max_size=4)),
        st.integers(10, 60),
    ),
)


def test_whatever_comes_it_speaks_on() -> None:
    with asyncio.Runner() as runner:
        engine = EspeakEngine(450, children=1)

        @settings(
            max_examples=300, deadline=None, suppress_health_check=list(HealthCheck), database=None
        )
        @given(text=TEXTS, voice=st.sampled_from(VOICES))
        def speaks(text: str, voice: object) -> None:
            runner.run(say(engine, text))

        try:
            speaks()
            assert runner.run(say(engine, "And now?")).phonemes
        finally:
            runner.run(engine.close())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Short words stay as they are, e.g. https://x.", ["Short words stay as they are, e.g. https://x."]),
        ("띄어쓰기없이쓴글도그대로읽어야합니다" * 4, ["띄어쓰기없이쓴글도그대로읽어야합니다" * 4]),
        ("a" * 100, ["a" * 40 + " " + "a" * 40 + " " + "a" * 20]),
        ("a." * 21, ["a. " * 20 + "a."]),
        ("", []),
        ("a\0b", ["a b"]),
    ],
)  # fmt: skip
def test_only_long_runs_are_broken(text: str, said: list[str]) -> None:
    assert list(pieces(text)) == said


def test_pieces_are_bounded_and_leave_nothing_out() -> None:
    text = "word " * 500 + "a" * 3_000
    parts = list(pieces(text))
    assert max(map(len, parts)) <= 1_000
    assert "".join(parts).replace(" ", "") == text.replace(" ", "")


def test_the_simpler_form_has_no_signs_within_and_no_long_run() -> None:
    request = Request("щ.щ. It's " + "가" * 50, "ko", 165, 50, 50)
    assert request.simpler().text == "щ щ. It s " + "가" * 40 + " " + "가" * 10


@linux
async def test_a_child_has_no_keys_no_files_and_limits(
    single: EspeakEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-not-for-children")
    await say(single, "hello")
    (pid,) = single.pids
    proc = Path(f"/proc/{pid}")
    assert (proc / "environ").read_bytes() == b""
    limits = (proc / "limits").read_text()
    bounds = {line[:25].strip(): line.split()[-2:] for line in limits.splitlines()[1:]}
    assert {"Max core file size", "Max file size", "Max address space"} <= bounds.keys()
    assert "Max core file size        0 " in limits
    assert "Max file size             0 " in limits
    assert "unlimited" not in next(x for x in limits.splitlines() if "address space" in x)
    targets = sorted(os.readlink(fd) for fd in (proc / "fd").iterdir())
    assert [t for t in targets if not t.startswith("pipe:") and t != "/dev/null"] == []
    maps = (proc / "maps").read_text()
    assert "numpy" not in maps
    assert "libespeak-ng" in maps


def test_a_child_ends_at_the_end_of_its_input() -> None:
    paths = (espeakng_loader.get_library_path(), espeakng_loader.get_data_path())
    child = subprocess.Popen(
        [sys.executable, "-I", "-S", process._PROGRAM, *paths],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    out, _ = child.communicate(b"", timeout=TEST_DEADLINE_S)
    assert child.returncode == 0
    assert out.startswith(frames.HEADER.pack(frames.READY, 6))


_SERVER = """
import asyncio
from ditto_avatar.speech.espeak import EspeakEngine

async def main():
    engine = EspeakEngine(children=2)
    await engine.check()
    print(*engine.pids, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@linux
def test_children_end_with_a_server_that_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", _SERVER], stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        pids = [int(pid) for pid in server.stdout.readline().split()]
        watched = [os.pidfd_open(pid) for pid in pids]
        server.kill()
        try:
            for fd in watched:
                # Readable when the process has ended.
                assert select.select([fd], [], [], REPLACED_S)[0]
        finally:
            for fd in watched:
                os.close(fd)
