"""What a family promises of a voice model."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ditto_avatar.speech.neural.networks import Network
from ditto_avatar.speech.neural.phonemes import Speller
from ditto_avatar.speech.neural.process import Result
from ditto_avatar.speech.neural.protocol import Array
from ditto_avatar.speech.neural.sound import Take
from ditto_avatar.types import Voice

Run = Callable[[str, Mapping[str, Array]], Awaitable[Result]]
"""Run a network of the model by its name, with its inputs."""


@dataclass(frozen=True, slots=True)
class VoiceFacts:
    """A voice on offer; `gender` is ``female``, ``male`` or empty where it is not known."""

    voice: Voice
    gender: str = ""


class VoiceModel(Protocol):
    """Files of a voice, opened: what its networks are, and how a sentence goes through them."""

    @property
    def name(self) -> str:
        """The name of the model: of its folder or file."""

    @property
    def family(self) -> str:
        """The name of the family."""

    @property
    def rate_hz(self) -> int:
        """Samples a second that the networks give."""

    @property
    def files(self) -> Sequence[Path]:
        """The files that the sound depends on."""

    @property
    def networks(self) -> Mapping[str, Network]:
        """The networks by name."""

    @property
    def knows_times(self) -> bool:
        """Whether the takes come with the times of their phonemes."""

    @property
    def voices(self) -> Sequence[VoiceFacts]:
        """The voices of the model, the best of each language first."""

    def takes(
        self, run: Run, speller: Speller, sentence: str, voice: Voice, tempo: float
    ) -> AsyncGenerator[Take, None]:
        """Say `sentence` in takes; `tempo` 1.1 is a tenth faster. Raises what `run` raises."""
