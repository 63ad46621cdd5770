"""Single sentences on a card: from sound to a film on disk, and from a text to the first fragment.

Used by `bench.gpu_end_to_end`, through the product's pipeline. The services are doubles in the same
process: a language model that answers after 400 ms, and a voice whose sound comes 200 ms after it
was asked, all of it at once.
"""

from __future__ import annotations

import asyncio
import math
import statistics
import tempfile
import time
from collections.abc import AsyncGenerator, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import av

from ditto_avatar.clock import SystemClock
from ditto_avatar.dialogue.base import Message, Prompt, Role, Sentence
from ditto_avatar.face.avatar import Avatar
from ditto_avatar.face.base import FaceEngine
from ditto_avatar.face.ditto.rehearsal import speech
from ditto_avatar.pipeline.answer_length import AnswerLimits
from ditto_avatar.pipeline.cache import SHARED
from ditto_avatar.pipeline.encoding import Encoded, EncodingSink, Output
from ditto_avatar.pipeline.file_sink import FileSink
from ditto_avatar.pipeline.pipeline import Pipeline
from ditto_avatar.pipeline.request import Engines, Recording, TurnRequest
from ditto_avatar.pipeline.segment import Segment
from ditto_avatar.pipeline.sinks import Sink
from ditto_avatar.types import Emotion, Language, SpeechChunk, Voice
from tests.fakes.engines import ScriptedDialogue, ToneSpeech

FRAMES = 60  # 2.4 seconds
TIMES = 11
FIRST_TOKEN_S, FIRST_SOUND_S = 0.4, 0.2


class LateDialogue(ScriptedDialogue):
    """A language model that thinks before its first word."""

    async def reply(self, prompt: Prompt) -> AsyncGenerator[str, None]:
        """Answer after 400 ms."""
        await asyncio.sleep(FIRST_TOKEN_S)
        async for piece in super().reply(prompt):
            yield piece


class LateSpeech(ToneSpeech):
    """A voice whose sound comes late."""

    async def speak(
        self, sentence: str, voice: Voice, emotion: Emotion = Emotion.NEUTRAL
    ) -> AsyncGenerator[SpeechChunk, None]:
        """Speak after 200 ms."""
        await asyncio.sleep(FIRST_SOUND_S)
        yield SpeechChunk(speech(FRAMES, 0))


class FirstFragment(Output):
    """When the first fragment of a turn was made."""

    at: float | None = None

    def add(self, segment: Segment, encoded: Encoded) -> None:
        """Note the time."""
        if encoded.fragments and self.at is None:
            self.at = time.perf_counter()


def _pipeline(face: FaceEngine, sink: Sink) -> Pipeline:
    return Pipeline(
        engines=lambda avatar, failed: Engines(
            LateDialogue("This is a sentence of two seconds and a half."), LateSpeech()
        ),
        face=face,
        sinks=lambda request, notify: sink,
        cache=None,
        clock=SystemClock(),
        lead_s=math.inf,
        limits=AnswerLimits(math.inf, math.inf),
    )


def _request(avatar: Avatar, prompt: Prompt | None, recordings: Sequence[Recording]) -> TurnRequest:
    return TurnRequest(
        avatar,
        Language.ENGLISH,
        "",
        prompt,
        start_frame=lambda: 0,
        scope=SHARED,
        recordings=recordings,
    )


async def _sound() -> AsyncGenerator[SpeechChunk, None]:
    yield SpeechChunk(speech(FRAMES, 0))


async def measure_sentences(face: FaceEngine, avatar: Avatar, executor: Executor) -> dict[str, Any]:
    """Medians, in seconds, of one viewer alone. Raises `AssertionError` for a film that is not
    whole."""
    films, texts = [], []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(TIMES):
            path = Path(folder) / f"{number}.mp4"
            begun = time.perf_counter()
            film = FileSink(avatar, path, executor, lambda done: None)
            recording = [Recording(Sentence(""), _sound)]
            await _pipeline(face, film).run(_request(avatar, None, recording), _ignore)
            films.append(time.perf_counter() - begun)
        _check(path)
    prompt = Prompt([Message(Role.USER, "How long is it?")], Language.ENGLISH)
    for _ in range(TIMES):
        first = FirstFragment()
        sink = EncodingSink(avatar, executor, [first])
        begun = time.perf_counter()
        await _pipeline(face, sink).run(_request(avatar, prompt, ()), _ignore)
        assert first.at is not None
        texts.append(first.at - begun)
    return {
        "sentence_to_mp4_s": round(statistics.median(films), 3),
        "text_to_picture_s": round(statistics.median(texts), 3),
    }


def _ignore(_: object) -> None:
    """Progress is of no interest here."""


def _check(path: Path) -> None:
    with av.open(str(path)) as film:
        pictures = sum(1 for _ in film.decode(video=0))
    with av.open(str(path)) as film:
        samples = sum(frame.samples for frame in film.decode(audio=0))
    assert pictures == FRAMES, pictures
    assert samples >= FRAMES / 25 * 48_000 * 0.98, samples
