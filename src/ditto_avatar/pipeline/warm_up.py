"""Prepare faces and draw known phrases before a viewer waits for them."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from ditto_avatar.dialogue.base import DialogueEngine
from ditto_avatar.dialogue.clauses import CODE_SHOWN, split
from ditto_avatar.errors import DittoAvatarError, InvalidAvatar, InvalidInput
from ditto_avatar.face.avatar import Avatar
from ditto_avatar.face.base import FaceEngine
from ditto_avatar.pipeline import progress
from ditto_avatar.pipeline.cache import SHARED
from ditto_avatar.pipeline.pipeline import Pipeline
from ditto_avatar.pipeline.request import TurnRequest
from ditto_avatar.types import SAMPLES_PER_FRAME, Language

log = logging.getLogger(__name__)


async def prepare(face: FaceEngine, avatar: Avatar) -> None:
    """Let the engine compute what it keeps for a face, by drawing one silent picture."""
    stream = await face.open(avatar, 0)
    try:
        await stream.push(np.zeros(SAMPLES_PER_FRAME, np.float32))
        await stream.finish()
        async for _ in stream:
            pass
    finally:
        await stream.cancel()


async def prepare_each(face: FaceEngine, avatars: Iterable[Avatar]) -> None:
    """Prepare `avatars` one after the other, in the background of a server. One that cannot be
    drawn costs a line in the log. Cancelling is safe."""
    for avatar in avatars:
        try:
            await face.prepare(avatar)
        except InvalidAvatar as error:
            log.error("avatar %s cannot be drawn: %s", avatar.name, error)
        except Exception:
            # The border of a task: the other avatars are prepared all the same.
            log.exception("avatar %s could not be prepared", avatar.name)


def read_phrases(path: Path | None) -> list[str]:
    """Return the sentences of a text file, one a line; empty lines and ``#`` comments are left out.
    Raises `InvalidInput` when the file cannot be read."""
    if path is None:
        return []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"The phrases to warm up, {path}, cannot be read: {error}.") from error
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def own_sentences(dialogue: DialogueEngine, phrases: Iterable[str]) -> frozenset[str]:
    """Return every sentence that comes from the server itself: the fixed texts of `dialogue`, and
    the `phrases` to warm up. Drawing one for a person tells nothing of that person, so all sessions
    share it."""
    said = [split(text) for text in dialogue.fixed_texts()]
    said += [split(phrase, tagged=False) for phrase in phrases]
    own = {sentence.text for parts in said for sentence in parts}
    return frozenset(own.union(*CODE_SHOWN.values()))


async def warm_up(
    pipeline: Pipeline, avatar: Avatar, language: Language, phrases: list[str]
) -> None:
    """Draw `phrases` once, so that they come from the cache for everybody. Cancelling is safe."""
    for phrase in phrases:
        request = TurnRequest(
            avatar,
            language,
            phrase,
            prompt=None,
            start_frame=lambda: 0,
            scope=SHARED,
            keeps_clips=False,
        )
        try:
            await pipeline.run(request, _ignore)
        except DittoAvatarError as error:
            log.warning("%r could not be drawn beforehand: %s", phrase, error)
        except Exception:
            # The border of a task: the other phrases are drawn all the same.
            log.exception("%r could not be drawn beforehand", phrase)
    if phrases:
        log.info("%d phrases are ready", len(phrases))


def _ignore(_: progress.Progress) -> None:
    pass
