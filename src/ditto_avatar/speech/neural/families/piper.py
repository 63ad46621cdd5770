"""Piper's voices: VITS networks that take phonemes with an empty id between any two."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ditto_avatar.errors import InvalidCheckpoint
from ditto_avatar.models.files import contains
from ditto_avatar.speech.neural.families.base import Run, VoiceFacts
from ditto_avatar.speech.neural.graph import FLOAT
from ditto_avatar.speech.neural.networks import Network
from ditto_avatar.speech.neural.phonemes import Clause, Speller, takes
from ditto_avatar.speech.neural.protocol import Array
from ditto_avatar.speech.neural.sound import Span, Take, spans
from ditto_avatar.types import Language, Voice

FAMILY = "piper"
DURATIONS = "/Ceil_output_0"
"""The inner value that holds the frames of every id, in the networks that Piper's exporter wrote.
"""
_PAD, _BEGIN, _END, _SPACE = "_", "^", "$", " "
# The durations are late by this much: fitted to where lips close in 16 sentences.
_SHIFT_S = -0.03


@dataclass(frozen=True, slots=True)
class PiperVoice:
    """One voice file with its configuration."""

    name: str
    path: Path
    rate_hz: int
    language: Language
    espeak_voice: str
    ids: Mapping[str, Sequence[int]]
    scales: tuple[float, float, float]
    """Noise, length and noise of the durations."""
    speakers: int
    gender: str
    knows_times: bool
    family: str = FAMILY

    @property
    def files(self) -> Sequence[Path]:
        return (self.path, self.path.with_name(f"{self.path.name}.json"))

    @property
    def networks(self) -> Mapping[str, Network]:
        return {"voice": Network(self.path, ((DURATIONS, FLOAT),) if self.knows_times else ())}

    @property
    def voices(self) -> Sequence[VoiceFacts]:
        return (VoiceFacts(Voice(self.name, self.language, FAMILY, self.name), self.gender),)

    async def takes(
        self, run: Run, speller: Speller, sentence: str, voice: Voice, tempo: float
    ) -> AsyncGenerator[Take, None]:
        async for take in takes(speller, sentence, voice, self.espeak_voice):
            spelt = _encoded(take, self.ids)
            noise, length, noise_w = self.scales
            inputs: dict[str, Array] = {
                "input": np.array([spelt.ids], np.int64),
                "input_lengths": np.array([len(spelt.ids)], np.int64),
                "scales": np.array([noise, length / tempo, noise_w], np.float32),
            }
            if self.speakers > 1:
                inputs["sid"] = np.array([0], np.int64)
            result = await run("voice", inputs)
            sound = np.asarray(result.arrays["output"], np.float32).reshape(-1)
            durations = result.arrays.get(DURATIONS)
            found: tuple[Span, ...] = ()
            if durations is not None and durations.size == len(spelt.ids):
                found = spans(
                    spelt.symbols,
                    spelt.first,
                    spelt.last,
                    durations.reshape(-1).astype(np.float64),
                    samples=len(sound),
                    rate_hz=self.rate_hz,
                    padded=True,
                    shift_s=_SHIFT_S,
                )
            yield Take(sound, found, take[-1].sign, result.cpu_s)


def open_piper(path: Path, gender: str = "") -> PiperVoice:
    """Read the configuration beside the voice file `path`. Blocks while the file is searched.
    Raises `InvalidCheckpoint` for one that cannot be used here."""
    try:
        config: dict[str, Any] = json.loads(
            path.with_name(f"{path.name}.json").read_text(encoding="utf-8")
        )
        inference = config.get("inference", {})
        espeak_voice = str(config["espeak"]["voice"])
        ids = {symbol: [int(i) for i in many] for symbol, many in config["phoneme_id_map"].items()}
        scales = (
            float(inference.get("noise_scale", 0.667)),
            float(inference.get("length_scale", 1.0)),
            float(inference.get("noise_w", 0.8)),
        )
        rate_hz, speakers = int(config["audio"]["sample_rate"]), int(config.get("num_speakers", 1))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidCheckpoint(f"{path.name}.json is not a voice's configuration.") from error
    kind = str(config.get("phoneme_type", "espeak"))
    if kind != "espeak":
        raise InvalidCheckpoint(f"{path.name} takes {kind}; expected are phonemes of espeak-ng.")
    if not 8_000 <= rate_hz <= 48_000 or not {_PAD, _BEGIN, _END} <= ids.keys():
        raise InvalidCheckpoint(f"{path.name}.json is not a voice's configuration.")
    language = _language(espeak_voice, path.name)
    return PiperVoice(
        path.stem, path, rate_hz, language, espeak_voice, ids, scales, speakers, gender,
        contains(path, DURATIONS.encode()),
    )  # fmt: skip


def _language(espeak_voice: str, name: str) -> Language:
    code = espeak_voice.partition("-")[0]
    try:
        return Language(code)
    except ValueError:
        raise InvalidCheckpoint(f"{name} speaks '{code}'; expected is English or Korean.") from None


@dataclass(slots=True)
class _Spelt:
    """Ids for the network, and which of them belong to each phoneme."""

    ids: list[int]
    symbols: list[str]
    first: list[int]
    last: list[int]


def _encoded(take: Sequence[Clause], ids: Mapping[str, Sequence[int]]) -> _Spelt:
    """Write clauses as ids. Signs that the voice does not know are left out."""
    pad = ids[_PAD]
    spelt = _Spelt([*ids[_BEGIN], *pad], [], [], [])

    def write(symbol: str) -> bool:
        known = [i for sign in unicodedata.normalize("NFD", symbol) for i in ids.get(sign, ())]
        for one in known:
            spelt.ids += [one, *pad]
        return bool(known)

    begun = False
    for clause in take:
        for word in clause.words:
            if begun:
                write(_SPACE)
            begun = True
            for phoneme in word:
                at = len(spelt.ids)
                if write(phoneme):
                    spelt.symbols.append(phoneme)
                    spelt.first.append(at)
                    spelt.last.append(len(spelt.ids) - 2)
        write(clause.sign)
    spelt.ids += ids[_END]
    return spelt
