"""Piper's voices: VITS networks that take phonemes with an empty id between any two."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ditto_avatar.errors import InvalidCheckpoint
from ditto_avatar.models.files import contains
from ditto_avatar.speech.neural.families.base import Run, VoiceFacts
from ditto_avatar.speech.neural.graph import FLOAT, cut, mapped
from ditto_avatar.speech.neural.networks import Cut, Network
from ditto_avatar.speech.neural.phonemes import Clause, Speller, takes
from ditto_avatar.speech.neural.protocol import Array
from ditto_avatar.speech.neural.sound import Span, Take, spans
from ditto_avatar.types import Language, Voice

FAMILY = "piper"
DURATIONS = "/Ceil_output_0"
"""The inner value that holds the frames of every id, in the networks that Piper's exporter wrote.
"""
FRAMES = "/Mul_7_output_0"
"""The inner value (1, channels, frames) that the sound is made of, in the same networks with one
speaker."""
_PAD, _BEGIN, _END, _SPACE = "_", "^", "$", " "
# Sound is made in pieces, so that neither the first sound nor the memory depends on the length of
# a sentence. A frame of 256 samples depends on the 12 on either side.
_FIRST_FRAMES, _FURTHER_FRAMES, _CONTEXT = 64, 128, 16
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
    in_pieces: bool = False
    """The second half of the network can be run piece by piece."""
    family: str = FAMILY

    @property
    def files(self) -> Sequence[Path]:
        return (self.path, self.path.with_name(f"{self.path.name}.json"))

    @property
    def networks(self) -> Mapping[str, Network]:
        outputs = ((DURATIONS, FLOAT),) if self.knows_times else ()
        if not self.in_pieces:
            return {"voice": Network(self.path, outputs)}
        return {
            "text": Network(self.path, outputs, Cut(FRAMES, FLOAT, "before")),
            "sound": Network(self.path, (), Cut(FRAMES, FLOAT, "after")),
        }

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
            if self.in_pieces:
                async for piece in self._pieces(run, inputs, spelt, take[-1].sign):
                    yield piece
                continue
            result = await run("voice", inputs)
            sound = np.asarray(result.arrays["output"], np.float32).reshape(-1)
            found = self._spans(spelt, result.arrays, len(sound))
            yield Take(sound, found, take[-1].sign, result.cpu_s)

    async def _pieces(
        self, run: Run, inputs: Mapping[str, Array], spelt: _Spelt, sign: str
    ) -> AsyncGenerator[Take, None]:
        """Make the sound of a take piece by piece."""
        result = await run("text", inputs)
        frames, cpu_s = result.arrays[FRAMES], result.cpu_s
        count = frames.shape[-1]
        found: tuple[Span, ...] | None = None
        for start, end in _pieces_of(count):
            low, high = max(0, start - _CONTEXT), min(count, end + _CONTEXT)
            made = await run("sound", {FRAMES: frames[..., low:high]})
            sound = np.asarray(next(iter(made.arrays.values())), np.float32).reshape(-1)
            hop = len(sound) // (high - low)
            if found is None:
                found = self._spans(spelt, result.arrays, count * hop)
            inside, next_s = _between(found, start * hop / self.rate_hz, end * hop / self.rate_hz)
            piece = sound[(start - low) * hop : (end - low) * hop]
            yield Take(
                piece, inside, sign, cpu_s + made.cpu_s, start == 0, end == count, next_s
            )  # fmt: skip
            cpu_s = 0.0

    def _spans(self, spelt: _Spelt, arrays: Mapping[str, Array], samples: int) -> tuple[Span, ...]:
        durations = arrays.get(DURATIONS)
        if durations is None or durations.size != len(spelt.ids):
            return ()
        return spans(
            spelt.symbols,
            spelt.first,
            spelt.last,
            durations.reshape(-1).astype(np.float64),
            samples=samples,
            rate_hz=self.rate_hz,
            padded=True,
            shift_s=_SHIFT_S,
        )


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
        contains(path, DURATIONS.encode()), speakers == 1 and _can_be_cut(path),
    )  # fmt: skip


def _can_be_cut(path: Path) -> bool:
    try:
        cut(mapped(path), FRAMES, FLOAT)
    except ValueError:
        return False
    return True


def _pieces_of(count: int) -> Iterator[tuple[int, int]]:
    """Divide `count` frames; what is left at the end is not shorter than the first piece."""
    start, size = 0, _FIRST_FRAMES
    while start < count:
        end = start + size if count - start - size >= _FIRST_FRAMES else count
        yield start, end
        start, size = end, _FURTHER_FRAMES


def _between(
    found: Sequence[Span], start_s: float, end_s: float
) -> tuple[tuple[Span, ...], float | None]:
    """Which phonemes begin in a piece, and when the next one does, counted from its start."""
    inside = [
        Span(span.symbol, span.start_s - start_s, span.end_s - start_s)
        for span in found
        if start_s <= span.start_s < end_s
    ]
    later = (span.start_s - start_s for span in found if span.start_s >= end_s)
    return tuple(inside), next(later, None)


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
