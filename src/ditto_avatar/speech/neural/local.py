"""All voices of this machine as one `SpeechEngine`: those that are quick enough speak."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
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
# What else runs on a machine makes a second of work last longer: 0.25 s became 0.6 s beside two
# other programs. Beyond this many times the limit, a quiet machine is too slow as well.
_BUSY = 3.0
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
    of a core for a second of sound does not speak; `measure` finds out what it needs.
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
        measure: Callable[[ModelSpeech], Awaitable[SelfTest]] = ModelSpeech.measure,
        on_child_lost: Callable[[str], object] | None = None,
    ) -> None:
        self._folder = folder
        self._espeak = espeak
        self._slowest = slowest
        self._measure = measure
        self._on_child_lost = on_child_lost
        self._tried: dict[str, _Tried] = {}
        self._slow: dict[str, SelfTest] = {}
        self.doubtful = asyncio.Event()
        """Set while a voice is left out that may be quick enough on a quieter machine."""
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
        """Look for models that were not there before, try each, the smallest first, and use those
        that are quick enough, each as soon as it was tried. One that fails costs a line in the
        log. Cancelling is safe: what was tried stays."""
        await self._try_those(lambda name: name not in self._tried and name not in self._slow)

    async def try_again(self) -> None:
        """Try those again that `doubtful` is about. Cancelling is safe: the verdicts of those that
        were not tried stay."""
        await self._try_those(lambda name: name in self._slow and self._may_be_quick(name))

    async def _try_those(self, wanted: Callable[[str], bool]) -> None:
        if find_spec("onnxruntime") is None:
            return
        async with self._preparing:
            models = await asyncio.to_thread(find_models, self._folder)
            ranks = {model.name: rank for rank, model in enumerate(models)}
            chosen = [model for model in models if wanted(model.name)]
            sizes = await asyncio.to_thread(lambda: {model.name: _size(model) for model in chosen})
            # A quick voice need not wait until a slow one has shown how slow it is.
            for model in sorted(chosen, key=lambda model: sizes[model.name]):
                await self._try(model)
                # The best one of a language stands first, whichever was tried first.
                order = sorted(self._tried, key=lambda name: ranks.get(name, len(ranks)))
                self._tried = {name: self._tried[name] for name in order}

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
            test = await self._measure(speech)
            keep = test.real_time_factor <= self._slowest and not self._closed
            self._judge(speech, test, keep=keep)
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

    def _judge(self, speech: ModelSpeech, test: SelfTest, *, keep: bool) -> None:
        """Note what a self-test found."""
        name = speech.model.name
        if keep:
            knows = speech.model.knows_times
            engine: SpeechEngine = speech if knows else AlignedSpeech(speech, self._espeak)
            self._tried[name] = _Tried(speech, engine, test)
            self._slow.pop(name, None)
        else:
            self._slow[name] = test
        if any(self._may_be_quick(name) for name in self._slow):
            self.doubtful.set()
        else:
            self.doubtful.clear()

    def _may_be_quick(self, name: str) -> bool:
        return self._slow[name].real_time_factor <= _BUSY * self._slowest

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


def _size(model: VoiceModel) -> int:
    return sum(path.stat().st_size for path in model.files)
