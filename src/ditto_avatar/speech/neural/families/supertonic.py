"""Supertonic: four networks from characters to sound; it knows no phonemes."""

from __future__ import annotations

import json
import math
import unicodedata
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ditto_avatar.errors import InvalidCheckpoint, InvalidInput, SentenceFailed
from ditto_avatar.speech.neural.families.base import Run, VoiceFacts
from ditto_avatar.speech.neural.networks import Network
from ditto_avatar.speech.neural.phonemes import Speller, text_takes
from ditto_avatar.speech.neural.sound import Take
from ditto_avatar.types import FloatArray, Language, Voice

FAMILY = "supertonic"
NETWORKS = ("duration_predictor", "text_encoder", "vector_estimator", "vocoder")
SETTINGS = "onnx/tts.json"
CHARACTERS = "onnx/unicode_indexer.json"
# The released program takes 5 to 8; more is slower and hardly better.
_STEPS = 5
# At 1.0 it speaks slowly; the released program takes this.
_TEMPO = 1.05
_FIRST_CHARACTERS, _FURTHER_CHARACTERS = 12, 80
_LONGEST_S = 60.0
_GENDERS = {"F": "female", "M": "male"}
_LABELS = {
    (Language.ENGLISH, "F"): "English, female",
    (Language.ENGLISH, "M"): "English, male",
    (Language.KOREAN, "F"): "한국어, 여성",
    (Language.KOREAN, "M"): "한국어, 남성",
}
_SAME = str.maketrans({"–": "-", "—": "-", "‑": "-", "“": '"', "”": '"', "‘": "'", "’": "'",
                       "…": "."})  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Style:
    """A voice: what the text encoder and the duration predictor take of it."""

    speech: FloatArray
    durations: FloatArray


@dataclass(frozen=True, slots=True)
class SupertonicVoice:
    """The networks in a folder, with the styles of their voices."""

    folder: Path
    rate_hz: int
    latent_samples: int
    """Samples that a column of the latent stands for."""
    latent_size: int
    characters: Sequence[int]
    """The id of each character by its number; -1 for those that are not known."""
    styles: Mapping[str, _Style]
    name: str = FAMILY
    family: str = FAMILY
    knows_times: bool = False

    @property
    def files(self) -> Sequence[Path]:
        return [*(network.path for network in self.networks.values()), self.folder / CHARACTERS]

    @property
    def networks(self) -> Mapping[str, Network]:
        return {name: Network(self.folder / "onnx" / f"{name}.onnx") for name in NETWORKS}

    @property
    def voices(self) -> Sequence[VoiceFacts]:
        return tuple(
            VoiceFacts(
                Voice(f"{FAMILY}/{name}", language, FAMILY,
                      f"{name}, {_LABELS[language, name[0]]}"),
                _GENDERS[name[0]],
            )
            for language in (Language.KOREAN, Language.ENGLISH)
            for name in self.styles
        )  # fmt: skip

    async def takes(
        self, run: Run, speller: Speller, sentence: str, voice: Voice, tempo: float
    ) -> AsyncGenerator[Take, None]:
        style = self.styles.get(voice.id.removeprefix(f"{FAMILY}/"))
        if style is None:
            raise InvalidInput(f"Supertonic has no voice '{voice.id}'.")
        texts = text_takes(sentence, voice.language, _FIRST_CHARACTERS, _FURTHER_CHARACTERS)
        for text in texts:
            yield await self._take(run, text, voice.language, style, tempo * _TEMPO)

    async def _take(
        self, run: Run, text: str, language: Language, style: _Style, tempo: float
    ) -> Take:
        ids = self._encoded(text, language)
        mask = np.ones((1, 1, ids.shape[1]), np.float32)
        spelt = {"text_ids": ids, "text_mask": mask}
        asked = await run("duration_predictor", {**spelt, "style_dp": style.durations})
        seconds = float(_only(asked.arrays).reshape(-1)[0]) / tempo
        if not 0 < seconds < _LONGEST_S:
            raise SentenceFailed("Supertonic found no length for the sentence.")
        encoded = await run("text_encoder", {**spelt, "style_ttl": style.speech})
        cpu_s = asked.cpu_s + encoded.cpu_s
        samples = int(seconds * self.rate_hz)
        columns = math.ceil(samples / self.latent_samples)
        # The same sentence sounds the same.
        noise = np.random.default_rng(len(text)).standard_normal((1, self.latent_size, columns))
        latent = noise.astype(np.float32)
        for step in range(_STEPS):
            moved = await run(
                "vector_estimator",
                {
                    "noisy_latent": latent,
                    "text_emb": _only(encoded.arrays),
                    "style_ttl": style.speech,
                    "text_mask": mask,
                    "latent_mask": np.ones((1, 1, columns), np.float32),
                    "current_step": np.array([step], np.float32),
                    "total_step": np.array([_STEPS], np.float32),
                },
            )
            latent = np.asarray(_only(moved.arrays), np.float32)
            cpu_s += moved.cpu_s
        made = await run("vocoder", {"latent": latent})
        sound = np.asarray(_only(made.arrays), np.float32).reshape(-1)[:samples]
        return Take(sound, (), text[-1] if not text[-1].isalnum() else "", cpu_s + made.cpu_s)

    def _encoded(self, text: str, language: Language) -> np.ndarray[Any, np.dtype[np.int64]]:
        text = unicodedata.normalize("NFKD", text.translate(_SAME)).strip()
        if text[-1:].isalnum():
            text += "."
        tagged = f"<{language.value}>{text}</{language.value}>"
        known = [self.characters[ord(sign)] for sign in tagged if ord(sign) < len(self.characters)]
        return np.array([[one for one in known if one >= 0]], np.int64)


def open_supertonic(folder: Path) -> SupertonicVoice:
    """Open the networks in `folder`. Blocks. Raises `InvalidCheckpoint` for files that are not what
    they should be."""
    try:
        settings = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
        characters = [int(one) for one in json.loads((folder / CHARACTERS).read_text("utf-8"))]
        squeezed = int(settings["ttl"]["chunk_compress_factor"])
        styles = {
            path.stem: _style(json.loads(path.read_text(encoding="utf-8")))
            for path in sorted((folder / "voice_styles").glob("[FM]*.json"))
        }
        if not styles:
            raise InvalidCheckpoint(f"{folder / 'voice_styles'} holds no voice.")
        return SupertonicVoice(
            folder,
            int(settings["ae"]["sample_rate"]),
            int(settings["ae"]["base_chunk_size"]) * squeezed,
            int(settings["ttl"]["latent_dim"]) * squeezed,
            characters,
            styles,
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidCheckpoint(f"{folder} holds no voice of Supertonic's.") from error


def _style(stored: dict[str, Any]) -> _Style:
    def array(entry: dict[str, Any]) -> FloatArray:
        _, rows, columns = entry["dims"]
        return np.array(entry["data"], np.float32).reshape(1, int(rows), int(columns))

    return _Style(array(stored["style_ttl"]), array(stored["style_dp"]))


def _only(arrays: Mapping[str, Any]) -> Any:
    """The first output of a network: it has one."""
    return next(iter(arrays.values()))
