"""A chain of speech engines: when one fails, the next one speaks."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing

from ditto_avatar.errors import (
    BudgetUsedUp,
    DittoAvatarError,
    ProviderFailed,
    SentenceFailed,
    Unavailable,
)
from ditto_avatar.providers.health import Health
from ditto_avatar.speech.base import SpeechEngine
from ditto_avatar.speech.voices import VoiceTable, voice_for
from ditto_avatar.types import Emotion, Fallback, Language, SpeechChunk, Voice


class FallbackSpeech:
    """Lets `engines` speak in order until one does; the last one should be embedded.

    A sentence that failed before its first sound is said by the next engine in its own voice
    (`table` is the avatar's choice of voices); one that broke off later ends there, and the next
    sentence goes to the next engine. Raises only when no engine is left. `on_fallback` hears of
    every failure once; an engine that failed is passed over for a while (`Health`). An engine
    that cannot say one sentence (`SentenceFailed`) has not failed: another one says the sentence,
    or it is left out.
    """

    def __init__(
        self,
        engines: Sequence[SpeechEngine],
        on_fallback: Callable[[Fallback], object] | None = None,
        *,
        table: VoiceTable | None = None,
        health: Health | None = None,
    ) -> None:
        if not engines:
            raise Unavailable("At least one speech engine was expected, none was given.")
        self._engines = tuple(engines)
        self._on_fallback = on_fallback
        self._table = table
        self._health = health or Health()

    @property
    def name(self) -> str:
        """The name of the engine that would speak now, so that its voice is chosen."""
        return self._order()[0].name

    @property
    def fingerprint(self) -> str:
        """Of all engines: which of them speaks, a voice tells."""
        return "; ".join(engine.fingerprint for engine in self._engines)

    @property
    def engines(self) -> Sequence[SpeechEngine]:
        """Every engine of the chain, in the order of preference."""
        return self._engines

    def telling(
        self, on_fallback: Callable[[Fallback], object], table: VoiceTable | None = None
    ) -> FallbackSpeech:
        """The same chain for one session or turn: `on_fallback` is called for each failure, after
        the callback of this chain; `table` is its avatar's choice of voices."""
        before = self._on_fallback

        def tell(fallback: Fallback) -> None:
            if before is not None:
                before(fallback)
            on_fallback(fallback)

        return FallbackSpeech(self._engines, tell, table=table or self._table, health=self._health)

    def voices(self) -> Sequence[Voice]:
        """The voices of every engine, the one that would speak now first."""
        return [voice for engine in self._order() for voice in engine.voices()]

    async def speak(
        self, sentence: str, voice: Voice, emotion: Emotion = Emotion.NEUTRAL
    ) -> AsyncGenerator[SpeechChunk, None]:
        speaking = [engine for engine in self._order() if _speaks(engine, voice.language)]
        order = sorted(speaking, key=lambda engine: not self._fits(engine, voice))
        if not order:
            raise Unavailable(f"No speech engine has a voice for '{voice.language}'.")
        for engine, following in zip(order, [*order[1:], None], strict=True):
            begun = False
            own = voice if engine.name == voice.engine else self._voice(engine, sentence, voice)
            try:
                async with aclosing(engine.speak(sentence, own, emotion)) as chunks:
                    async for chunk in chunks:
                        begun = True
                        yield chunk
            except (ProviderFailed, Unavailable) as error:
                self._failed(engine, following, error)
                if begun or (following is None and isinstance(error, SentenceFailed)):
                    return
                if following is None:
                    raise
            else:
                self._health.worked(engine.name)
                return

    async def close(self) -> None:
        for engine in self._engines:
            await engine.close()

    def _fits(self, engine: SpeechEngine, voice: Voice) -> bool:
        """Return whether `engine` has the chosen `voice` and works: then it is asked first."""
        return engine.name == voice.engine and self._health.usable(engine.name)

    def _voice(self, engine: SpeechEngine, sentence: str, voice: Voice) -> Voice:
        return voice_for(engine, sentence, voice.language, self._table)

    def _order(self) -> list[SpeechEngine]:
        """Those that rest come last: they are asked when everything else has failed. Those without
        any voice, where nothing is installed for them, are left out."""
        speaking = [engine for engine in self._engines if engine.voices()] or self._engines
        return sorted(speaking, key=lambda engine: not self._health.usable(engine.name))

    def _failed(
        self, engine: SpeechEngine, following: SpeechEngine | None, error: DittoAvatarError
    ) -> None:
        part = "sentence"
        if not isinstance(error, SentenceFailed):
            part = "speech"
            self._health.failed(engine.name, error)
        if self._on_fallback is not None:
            used = following.name if following else None
            used_up = isinstance(error, BudgetUsedUp)
            self._on_fallback(Fallback(part, engine.name, used, str(error), used_up))


def _speaks(engine: SpeechEngine, language: Language) -> bool:
    return any(voice.language is language for voice in engine.voices())
