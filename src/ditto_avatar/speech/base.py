"""What a speech engine promises."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Protocol

from ditto_avatar.types import Emotion, SpeechChunk, Voice


class SpeechEngine(Protocol):
    """Turns one sentence into sound.

    `speak` yields chunks as they are ready: 16 kHz mono float32 in -1..1, with phonemes where the
    engine knows them. The engine gives the bare sentence; `speech.utterance` cleans the text
    before and puts the silence around. Closing the iterator early stops the work behind it.
    """

    @property
    def name(self) -> str:
        """Stable and short: avatars name their voices by it, notices and metrics show it."""

    @property
    def fingerprint(self) -> str:
        """Changes with every option that changes the sound: what was said before is played again
        only under the same fingerprint. The package's version is not part of it."""

    def voices(self) -> Sequence[Voice]:
        """The voices on offer, the best of each language first."""

    def speak(
        self, sentence: str, voice: Voice, emotion: Emotion = Emotion.NEUTRAL
    ) -> AsyncGenerator[SpeechChunk, None]:
        """Say `sentence`. Raises `ProviderFailed` when the service behind it fails."""

    async def close(self) -> None:
        """Free connections and buffers."""
