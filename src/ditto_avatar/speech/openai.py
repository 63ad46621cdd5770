"""Speech from OpenAI, or a server that speaks its protocol."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

import numpy as np
from openai import AsyncOpenAI, omit

from ditto_avatar.errors import InvalidAudio, ProviderFailed
from ditto_avatar.providers.budget import Budget, Paid
from ditto_avatar.providers.openai import check_model, connect, failure, service_name
from ditto_avatar.providers.retry import Retries, before_deadline
from ditto_avatar.speech.audio_file import decode_bytes
from ditto_avatar.speech.sound_format import (
    Kind,
    SampleReader,
    WavReader,
    kind_of,
    samples_of,
    sound_in_json,
)
from ditto_avatar.types import Emotion, FloatArray, Language, SpeechChunk, Voice

_NAME = "openai"
# What the service sends as "pcm": 24 kHz, signed 16 bits, mono, no header.
_SOURCE_HZ = 24_000
_READ_BYTES = _SOURCE_HZ * 2 // 25

# Compressed sound of one sentence, which is decoded as a whole.
_MOST_COMPRESSED_BYTES = 8 << 20
_LONGEST_SENTENCE_S = 120

_VOICE_NAMES = ("coral", "nova", "shimmer", "sage", "marin", "alloy", "ash", "ballad", "echo")
_VOICE_NAMES_MALE = ("onyx", "fable", "verse", "cedar")
_VOICES = tuple(
    Voice(name, language, _NAME, name.capitalize())
    for language in Language
    for name in _VOICE_NAMES + _VOICE_NAMES_MALE
)

_MANNERS = {
    Emotion.ANGRY: "Sound angry: firm and tense, with hard stresses.",
    Emotion.DISGUST: "Sound disgusted: reluctant, with a slight grimace in the voice.",
    Emotion.FEAR: "Sound afraid: breathy, unsteady and a little fast.",
    Emotion.HAPPY: "Sound happy: bright and warm, with a smile in the voice.",
    Emotion.NEUTRAL: "Sound friendly and natural, as in a conversation.",
    Emotion.SAD: "Sound sad: soft, slow and low.",
    Emotion.SURPRISE: "Sound surprised: lively, with a wide range of pitch.",
    Emotion.CONTEMPT: "Sound contemptuous: cool, dry and a little bored.",
}
_ACCENTS = {
    Language.ENGLISH: "Speak natural, clear English at a lively conversational pace.",
    Language.KOREAN: "Speak natural, clear standard Korean at a lively conversational pace.",
}


@dataclass(frozen=True, slots=True)
class OpenAISpeechOptions:
    """Model, server, and the deadlines for the first and every further sound."""

    model: str = "gpt-4o-mini-tts"
    base_url: str | None = None
    first_sound_s: float = 6.0
    next_sound_s: float = 6.0


class OpenAISpeech:
    """A `SpeechEngine` over streamed PCM, or over what a server sends instead (`sound_format`).
    The emotion goes along as an instruction where the model takes one (those before gpt-4o do
    not). Gives no phonemes."""

    name = _NAME

    def __init__(
        self,
        api_key: str | None,
        options: OpenAISpeechOptions | None = None,
        *,
        retries: Retries | None = None,
        budget: Budget | None = None,
    ) -> None:
        self._options = options or OpenAISpeechOptions()
        self._retries = retries or Retries(2, first_wait_s=0.2, longest_wait_s=1.0)
        self._budget = budget or Budget(Paid.SPEECH)
        self._client: AsyncOpenAI = connect(api_key, self._options.base_url)
        self._who = service_name(self._options.base_url)

    @property
    def fingerprint(self) -> str:
        """The model, and the server that runs it."""
        return f"{_NAME} {self._options.model} {self._options.base_url or ''}".rstrip()

    def voices(self) -> Sequence[Voice]:
        return _VOICES

    async def speak(
        self, sentence: str, voice: Voice, emotion: Emotion = Emotion.NEUTRAL
    ) -> AsyncGenerator[SpeechChunk, None]:
        """Say `sentence`. Failures before the first sound are tried again."""
        seconds = self._options.first_sound_s
        sound, data = await self._retries.run(
            lambda: self._ask(sentence, voice, emotion),
            within_s=seconds,
            late=f"{self._who} gave no sound within {seconds:g} s.",
        )
        try:
            kind = kind_of(sound.content_type, data, self._who)
            if kind in (Kind.COMPRESSED, Kind.JSON):
                whole = await self._whole(sound, data)
                yield SpeechChunk(await self._decoded(whole, kind))
                return
            if kind is Kind.WAV:
                reader: SampleReader | WavReader = WavReader(self._who)
            else:
                reader = SampleReader(samples_of(sound.content_type, _SOURCE_HZ))
            said = False
            part: bytes | None = data
            while part is not None:
                samples = reader.push(part)
                if len(samples):
                    said = True
                    yield SpeechChunk(samples)
                part = await self._next(sound)
            rest = reader.finish()
            if not said and not len(rest):
                raise ProviderFailed(f"{self._who} answered, but gave no sound.")
            yield SpeechChunk(rest)
        finally:
            await sound.close()

    async def _next(self, sound: _StreamedSound) -> bytes | None:
        late = f"{self._who} stopped in the middle of a sentence."
        return await before_deadline(sound.read(), self._options.next_sound_s, late)

    async def _whole(self, sound: _StreamedSound, data: bytes) -> bytes:
        """Read an answer to its end. Raises `ProviderFailed` beyond 8 MB."""
        parts, size = [data], len(data)
        while (part := await self._next(sound)) is not None:
            parts.append(part)
            size += len(part)
            if size > _MOST_COMPRESSED_BYTES:
                raise ProviderFailed(f"{self._who} sent a sentence that does not end.")
        return b"".join(parts)

    async def _decoded(self, data: bytes, kind: Kind) -> FloatArray:
        """Decode sound that is there as a whole. Raises `ProviderFailed` when it cannot be."""
        if kind is Kind.JSON:
            data, content_type = sound_in_json(data, self._who)
            if kind_of(content_type, data[:1024], self._who) is Kind.SAMPLES:
                reader = SampleReader(samples_of(content_type, _SOURCE_HZ))
                return np.concatenate((reader.push(data), reader.finish()))
        try:
            return await decode_bytes(data, _LONGEST_SENTENCE_S)
        except InvalidAudio as error:
            raise ProviderFailed(f"{self._who} sent sound that cannot be read.") from error

    async def check(self) -> str:
        """One cheap call: asks for the model by name. Raises like `speak`."""
        options = self._options
        return await check_model(self._client, options.model, options.first_sound_s, self._who)

    async def close(self) -> None:
        await self._client.close()

    async def _ask(
        self, sentence: str, voice: Voice, emotion: Emotion
    ) -> tuple[_StreamedSound, bytes]:
        with self._budget.spend(len(sentence)):
            return await self._open(sentence, voice, emotion)

    async def _open(
        self, sentence: str, voice: Voice, emotion: Emotion
    ) -> tuple[_StreamedSound, bytes]:
        """The response and its first bytes."""
        instructed = not self._options.model.startswith("tts-1")
        instructions = f"{_ACCENTS[voice.language]} {_MANNERS[emotion]}"
        held = AsyncExitStack()
        sound = _StreamedSound(held, self._who, self._options.model)
        try:
            response = await held.enter_async_context(
                self._client.audio.speech.with_streaming_response.create(
                    model=self._options.model,
                    voice=voice.id,
                    input=sentence,
                    instructions=instructions if instructed else omit,
                    response_format="pcm",
                )
            )
            sound.data = response.iter_bytes(_READ_BYTES)
            sound.content_type = response.headers.get("content-type", "")
            first = await sound.read()
        except ProviderFailed:
            await sound.close()
            raise
        except Exception as error:  # the border to the library: see `failure`
            await sound.close()
            raise failure(error, self._who, self._options.model) from None
        except BaseException:
            await sound.close()
            raise
        if first is None:
            await sound.close()
            raise ProviderFailed(f"{self._who} answered, but gave no sound.")
        return sound, first


class _StreamedSound:
    """One streamed response and what has to be closed after it."""

    def __init__(self, held: AsyncExitStack, who: str, model: str) -> None:
        self._held = held
        self._who = who
        self._model = model
        self.data: AsyncIterator[bytes] | None = None
        self.content_type = ""

    async def read(self) -> bytes | None:
        """The next bytes, None at the end."""
        if self.data is None:
            return None
        try:
            return await anext(self.data, None)
        except Exception as error:  # the border to the library: see `failure`
            raise failure(error, self._who, self._model) from None

    async def close(self) -> None:
        await self._held.aclose()
