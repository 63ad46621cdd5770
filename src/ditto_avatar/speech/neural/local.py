"""All voices of this machine as one `SpeechEngine`: those that are quick enough speak."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from ditto_avatar.errors import DittoAvatarError, Unavailable
from ditto_avatar.models.files import file_key
from ditto_avatar.speech.aligned import AlignedSpeech
from ditto_avatar.speech.base import SpeechEngine
from ditto_avatar.speech.espeak import EspeakEngine
from ditto_avatar.speech.neural.engine import ModelSpeech, SelfTest
from ditto_avatar.speech.neural.families.base import VoiceFacts, VoiceModel
from ditto_avatar.speech.neural.installed import find_models
from ditto_avatar.types import Emotion, SpeechChunk, Voice

log = logging.getLogger(__name__)

NAME = "local"
# A second of sound may take this much of a core: drawing and other sentences need the rest.
QUICK = 0.35
_GENDERS = ("female", "male")


@dataclass(frozen=True, slots=True)
class _Tried:
    """A model after its self-test: `engine` gives phonemes, its own ones or aligned ones."""

    model: ModelSpeech
    engine: SpeechEngine
    test: SelfTest


class LocalSpeech:
    """Speaks with the models of `folder`. `prepare` looks for them and tries each; before that, and
    where nothing is installed or quick enough, there is no voice.

    `espeak` spells for them and stays the caller's. A voice that needs more than `slowest` seconds
    of a core for a second of sound does not speak.
    `on_child_lost` is called for every child that failed, with the reason in a word. Belongs to
    the event loop in which it is first used.
    """

    name = NAME

    def __init__(
        self,
        folder: Path,
        espeak: EspeakEngine,
        *,
        slowest: float = QUICK,
        on_child_lost: Callable[[str], object] | None = None,
    ) -> None:
        self._folder = folder
        self._espeak = espeak
        self._slowest = slowest
        self._on_child_lost = on_child_lost
        self._tried: dict[str, _Tried] = {}
        self._slow: dict[str, SelfTest] = {}
        self._preparing: asyncio.Lock = asyncio.Lock()
        self._closed = False

    @property
    def fingerprint(self) -> str:
        """Of all models that speak: one more may say what another one said."""
        models = ", ".join(tried.engine.fingerprint for tried in self._tried.values())
        return f"{NAME} {models}"

    @property
    def slow(self) -> Sequence[str]:
        """Names of the models that are installed and too slow for this machine."""
        return list(self._slow)

    @property
    def pids(self) -> list[int]:
        """The process ids of the children that run now."""
        return [pid for tried in self._tried.values() for pid in tried.model.pids]

    def voices(self) -> Sequence[Voice]:
        return [
            Voice(facts.voice.id, facts.voice.language, NAME, facts.voice.label)
            for facts in self._facts()
        ]

    async def prepare(self) -> None:
        """Look for models that were not there before, try each, and use those that are quick
        enough. One that fails costs a line in the log. Cancelling is safe: what was tried stays."""
        if find_spec("onnxruntime") is None:
            return
        async with self._preparing:
            for model in await asyncio.to_thread(find_models, self._folder):
                if model.name not in self._tried and model.name not in self._slow:
                    await self._try(model)

    async def speak(
        self, sentence: str, voice: Voice, emotion: Emotion = Emotion.NEUTRAL
    ) -> AsyncGenerator[SpeechChunk, None]:
        """Say `sentence` with `voice`; ``female`` and ``male`` name the first one of that kind, and
        an id that is not there the first one of the language. Raises `Unavailable` without any,
        and what `ModelSpeech.speak` raises; is cancelled like that."""
        facts = self._chosen(voice)
        tried = next(t for t in self._tried.values() if facts in t.model.model.voices)
        async with aclosing(tried.engine.speak(sentence, facts.voice, emotion)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def check(self) -> str:
        """Try what is installed; a sentence about it for `doctor`."""
        if self._preparing.locked():
            return "the voices of this machine are being tried"
        await self.prepare()
        if find_spec("onnxruntime") is None:
            return "no voice of this machine: install onnxruntime with pip install -e '.[voices]'"
        told = [
            f"{name} speaks; a second of sound takes {tried.test.real_time_factor:.2f} s"
            for name, tried in self._tried.items()
        ] + [
            f"{name} is too slow here; a second of sound takes {test.real_time_factor:.2f} s"
            for name, test in self._slow.items()
        ]
        return "; ".join(told) or "no voice is installed: ditto-avatar voices"

    async def close(self) -> None:
        """End all children. Cancelling is safe; closing again waits for the rest."""
        self._closed = True
        for tried in self._tried.values():
            await tried.model.close()

    async def _try(self, model: VoiceModel) -> None:
        key = await asyncio.to_thread(file_key, model.files)
        speech = ModelSpeech(model, key, self._espeak, on_child_lost=self._on_child_lost)
        keep = False
        try:
            test = await speech.measure()
            keep = test.real_time_factor <= self._slowest and not self._closed
            if keep:
                engine: SpeechEngine = speech
                if not model.knows_times:
                    engine = AlignedSpeech(speech, self._espeak)
                self._tried[model.name] = _Tried(speech, engine, test)
            else:
                self._slow[model.name] = test
            log.info(
                "the voice %s takes %.2f s for a second of sound%s",
                model.name,
                test.real_time_factor,
                "" if keep else ": too slow here, it is not used",
            )
        except DittoAvatarError as error:
            log.warning("the voice %s cannot be used: %s", model.name, error)
        finally:
            if not keep:
                await speech.close()

    def _facts(self) -> list[VoiceFacts]:
        return [facts for tried in self._tried.values() for facts in tried.model.model.voices]

    def _chosen(self, voice: Voice) -> VoiceFacts:
        offered = [facts for facts in self._facts() if facts.voice.language is voice.language]
        if not offered:
            raise Unavailable(f"No voice of this machine speaks '{voice.language}'.")
        wanted = [
            facts
            for facts in offered
            if voice.id in (facts.voice.id, facts.gender if voice.id in _GENDERS else None)
        ]
        return (wanted or offered)[0]
