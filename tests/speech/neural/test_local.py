"""Voices of this machine speak when they are installed and quick enough; else espeak does."""

from __future__ import annotations

import logging
import math
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ditto_avatar.errors import Unavailable
from ditto_avatar.speech.espeak import EspeakEngine
from ditto_avatar.speech.fallback import FallbackSpeech
from ditto_avatar.speech.neural.engine import ModelSpeech, SelfTest
from ditto_avatar.speech.neural.installed import find_models
from ditto_avatar.speech.neural.local import LocalSpeech
from ditto_avatar.speech.voices import voice_for
from ditto_avatar.types import Fallback, Language, Voice, joined
from tests.fakes.voices import write_piper, write_supertonic

EN, KO = Language.ENGLISH, Language.KOREAN


@pytest.fixture
async def espeak() -> AsyncIterator[EspeakEngine]:
    async with EspeakEngine(children=1) as engine:
        yield engine


@pytest.fixture
async def local(espeak: EspeakEngine, tmp_path: Path) -> AsyncIterator[LocalSpeech]:
    engine = LocalSpeech(tmp_path / "voices", espeak, slowest=math.inf)
    yield engine
    await engine.close()


async def length(speech: FallbackSpeech, text: str, voice: Voice) -> int:
    return len(joined([chunk async for chunk in speech.speak(text, voice)]).samples)


async def test_a_voice_speaks_from_the_next_sentence_after_it_was_installed(
    local: LocalSpeech, espeak: EspeakEngine, tmp_path: Path
) -> None:
    told: list[Fallback] = []
    speech = FallbackSpeech([local, espeak], told.append)
    await local.prepare()
    before = speech.fingerprint
    assert voice_for(speech, "Hello.", EN).engine == "espeak"
    assert await length(speech, "Hello.", voice_for(speech, "Hello.", EN))
    write_piper(tmp_path / "voices" / "stand-in")
    await local.prepare()
    voice = voice_for(speech, "Hello.", EN)
    assert (voice.engine, voice.id) == ("local", "en_US-stand-medium")
    assert await length(speech, "Hello.", voice)
    assert speech.fingerprint != before
    assert told == []


async def test_a_language_that_no_local_voice_speaks_is_espeaks(
    local: LocalSpeech, espeak: EspeakEngine, tmp_path: Path
) -> None:
    write_piper(tmp_path / "voices")
    await local.prepare()
    told: list[Fallback] = []
    speech = FallbackSpeech([local, espeak], told.append)
    table = {"local": {"ko": "female"}, "espeak": {"ko": "ko+m3"}}
    voice = voice_for(speech, "안녕하세요.", KO, table)
    assert (voice.engine, voice.id) == ("espeak", "ko+m3")
    assert await length(speech, "안녕하세요.", voice)
    assert told == []
    with pytest.raises(Unavailable, match="No voice of this machine speaks 'ko'"):
        await anext(local.speak("안녕", Voice("x", KO, "local", "")))


async def test_a_voice_that_is_too_slow_here_does_not_speak(
    espeak: EspeakEngine, tmp_path: Path
) -> None:
    write_piper(tmp_path)
    slow = LocalSpeech(tmp_path, espeak, slowest=0.0)
    await slow.prepare()
    assert (slow.voices(), slow.slow, slow.pids) == ([], ["en_US-stand-medium"], [])
    assert "too slow here" in await slow.check()
    await slow.close()


class Machine:
    """Tells how long a second of sound takes on it, as `LocalSpeech` asks for it."""

    def __init__(self, factor: float) -> None:
        self.factor = factor
        self.tried: list[str] = []

    async def measure(self, speech: ModelSpeech) -> SelfTest:
        self.tried.append(speech.model.name)
        await speech.measure()
        return SelfTest(0.1, self.factor)


async def test_a_voice_that_was_slow_on_a_busy_machine_speaks_once_it_is_quick(
    espeak: EspeakEngine, tmp_path: Path
) -> None:
    write_piper(tmp_path)
    machine = Machine(0.6)
    local = LocalSpeech(tmp_path, espeak, slowest=0.35, measure=machine.measure)
    try:
        await local.prepare()
        assert (local.voices(), local.pids, local.doubtful.is_set()) == ([], [], True)
        await local.try_again()
        assert local.slow == ["en_US-stand-medium"]
        machine.factor = 0.3
        await local.try_again()
        assert [voice.id for voice in local.voices()] == ["en_US-stand-medium"]
        assert (local.slow, len(local.pids), local.doubtful.is_set()) == ([], 1, False)
        await local.try_again()
        assert len(machine.tried) == 3
    finally:
        await local.close()


async def test_a_voice_that_is_far_too_slow_is_not_tried_again(
    espeak: EspeakEngine, tmp_path: Path
) -> None:
    write_piper(tmp_path)
    machine = Machine(1.2)
    local = LocalSpeech(tmp_path, espeak, slowest=0.35, measure=machine.measure)
    await local.prepare()
    await local.try_again()
    assert (len(machine.tried), local.doubtful.is_set()) == (1, False)


async def test_small_voices_are_tried_first_and_speak_while_large_ones_are_tried(
    local: LocalSpeech, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_supertonic(tmp_path / "voices" / "supertonic")
    with (tmp_path / "voices" / "supertonic" / "onnx" / "unicode_indexer.json").open("a") as file:
        file.write(" " * 100_000)
    write_piper(tmp_path / "voices" / "z")
    spoke: list[list[str]] = []

    class Noted(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            spoke.append(sorted({voice.id.partition("/")[0] for voice in local.voices()}))

    logger, noted = logging.getLogger("ditto_avatar.speech.neural.local"), Noted()
    logger.addHandler(noted)
    caplog.set_level(logging.INFO, logger.name)
    try:
        await local.prepare()
    finally:
        logger.removeHandler(noted)
    assert spoke == [["en_US-stand-medium"], ["en_US-stand-medium", "supertonic"]]
    # The catalogue's own stand before others, whichever was tried first.
    assert local.voices()[0].id.startswith("supertonic")


async def test_avatars_wish_for_a_kind_of_voice(local: LocalSpeech, tmp_path: Path) -> None:
    write_supertonic(tmp_path / "voices" / "supertonic")
    await local.prepare()
    speech = FallbackSpeech([local])
    table = {"local": {"en": "male"}}
    chosen = voice_for(speech, "Hello.", EN, table)
    assert chosen.id == "male"
    assert await length(speech, "Hello there.", chosen)
    mine = voice_for(speech, "Hello.", EN, table, own=["supertonic/F1"])
    assert (mine.id, mine.language) == ("supertonic/F1", EN)


async def test_what_cannot_be_used_is_left_out_and_the_others_speak(
    local: LocalSpeech, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "voices"
    write_piper(folder / "good")
    write_piper(folder / "german", "de_DE-stand-medium", espeak_voice="de")
    (write_piper(folder / "cut", "en_US-cut-medium")).write_bytes(b"cut short")
    (folder / "half").mkdir()
    (folder / "half" / "en_US-half-medium.onnx").write_bytes(b"no configuration yet")
    await local.prepare()
    assert [voice.id for voice in local.voices()] == ["en_US-stand-medium"]
    assert "speaks 'de'" in caplog.text
    assert "en_US-cut-medium cannot be used" in caplog.text
    assert len(local.pids) == 1


async def test_closing_ends_every_process(local: LocalSpeech, tmp_path: Path) -> None:
    write_piper(tmp_path / "voices")
    await local.prepare()
    assert local.pids
    await local.close()
    assert local.pids == []


def test_a_folder_that_is_not_there_holds_no_voices(tmp_path: Path) -> None:
    assert find_models(tmp_path / "none") == []
