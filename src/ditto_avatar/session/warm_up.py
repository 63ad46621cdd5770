"""What is done before anybody waits for it: faces prepared, known phrases drawn."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from ditto_avatar.errors import InvalidInput
from ditto_avatar.face.avatar import Avatar
from ditto_avatar.face.base import FaceEngine
from ditto_avatar.session import turn as t
from ditto_avatar.session.clips import ClipFolder
from ditto_avatar.session.performer import Job, Performer
from ditto_avatar.types import SAMPLES_PER_FRAME, Language

log = logging.getLogger(__name__)


async def prepare(face: FaceEngine, avatar: Avatar) -> None:
    """Let the engine compute what it keeps for a face, by drawing one silent picture."""
    performance = await face.open(avatar, 0)
    try:
        await performance.push(np.zeros(SAMPLES_PER_FRAME, np.float32))
        await performance.finish()
        async for _ in performance:
            pass
    finally:
        await performance.cancel()


def read_phrases(path: Path | None) -> list[str]:
    """The sentences of a text file, one a line; empty lines and ``#`` comments are left out.
    Raises `InvalidInput` when the file cannot be read."""
    if path is None:
        return []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"The phrases to warm up, {path}, cannot be read: {error}.") from error
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


async def warm_up(
    performer: Performer, clips: ClipFolder, avatar: Avatar, language: Language, phrases: list[str]
) -> None:
    """Draw `phrases` once, so that they come from the cache when they are needed."""
    for phrase in phrases:
        names: list[str] = []

        def happened(what: t.Input, phrase: str = phrase, names: list[str] = names) -> None:
            if isinstance(what, t.ClipStored):
                names.append(what.name)
            elif isinstance(what, t.PerformanceFailed):
                log.warning("%r could not be drawn beforehand: %s", phrase, what.message)

        job = Job(avatar, language, phrase, prompt=None, start_frame=lambda: 0)
        await performer.perform(job, happened)
        clips.remove(names)
    if phrases:
        log.info("%d phrases are ready", len(phrases))
