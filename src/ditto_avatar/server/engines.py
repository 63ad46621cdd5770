"""Open the engines of a server, and choose among them for each turn."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

from ditto_avatar.assembly import (
    local_voices,
    open_budgets,
    open_dialogue,
    open_drawing,
    open_speech,
    open_transcriber,
)
from ditto_avatar.cores import usable_cores
from ditto_avatar.dialogue.fallback import FallbackDialogue
from ditto_avatar.face.avatar import Avatar
from ditto_avatar.face.base import FaceEngine
from ditto_avatar.metrics import Metrics
from ditto_avatar.pipeline.request import Engines
from ditto_avatar.settings import Settings
from ditto_avatar.speech.fallback import FallbackSpeech
from ditto_avatar.speech.listening import Transcriber
from ditto_avatar.speech.neural.local import LocalSpeech
from ditto_avatar.types import Fallback

log = logging.getLogger(__name__)

# The puppet draws and encodes some ten times faster than it is played.
_PER_CORE = 2


@dataclass(frozen=True, slots=True)
class ServerEngines:
    """The engines of a server. Without a `transcriber` the browsers understand microphones."""

    dialogue: FallbackDialogue
    speech: FallbackSpeech
    face: FaceEngine
    transcriber: Transcriber | None
    metrics: Metrics
    local: LocalSpeech | None = None
    """The voices of this machine, within `speech`."""

    def choose(self, avatar: Avatar, on_fallback: Callable[[Fallback], object]) -> Engines:
        """Return the engines of one turn of `avatar`. A failure is counted, logged, and handed to
        `on_fallback`."""

        def failed(fallback: Fallback) -> None:
            self.metrics.fallbacks.labels(fallback.part, fallback.failed).inc()
            # A budget that is used up has its own line, once a day.
            log.log(
                logging.DEBUG if fallback.used_up else logging.WARNING,
                "%s: %s failed, %s takes over: %s",
                fallback.part,
                fallback.failed,
                fallback.used or "nothing",
                fallback.reason,
            )
            on_fallback(fallback)

        return Engines(self.dialogue.telling(failed), self.speech.telling(failed, avatar.voices))

    def named(self) -> list[tuple[str, object]]:
        """List every engine that a viewer may wait for, with its part."""
        engines: list[tuple[str, object]] = [("dialogue", each) for each in self.dialogue.engines]
        engines += [("speech", each) for each in self.speech.engines]
        if self.transcriber is not None:
            engines.append(("transcription", self.transcriber))
        return engines


async def open_engines(
    settings: Settings, metrics: Metrics, stack: AsyncExitStack
) -> ServerEngines:
    """Open the engines that the settings name; `stack` closes them, and the budgets behind them.
    Raises `Unavailable` and `InvalidInput`."""
    budgets = open_budgets(settings, metrics)
    stack.push_async_callback(budgets.close)
    await budgets.open()
    dialogue = open_dialogue(settings, budgets.of)
    speech = open_speech(settings, metrics, budgets.of)
    face = await open_drawing(settings, metrics)
    transcriber = open_transcriber(settings, budgets.of, metrics)
    for engine in (dialogue, speech, face, transcriber):
        if engine is not None:
            stack.push_async_callback(engine.close)
    return ServerEngines(dialogue, speech, face, transcriber, metrics, local_voices(speech))


def places_for(settings: Settings, face: FaceEngine) -> int:
    """Return how many turns may speak at once: as the settings say, but no more than the engine
    holds."""
    if settings.workers and settings.max_speaking is not None:
        return settings.max_speaking  # workers come and go; they know what they hold
    if face.max_streams is not None:
        return min(settings.max_speaking or face.max_streams, face.max_streams)
    if settings.max_speaking is not None:
        return settings.max_speaking
    return _PER_CORE * usable_cores()
