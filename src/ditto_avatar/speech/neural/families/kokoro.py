"""Kokoro: a StyleTTS network that takes phonemes of misaki's alphabet and a style of each voice."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

import numpy as np

from ditto_avatar.errors import InvalidCheckpoint, InvalidInput
from ditto_avatar.models.files import contains
from ditto_avatar.speech.neural.families.base import Run, VoiceFacts
from ditto_avatar.speech.neural.graph import INT64
from ditto_avatar.speech.neural.networks import Network
from ditto_avatar.speech.neural.phonemes import Clause, Speller, takes
from ditto_avatar.speech.neural.sound import Span, Take, spans
from ditto_avatar.types import FloatArray, Language, Voice

FAMILY = "kokoro"
MODEL = "kokoro-v1.0.int8.onnx"
STYLES = "voices-v1.0.bin"
DURATIONS = "/encoder/Gather_output_0"
_RATE_HZ = 24_000
# The durations are late by this much: fitted to where lips close in 16 sentences.
_SHIFT_S = -0.07
_STYLE_SIZE = 256
_BOUNDARY, _SPACE = 0, " "
# How espeak-ng writes a sound, and how the network's alphabet does; longer ones first.
_ALPHABET = (
    ("eɪ", "A"), ("aɪ", "I"), ("oʊ", "O"), ("əʊ", "Q"), ("aʊ", "W"), ("ɔɪ", "Y"), ("dʒ", "ʤ"),
    ("tʃ", "ʧ"), ("ɜːɹ", "ɜɹ"), ("ɜː", "ɜɹ"), ("ɚ", "əɹ"), ("ɐ", "ə"), ("əl", "ᵊl"), ("r", "ɹ"),
    ("ɬ", "l"), ("x", "k"), ("g", "ɡ"), ("ː", ""),
)  # fmt: skip
# The first letter of a voice's name; of its languages the page speaks English.
_READERS = {"a": "en-us", "b": "en-gb"}
_ACCENTS = {"a": "US", "b": "UK"}
_GENDERS = {"f": "female", "m": "male"}
# The voices that others rank highest come first; the rest follow by name.
_BEST = ("af_heart", "af_bella", "bf_emma", "am_michael", "am_fenrir", "bm_george")


@dataclass(frozen=True, slots=True)
class KokoroVoice:
    """The network, and the styles of its voices by name: float32 (510, 256), a row for each
    number of symbols."""

    path: Path
    styles: Mapping[str, FloatArray]
    knows_times: bool
    files: Sequence[Path]
    name: str = FAMILY
    family: str = FAMILY
    rate_hz: int = _RATE_HZ

    @property
    def networks(self) -> Mapping[str, Network]:
        return {"voice": Network(self.path, ((DURATIONS, INT64),) if self.knows_times else ())}

    @property
    def voices(self) -> Sequence[VoiceFacts]:
        return tuple(
            VoiceFacts(Voice(f"{FAMILY}/{name}", Language.ENGLISH, FAMILY, _label(name)),
                       _GENDERS.get(name[1], ""))
            for name in self.styles
        )  # fmt: skip

    async def takes(
        self, run: Run, speller: Speller, sentence: str, voice: Voice, tempo: float
    ) -> AsyncGenerator[Take, None]:
        name = voice.id.removeprefix(f"{FAMILY}/")
        styles = self.styles.get(name)
        if styles is None:
            raise InvalidInput(f"Kokoro has no voice '{name}'.")
        async for take in takes(speller, sentence, voice, _READERS[name[0]]):
            ids, symbols, first, last = encoded(take)
            style = styles[min(len(ids) - 2, len(styles)) - 1]
            inputs = {
                "tokens": np.array([ids], np.int64),
                "style": style.reshape(1, _STYLE_SIZE),
                "speed": np.array([tempo], np.float32),
            }
            result = await run("voice", inputs)
            arrays = dict(result.arrays)
            durations = arrays.pop(DURATIONS, None)
            sound = np.asarray(next(iter(arrays.values())), np.float32).reshape(-1)
            found: tuple[Span, ...] = ()
            if durations is not None and durations.size == len(ids):
                found = spans(
                    symbols, first, last, durations.reshape(-1).astype(np.float64),
                    samples=len(sound), rate_hz=_RATE_HZ, padded=False, shift_s=_SHIFT_S,
                )  # fmt: skip
            yield Take(sound, found, take[-1].sign, result.cpu_s)


def open_kokoro(folder: Path) -> KokoroVoice:
    """Open the network in `folder`, with the styles beside it or else those of this package.
    Blocks. Raises `InvalidCheckpoint` for files that are not what they should be."""
    path, own = folder / MODEL, folder / STYLES
    if own.is_file():
        styles, files = _styles_in(own), [path, own]
    else:
        styles, files = _bundled(), [path]
    known = [name for name in styles if name[:1] in _READERS and name[1:2] in _GENDERS]
    order = sorted(known, key=lambda name: (_BEST.index(name) if name in _BEST else 99, name))
    if not order:
        raise InvalidCheckpoint(f"{own} holds no English voice.")
    return KokoroVoice(
        path, {name: styles[name] for name in order}, contains(path, DURATIONS.encode()), files
    )


def _styles_in(path: Path) -> dict[str, FloatArray]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {
                name: np.asarray(archive[name], np.float32).reshape(-1, _STYLE_SIZE)
                for name in archive.files
            }
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise InvalidCheckpoint(f"{path} holds no styles of voices.") from error


def _bundled() -> dict[str, FloatArray]:
    """The styles that come with this package, in half precision."""
    made = {}
    for entry in resources.files(__package__).joinpath("styles").iterdir():
        name, dot, kind = entry.name.partition(".")
        if dot and kind == "f16":
            half = np.frombuffer(entry.read_bytes(), "<f2")
            made[name] = half.astype(np.float32).reshape(-1, _STYLE_SIZE)
    return made


def _label(name: str) -> str:
    gender, person = _GENDERS[name[1]], name[3:].capitalize()
    return f"{person}, English ({_ACCENTS[name[0]]}), {gender}"


@cache
def _vocabulary() -> Mapping[str, int]:
    text = resources.files(__package__).joinpath("kokoro_symbols.json").read_text("utf-8")
    symbols: dict[str, int] = json.loads(text)
    return symbols


def encoded(
    take: Sequence[Clause],
) -> tuple[list[int], list[str], list[int], list[int]]:
    """Write clauses as ids; also the phonemes, and the first and last id of each. Signs that the
    network does not know are left out."""
    known = _vocabulary()
    ids, symbols, first, last = [_BOUNDARY], [], [], []
    begun = False
    for clause in take:
        for word in clause.words:
            if begun:
                ids.append(known[_SPACE])
            begun = True
            for phoneme in word:
                written = [known[sign] for sign in _in_alphabet(phoneme) if sign in known]
                if written:
                    symbols.append(phoneme)
                    first.append(len(ids))
                    ids += written
                    last.append(len(ids) - 1)
        if clause.sign in known:
            ids.append(known[clause.sign])
    return [*ids, _BOUNDARY], symbols, first, last


def _in_alphabet(phoneme: str) -> str:
    for theirs, ours in _ALPHABET:
        phoneme = phoneme.replace(theirs, ours)
    return phoneme
