"""Define what a turn asks of the pipeline, and the engines that do it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass

from ditto_avatar.dialogue.base import DialogueEngine, Prompt, Sentence
from ditto_avatar.face.avatar import Avatar
from ditto_avatar.pipeline.progress import Progress
from ditto_avatar.speech.base import SpeechEngine
from ditto_avatar.types import Fallback, Language, SpeechChunk

Notify = Callable[[Progress], object]


@dataclass(frozen=True, slots=True)
class Recording:
    """A sentence with its sound, in whole frames."""

    sentence: Sentence
    sound: Callable[[], AsyncGenerator[SpeechChunk, None]]


@dataclass(frozen=True, slots=True)
class TurnRequest:
    """Describe the work of one turn.

    The source is one of three: a `prompt` for the dialogue; or `recordings`, sentences that have
    their sound; or else `text`, spoken as it is, with emotion tags where it is `tagged`.
    `start_frame` returns, when the face begins, the idle frame that the viewer will see; `watched`
    returns whether somebody watches now, `takes_packets` whether somebody wants the next segment
    picture by picture. The cache keeps segments under `scope`: the session's id,
    or `SHARED`. `voices` are ids that a person chose instead of the avatar's. With `keeps_clips`,
    finished segments become clips that can be replayed.
    """

    avatar: Avatar
    language: Language
    text: str
    prompt: Prompt | None
    start_frame: Callable[[], int]
    scope: str
    keeps_clips: bool = True
    watched: Callable[[], bool] = lambda: True
    takes_packets: Callable[[], bool] = lambda: False
    tagged: bool = False
    voices: tuple[str, ...] = ()
    recordings: Sequence[Recording] = ()


@dataclass(frozen=True, slots=True)
class Engines:
    """The engines that answer and speak in one turn. Texts are spoken without a dialogue."""

    dialogue: DialogueEngine | None
    speech: SpeechEngine


EngineChoice = Callable[[Avatar, Callable[[Fallback], object]], Engines]
"""Choose the engines for an avatar's turn; the callback is called when one of them fails."""
