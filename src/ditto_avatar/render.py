"""Render a video file from a text or a sound file, without a server.

The same pipeline as a server's draws it; the sink writes one film instead of fragments.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ditto_avatar.clock import SystemClock
from ditto_avatar.credentials.signing import Credentials
from ditto_avatar.dialogue.base import Sentence
from ditto_avatar.errors import DittoAvatarError, InvalidInput
from ditto_avatar.face.avatar import Avatar
from ditto_avatar.face.base import FaceEngine
from ditto_avatar.face.cutout import Cutout
from ditto_avatar.media.captions import Cue, read_srt
from ditto_avatar.media.see_through import SUFFIXES
from ditto_avatar.pipeline import progress
from ditto_avatar.pipeline.answer_length import AnswerLimits
from ditto_avatar.pipeline.cache import SHARED
from ditto_avatar.pipeline.clip_signing import statement_of
from ditto_avatar.pipeline.file_sink import FileSink
from ditto_avatar.pipeline.pipeline import Pipeline
from ditto_avatar.pipeline.request import Engines, Recording, TurnRequest
from ditto_avatar.pipeline.see_through_sink import SeeThroughSink
from ditto_avatar.speech.alignment import align
from ditto_avatar.speech.audio_file import read_audio
from ditto_avatar.speech.base import SpeechEngine
from ditto_avatar.speech.espeak import EspeakEngine
from ditto_avatar.speech.fallback import FallbackSpeech
from ditto_avatar.speech.text import spoken_text
from ditto_avatar.speech.voices import voice_for
from ditto_avatar.subtitled import spoken_captions
from ditto_avatar.types import (
    FRAME_RATE_HZ,
    SAMPLE_RATE_HZ,
    SAMPLES_PER_FRAME,
    Language,
    SpeechChunk,
    frames_for,
    joined,
)

# A recording without phonemes is pushed in pieces of a second.
_PUSH_SAMPLES = SAMPLE_RATE_HZ

OnDrawn = Callable[[int, int | None], object]
"""Called with the pictures drawn, and with all there will be (None while the text is spoken)."""


@dataclass(frozen=True, slots=True)
class Script:
    """A text to speak, which may carry emotion tags; or a `recording` to speak along with; or
    captions, each to be spoken at its time."""

    text: str
    language: Language
    recording: SpeechChunk | None = None
    captions: Sequence[Cue] = ()


@dataclass(frozen=True, slots=True)
class Rendered:
    """Count the pictures of a film, and the seconds they last."""

    frames: int
    seconds: float


async def render(
    script: Script,
    avatar: Avatar,
    face: FaceEngine,
    speech: FallbackSpeech,
    out: Path,
    *,
    on_drawn: OnDrawn = lambda done, total: None,
    on_notice: Callable[[str], object] = lambda text: None,
) -> Rendered:
    """Draw `avatar` speaking `script` into the film `out`, which appears when it is complete: MP4
    or, of an avatar without its background, also WebM or MOV, both transparent.

    `on_notice` is called with a sentence when another speech engine takes over. Raises
    `InvalidInput` when there is nothing to say or `out` has the wrong suffix, `StorageFull` when it
    cannot be written, and what the engines raise. Cancelling is safe.
    """
    total = _frames_of(script.recording)
    captions = await spoken_captions(script.captions, avatar, speech, script.language, on_notice)

    def happened(what: progress.Progress) -> None:
        nonlocal total
        if isinstance(what, progress.SoundEnded):
            total = what.frames
            on_drawn(sink.frames, total)
        elif isinstance(what, progress.Noticed):
            on_notice(what.message)

    with ThreadPoolExecutor(1, "encode") as executor:
        sink = _sink(avatar, out)(avatar, out, executor, lambda done: on_drawn(done, total))
        pipeline = Pipeline(
            engines=lambda avatar, failed: Engines(None, speech.telling(failed, avatar.voices)),
            face=face,
            sinks=lambda request, notify: sink,
            cache=None,
            clock=SystemClock(),
            lead_s=math.inf,
            limits=AnswerLimits(math.inf, math.inf),
        )
        await pipeline.run(_request(script, avatar, captions), happened)
    if not sink.frames:
        raise InvalidInput("There is nothing to say: the text or sound is empty.")
    return Rendered(sink.frames, sink.frames / FRAME_RATE_HZ)


async def sign(
    film: Path,
    avatar: Avatar,
    face: FaceEngine,
    credentials: Credentials,
    on_notice: Callable[[str], object],
) -> None:
    """Sign a rendered film in its place, and close `credentials`. One that cannot be signed is
    kept as it is, and `on_notice` is called. Cancelling is safe."""
    try:
        if film.suffix.lower() == ".webm":
            on_notice("A WebM film has no place for content credentials; MP4 and MOV have.")
            return
        await credentials.sign(film, film, statement_of(avatar, face))
    except DittoAvatarError as error:
        on_notice(f"The film is kept without content credentials. {error}")
    finally:
        await credentials.close()


def read_script(path: Path, language: Language) -> Script:
    """Read a script: captions (``.srt``), or a text of any number of sentences. Both may carry
    emotion tags, such as ``[happy]``. Raises `InvalidInput`. Blocks."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeError) as error:
        raise InvalidInput(f"The script {str(path)!r} cannot be read as UTF-8 text.") from error
    if path.suffix.lower() == ".srt":
        return Script("", language, captions=read_srt(text))
    return Script(text, language)


async def read_recording(
    path: Path, text: str | None, speech: SpeechEngine, language: Language
) -> SpeechChunk:
    """Read a sound file, with the phonemes of what is said in it when the `text` is known. Raises
    `InvalidAudio`."""
    samples = await read_audio(path)
    if text is None:
        return SpeechChunk(samples)
    voice = voice_for(speech, text, language)
    spoken_so = spoken_text(text, voice.language)
    async with EspeakEngine() as own:
        own_voice = next(other for other in own.voices() if other.language is voice.language)
        reference = joined([chunk async for chunk in own.speak(spoken_so, own_voice)])
    return SpeechChunk(samples, await asyncio.to_thread(align, reference, samples))


def _sink(avatar: Avatar, out: Path) -> type[FileSink | SeeThroughSink]:
    if out.suffix.lower() not in SUFFIXES:
        return FileSink
    if not isinstance(avatar.cutout, Cutout):
        raise InvalidInput(
            f"{out.suffix} is written for a presenter without a background "
            "(--background transparent); anything else is .mp4."
        )
    return SeeThroughSink


def _request(script: Script, avatar: Avatar, captions: Sequence[Recording]) -> TurnRequest:
    recording = script.recording
    along = [] if recording is None else [Recording(Sentence(""), lambda: _whole_frames(recording))]
    return TurnRequest(
        avatar,
        script.language,
        script.text,
        None,
        start_frame=lambda: 0,
        scope=SHARED,
        tagged=True,
        recordings=[*along, *captions],
    )


def _frames_of(recording: SpeechChunk | None) -> int | None:
    return None if recording is None else frames_for(len(recording.samples))


async def _whole_frames(recording: SpeechChunk) -> AsyncGenerator[SpeechChunk, None]:
    """Yield a recording, filled up to whole frames; in pieces of a second where no phonemes bind it
    together."""
    samples = recording.samples
    missing = frames_for(len(samples)) * SAMPLES_PER_FRAME - len(samples)
    whole = np.pad(samples, (0, missing))
    step = len(whole) if recording.phonemes else _PUSH_SAMPLES
    for start in range(0, len(whole), max(1, step)):
        yield SpeechChunk(whole[start : start + step], recording.phonemes)
