"""Speech from Google Cloud Text-to-Speech over gRPC."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials
from google.auth.exceptions import GoogleAuthError
from google.cloud import texttospeech_v1 as tts
from google.cloud.texttospeech_v1.services.text_to_speech.transports import (
    TextToSpeechGrpcAsyncIOTransport,
)
from google.oauth2 import service_account

from ditto_avatar.errors import ProviderFailed, ProviderRefused, Unavailable
from ditto_avatar.providers.budget import Budget, Paid
from ditto_avatar.providers.retry import Retries, Transient, before_deadline
from ditto_avatar.speech.resample import pcm16_to_float
from ditto_avatar.types import SAMPLE_RATE_HZ, Emotion, Language, SpeechChunk, Voice

_NAME = "google"
GOOGLE_ENDPOINT = "texttospeech.googleapis.com:443"
_WHO = "Google's text-to-speech"
_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_WAV_HEADER_BYTES = 44
_UNARY_CHUNK_SAMPLES = SAMPLE_RATE_HZ // 5

_CHIRP3_WOMEN = ("Aoede", "Kore", "Leda", "Zephyr", "Sulafat")
_CHIRP3_MEN = ("Charon", "Fenrir", "Orus", "Puck")
_LOCALES = {Language.ENGLISH: ("en-US", "English (US)"), Language.KOREAN: ("ko-KR", "한국어")}
_VOICES = (
    Voice("en-US-Chirp-HD-F", Language.ENGLISH, _NAME, "English (US), Chirp HD F"),
    Voice("en-US-Chirp-HD-O", Language.ENGLISH, _NAME, "English (US), Chirp HD O"),
    Voice("en-US-Chirp-HD-D", Language.ENGLISH, _NAME, "English (US), Chirp HD D"),
    *(
        Voice(f"{locale}-Chirp3-HD-{name}", language, _NAME, f"{label}, Chirp 3 HD {name}")
        for language, (locale, label) in _LOCALES.items()
        for name in _CHIRP3_WOMEN + _CHIRP3_MEN
    ),
    Voice("ko-KR-Neural2-A", Language.KOREAN, _NAME, "한국어, Neural2 A"),
    Voice("ko-KR-Wavenet-A", Language.KOREAN, _NAME, "한국어, Wavenet A"),
)


@dataclass(frozen=True, slots=True)
class GoogleSpeechOptions:
    """Endpoint (``host:port``), speaking rate, and the deadlines for the first and every further
    sound. `plaintext` speaks without TLS, to a double on loopback for instance."""

    endpoint: str = GOOGLE_ENDPOINT
    plaintext: bool = False
    rate: float = 1.1
    first_sound_s: float = 6.0
    next_sound_s: float = 6.0


@dataclass(frozen=True, slots=True)
class _Manner:
    """What a voice is asked for: streaming, and a speaking rate. A voice that turns out not to
    support one is asked without from then on."""

    streams: bool
    paced: bool


class GoogleSpeech:
    """A `SpeechEngine`. Chirp HD voices stream, others come whole; 16 kHz linear PCM; the rate
    is left out for a voice that does not take one. Gives no phonemes.

    Give either an API key or the file of a service account; raises `Unavailable` without both.
    """

    name = _NAME

    def __init__(
        self,
        api_key: str | None = None,
        credentials: Path | None = None,
        options: GoogleSpeechOptions | None = None,
        *,
        retries: Retries | None = None,
        budget: Budget | None = None,
    ) -> None:
        if not api_key and credentials is None:
            raise Unavailable(f"{_WHO} needs TTS_API_KEY or the file of a service account.")
        self._api_key = api_key
        self._credentials = credentials
        self._options = options or GoogleSpeechOptions()
        self._retries = retries or Retries(2, first_wait_s=0.2, longest_wait_s=1.0)
        self._budget = budget or Budget(Paid.SPEECH)
        self._client: tts.TextToSpeechAsyncClient | None = None
        self._manners: dict[str, _Manner] = {}

    @property
    def fingerprint(self) -> str:
        """The service, and the rate."""
        return f"{_NAME} {self._options.endpoint} {self._options.rate:g}"

    def voices(self) -> Sequence[Voice]:
        return _VOICES

    async def speak(
        self, sentence: str, voice: Voice, emotion: Emotion = Emotion.NEUTRAL
    ) -> AsyncGenerator[SpeechChunk, None]:
        """Say `sentence`. Failures before the first sound are tried again."""
        seconds = self._options.first_sound_s
        sound, data = await self._retries.run(
            lambda: self._begin(sentence, voice.id),
            within_s=seconds,
            late=f"{_WHO} gave no sound within {seconds:g} s.",
        )
        rest = b""
        try:
            while data is not None:
                data = rest + data
                even = len(data) & ~1
                rest = data[even:]
                if even:
                    yield SpeechChunk(pcm16_to_float(data[:even]))
                late = f"{_WHO} stopped in the middle of a sentence."
                data = await before_deadline(sound.read(), self._options.next_sound_s, late)
        finally:
            sound.cancel()

    async def check(self) -> str:
        """One cheap call: counts the Korean voices. Raises like `speak`."""
        client = await self._connected()
        try:
            listed = await before_deadline(
                client.list_voices(
                    tts.ListVoicesRequest(language_code="ko-KR"),
                    retry=None,
                    metadata=self._metadata(),
                ),
                self._options.first_sound_s,
                f"{_WHO} did not answer in time.",
            )
        except (exceptions.GoogleAPICallError, grpc.RpcError, GoogleAuthError) as error:
            raise _failure(error, "") from None
        return f"{_WHO} answers with {len(listed.voices)} Korean voices"

    async def close(self) -> None:
        if self._client is not None:
            transport: Any = self._client.transport
            self._client = None
            await transport.close()

    async def _begin(self, sentence: str, voice: str) -> tuple[_ResponseSound, bytes | None]:
        """The sound behind its first bytes, asked for in the richest manner the voice allows."""
        manner = self._manners.setdefault(voice, _Manner("chirp" in voice.lower(), True))
        while True:
            try:
                with self._budget.spend(len(sentence)):
                    return await self._open(sentence, voice, manner)
            except _NotAccepted as error:
                simpler = _simpler(manner, error)
                if simpler is None:
                    raise
                manner = self._manners[voice] = simpler

    async def _open(
        self, sentence: str, voice: str, manner: _Manner
    ) -> tuple[_ResponseSound, bytes | None]:
        client = await self._connected()
        rate = {"speaking_rate": self._options.rate} if manner.paced else {}
        try:
            if manner.streams:
                return await self._open_stream(client, sentence, voice, rate)
            return await self._open_whole(client, sentence, voice, rate)
        except (exceptions.GoogleAPICallError, grpc.RpcError, GoogleAuthError) as error:
            raise _failure(error, voice) from None

    async def _open_stream(
        self, client: tts.TextToSpeechAsyncClient, sentence: str, voice: str, rate: dict[str, float]
    ) -> tuple[_ResponseSound, bytes | None]:
        config = tts.StreamingSynthesizeConfig(
            voice=_selection(voice),
            streaming_audio_config=tts.StreamingAudioConfig(
                audio_encoding=tts.AudioEncoding.PCM, sample_rate_hertz=SAMPLE_RATE_HZ, **rate
            ),
        )

        async def requests() -> AsyncIterator[tts.StreamingSynthesizeRequest]:
            yield tts.StreamingSynthesizeRequest(streaming_config=config)
            yield tts.StreamingSynthesizeRequest(input=tts.StreamingSynthesisInput(text=sentence))

        call = await client.streaming_synthesize(
            requests(), retry=None, timeout=None, metadata=self._metadata()
        )
        sound = _ResponseSound(call, voice)
        try:
            first = await sound.read()
        except BaseException:
            sound.cancel()
            raise
        if first is None:
            raise ProviderFailed(f"{_WHO} answered, but gave no sound.")
        return sound, first

    async def _open_whole(
        self, client: tts.TextToSpeechAsyncClient, sentence: str, voice: str, rate: dict[str, float]
    ) -> tuple[_ResponseSound, bytes | None]:
        response = await client.synthesize_speech(
            tts.SynthesizeSpeechRequest(
                input=tts.SynthesisInput(text=sentence),
                voice=_selection(voice),
                audio_config=tts.AudioConfig(
                    audio_encoding=tts.AudioEncoding.LINEAR16,
                    sample_rate_hertz=SAMPLE_RATE_HZ,
                    **rate,
                ),
            ),
            retry=None,
            timeout=self._options.first_sound_s,
            metadata=self._metadata(),
        )
        data = response.audio_content
        if data[:4] == b"RIFF":
            data = data[_WAV_HEADER_BYTES:]
        if not data:
            raise ProviderFailed(f"{_WHO} answered, but gave no sound.")
        sound = _ResponseSound(_pieces(data), voice)
        return sound, await sound.read()

    def _metadata(self) -> Sequence[tuple[str, str]]:
        return [("x-goog-api-key", self._api_key)] if self._api_key else []

    async def _connected(self) -> tts.TextToSpeechAsyncClient:
        if self._client is None:
            # Reads a file, and a service account's key is parsed.
            credentials = await asyncio.to_thread(self._load_credentials)
            if self._client is None:
                self._client = tts.TextToSpeechAsyncClient(transport=self._transport(credentials))
        return self._client

    def _load_credentials(self) -> Any:
        # google.auth carries no types for these two.
        anonymous: Any = AnonymousCredentials
        account: Any = service_account.Credentials
        if self._api_key or self._credentials is None:
            return anonymous()
        try:
            return account.from_service_account_file(str(self._credentials), scopes=[_SCOPE])
        except (OSError, ValueError, GoogleAuthError):
            raise ProviderRefused(
                f"The service account file '{self._credentials.name}' cannot be read."
            ) from None

    def _transport(self, credentials: Any) -> TextToSpeechGrpcAsyncIOTransport:
        endpoint = self._options.endpoint
        if self._options.plaintext:
            channel = grpc.aio.insecure_channel(endpoint)
        elif self._api_key:
            # The key goes along as metadata of every call.
            channel = grpc.aio.secure_channel(endpoint, grpc.ssl_channel_credentials())
        else:
            return TextToSpeechGrpcAsyncIOTransport(host=endpoint, credentials=credentials)
        return TextToSpeechGrpcAsyncIOTransport(host=endpoint, channel=channel)


class _NotAccepted(ProviderFailed):
    """The service knows the voice but not what was asked of it; `detail` is what it said."""

    def __init__(self, message: str, detail: str) -> None:
        super().__init__(message)
        self.detail = detail.lower()


class _ResponseSound:
    """A stream of responses as bytes."""

    def __init__(self, call: Any, voice: str) -> None:
        self._call = call
        self._responses = aiter(call)
        self._voice = voice

    async def read(self) -> bytes | None:
        """The next bytes that are not empty, None at the end."""
        try:
            async for response in self._responses:
                data = response if isinstance(response, bytes) else response.audio_content
                if data:
                    return bytes(data)
        except (exceptions.GoogleAPICallError, grpc.RpcError, GoogleAuthError) as error:
            raise _failure(error, self._voice) from None
        return None

    def cancel(self) -> None:
        """Stop the call; nothing happens when it has ended."""
        if hasattr(self._call, "cancel"):
            self._call.cancel()


async def _pieces(data: bytes) -> AsyncIterator[bytes]:
    """A whole sentence in parts, so that the face starts with the first of them."""
    for start in range(0, len(data), 2 * _UNARY_CHUNK_SAMPLES):
        yield data[start : start + 2 * _UNARY_CHUNK_SAMPLES]


def _selection(voice: str) -> tts.VoiceSelectionParams:
    # A name begins with its locale: en-US-Chirp-HD-F.
    return tts.VoiceSelectionParams(language_code="-".join(voice.split("-")[:2]), name=voice)


def _simpler(manner: _Manner, error: _NotAccepted) -> _Manner | None:
    """What to ask for next, None when there is nothing to leave out any more."""
    if manner.paced and "rate" in error.detail:
        return _Manner(manner.streams, False)
    if manner.streams:
        return _Manner(False, manner.paced)
    return _Manner(False, False) if manner.paced else None


def _failure(error: Exception, voice: str) -> ProviderFailed:
    """What `error` means in our words; what the service wrote is never passed on."""
    if isinstance(error, GoogleAuthError):
        return ProviderRefused(f"{_WHO} did not accept the service account.")
    status, detail = _status(error)
    code = grpc.StatusCode
    if status in {code.UNAUTHENTICATED, code.PERMISSION_DENIED}:
        return ProviderRefused(f"{_WHO} refused the key ({status.name}): TTS_API_KEY is wrong.")
    if status is code.INVALID_ARGUMENT and "api key" in detail.lower():
        return ProviderRefused(f"{_WHO} refused the key: TTS_API_KEY is wrong.")
    if status is code.RESOURCE_EXHAUSTED:
        return Transient(f"{_WHO} gets too many requests, or the quota is used up.")
    if status is code.DEADLINE_EXCEEDED:
        return Transient(f"{_WHO} did not answer in time.")
    if status in {code.UNAVAILABLE, code.INTERNAL, code.ABORTED, code.UNKNOWN}:
        return Transient(f"{_WHO} cannot be reached, or broke off ({status.name}).")
    if status in {code.INVALID_ARGUMENT, code.UNIMPLEMENTED, code.FAILED_PRECONDITION}:
        return _NotAccepted(f"{_WHO} did not accept the voice '{voice}' ({status.name}).", detail)
    return ProviderFailed(f"{_WHO} failed ({status.name}).")


def _status(error: Exception) -> tuple[grpc.StatusCode, str]:
    if isinstance(error, exceptions.GoogleAPICallError):
        return error.grpc_status_code or grpc.StatusCode.UNKNOWN, error.message
    if isinstance(error, grpc.aio.AioRpcError):
        return error.code(), error.details() or ""
    return grpc.StatusCode.UNKNOWN, ""
