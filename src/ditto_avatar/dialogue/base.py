"""What a dialogue engine promises."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from ditto_avatar.types import Emotion, Language


class Role(StrEnum):
    """Who said a message."""

    USER = "user"
    ASSISTANT = "assistant"


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of the history. `heard` is what the person actually heard of an interrupted
    answer; None means all of it."""

    role: Role
    text: str
    heard: str | None = None


@dataclass(frozen=True, slots=True)
class Prompt:
    """What an engine answers: the history (the last message is the person's), the language the
    page is set to, and the avatar's persona (a system prompt, possibly empty)."""

    history: Sequence[Message]
    language: Language
    persona: str = ""


@dataclass(frozen=True, slots=True)
class Sentence:
    """A complete sentence to speak, with the emotion to speak it in."""

    text: str
    emotion: Emotion = Emotion.NEUTRAL


class DialogueEngine(Protocol):
    """Answers the last message of a history, piece by piece."""

    @property
    def name(self) -> str:
        """Stable and short: avatars name their voices by it, notices and metrics show it."""

    def reply(self, prompt: Prompt) -> AsyncGenerator[str, None]:
        """Pieces of the answer as they come. Closing the iterator closes the upstream
        connection. A sentence may begin with a tag such as ``[happy]``, which
        `dialogue.emotion` takes off. Raises `ProviderFailed`."""

    def fixed_texts(self) -> Iterable[str]:
        """The answers that everybody gets word for word, tags included; none of an engine that
        composes its own. They hold nothing of the person who asks, so sentences drawn from
        them may be shown to others."""

    async def close(self) -> None:
        """Free connections."""
