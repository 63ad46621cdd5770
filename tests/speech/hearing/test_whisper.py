"""The microphone is understood by a model of this machine, in a process that may fail."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from ditto_avatar.assembly import open_transcriber
from ditto_avatar.errors import InvalidAudio, InvalidCheckpoint, SentenceFailed, Unavailable
from ditto_avatar.models.catalogue import RECEIPT, find_entry
from ditto_avatar.settings import Settings
from ditto_avatar.speech.hearing import child
from ditto_avatar.speech.hearing.whisper import PROGRAM, WhisperTranscriber
from ditto_avatar.speech.neural.process import Deadlines
from ditto_avatar.types import Int16Array, Language

# The real program with a stand-in for the library: it writes down the language and the length,
# dies of a second of full scale, and goes on for ever about two of them.
_STAND_IN = f"""
import importlib.util, os, sys
place = importlib.util.spec_from_file_location("real", {str(PROGRAM)!r})
real = importlib.util.module_from_spec(place)
place.loader.exec_module(real)

class Part:
    def __init__(self, text):
        self.text = text

class Model:
    def transcribe(self, samples, language, **options):
        if samples.min() > 0.99:
            if len(samples) == 16000:
                os.abort()
            while True:
                pass
        seconds = len(samples) / 16000
        return [Part(f" {{language}} {{seconds:g}} s,"), Part(f"{{samples.max():.2f}} ")], None

def open_model(order):
    if "damaged" in order["folder"]:
        raise RuntimeError("File model.bin is incomplete")
    return Model()

real.open_model = open_model
real.main()
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "child.py"
    path.write_text(_STAND_IN, encoding="utf-8")
    return path


@pytest.fixture
async def whisper(program: Path, tmp_path: Path) -> AsyncIterator[WhisperTranscriber]:
    transcriber = WhisperTranscriber(tmp_path / "whisper-base", program=program)
    yield transcriber
    await transcriber.close()


def sound(seconds: float, level: float = 0.5) -> Int16Array:
    return np.full(int(16_000 * seconds), int(level * 32767), np.int16)


async def test_words_come_with_the_language_of_the_page(whisper: WhisperTranscriber) -> None:
    assert await whisper.transcribe(sound(1.5), Language.KOREAN) == "ko 1.5 s, 0.50"
    assert await whisper.transcribe(sound(0.5, 0.25), Language.ENGLISH) == "en 0.5 s, 0.25"


async def test_a_process_that_dies_of_a_sound_is_replaced(program: Path, tmp_path: Path) -> None:
    lost: list[str] = []
    whisper = WhisperTranscriber(tmp_path / "m", program=program, on_child_lost=lost.append)
    with pytest.raises(SentenceFailed, match="failed twice: died"):
        await whisper.transcribe(sound(1, 1.0), Language.ENGLISH)
    assert await whisper.transcribe(sound(1), Language.ENGLISH) == "en 1 s, 0.50"
    assert lost == ["died", "died"]
    os.kill(whisper.pids[0], signal.SIGKILL)
    assert await whisper.transcribe(sound(1), Language.ENGLISH) == "en 1 s, 0.50"
    await whisper.close()
    assert whisper.pids == []


async def test_one_that_hangs_is_given_up(program: Path, tmp_path: Path) -> None:
    deadlines = Deadlines(run_s=0.3)
    whisper = WhisperTranscriber(tmp_path / "m", program=program, deadlines=deadlines)
    with pytest.raises(SentenceFailed, match="failed twice: hung"):
        await whisper.transcribe(sound(2, 1.0), Language.ENGLISH)
    await whisper.close()


async def test_cancelling_leaves_the_next_words_to_be_understood(
    whisper: WhisperTranscriber,
) -> None:
    task = asyncio.create_task(whisper.transcribe(sound(1), Language.ENGLISH))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await whisper.transcribe(sound(1), Language.KOREAN) == "ko 1 s, 0.50"


async def test_a_click_is_no_speech(whisper: WhisperTranscriber) -> None:
    with pytest.raises(InvalidAudio, match="100 ms"):
        await whisper.transcribe(sound(0.05), Language.ENGLISH)
    assert whisper.pids == []


async def test_a_damaged_model_is_told(program: Path, tmp_path: Path) -> None:
    whisper = WhisperTranscriber(tmp_path / "damaged", program=program)
    with pytest.raises(InvalidCheckpoint, match=r"model\.bin is incomplete"):
        await whisper.check()
    await whisper.close()
    with pytest.raises(Unavailable):
        await whisper.transcribe(sound(1), Language.ENGLISH)


async def test_it_is_used_once_it_is_there_and_no_service_has_a_key(tmp_path: Path) -> None:
    pytest.importorskip("faster_whisper")
    settings = Settings(data_dir=tmp_path, openai_api_key=None)
    assert open_transcriber(settings) is None
    folder = find_entry("whisper-base").folder(tmp_path)
    folder.mkdir(parents=True)
    (folder / RECEIPT).write_text("{}")
    opened = open_transcriber(settings)
    assert isinstance(opened, WhisperTranscriber)
    await opened.close()


def test_the_program_names_the_settings_that_it_gives_the_library() -> None:
    asked: dict[str, object] = {}

    class Model:
        def transcribe(self, samples: object, **options: object) -> tuple[list[object], None]:
            asked.update(options)
            return [], None

    found = child.transcribe(Model(), {"language": "ko"}, {"samples": np.zeros(1, np.float32)})
    assert found == {"text": ""}
    assert asked["language"] == "ko"
    assert asked["vad_filter"] is False
