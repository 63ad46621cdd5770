"""What a person said, by OpenAI's transcription."""

from __future__ import annotations

import io
import wave
from dataclasses import dataclass

from openai import AsyncOpenAI

from ditto_avatar.errors import InvalidAudio, ProviderFailed
from ditto_avatar.providers.budget import Budget, Paid
from ditto_avatar.providers.openai import check_model, connect, failure, service_name
from ditto_avatar.providers.retry import Retries
from ditto_avatar.types import SAMPLE_RATE_HZ, Int16Array, Language

_SHORTEST_MS = 100


@dataclass(frozen=True, slots=True)
class TranscriberOptions:
    """Model, server, and the time a transcript may take, second attempts included."""

    model: str = "gpt-4o-mini-transcribe"
    base_url: str | None = None
    answer_s: float = 10.0


class OpenAITranscriber:
    """Turns speech into text. `language` is a hint; people may speak the other one."""

    name = "openai"

    def __init__(
        self,
        api_key: str | None,
        options: TranscriberOptions | None = None,
        *,
        retries: Retries | None = None,
        budget: Budget | None = None,
    ) -> None:
        self._options = options or TranscriberOptions()
        self._retries = retries or Retries(2)
        self._budget = budget or Budget(Paid.TRANSCRIPTION)
        self._client: AsyncOpenAI = connect(api_key, self._options.base_url)
        self._who = service_name(self._options.base_url)

    async def transcribe(self, samples: Int16Array, language: Language) -> str:
        """The words in `samples` (n,) at 16 kHz mono, empty when there are none.

        Raises `InvalidAudio` below 100 ms, `ProviderFailed` when the service fails,
        `BudgetUsedUp` when no more may be sent today. Cancelling is safe and closes the connection.
        """
        if len(samples) < SAMPLE_RATE_HZ * _SHORTEST_MS // 1000:
            raise InvalidAudio(
                f"At least {_SHORTEST_MS} ms of speech were expected, "
                f"{len(samples) * 1000 // SAMPLE_RATE_HZ} ms came."
            )
        wav, duration_s = _wav(samples), len(samples) / SAMPLE_RATE_HZ
        seconds = self._options.answer_s
        return await self._retries.run(
            lambda: self._ask(wav, duration_s, language),
            within_s=seconds,
            late=f"{self._who} gave no transcript within {seconds:g} s.",
        )

    async def check(self) -> str:
        """One cheap call: asks for the model by name. Raises like `transcribe`."""
        options = self._options
        return await check_model(self._client, options.model, options.answer_s, self._who)

    async def close(self) -> None:
        await self._client.close()

    async def _ask(self, wav: bytes, duration_s: float, language: Language) -> str:
        with self._budget.spend(duration_s):
            transcript = await self._transcript(wav, language)
        # The library hands over a plain string when the answer is no JSON.
        text = getattr(transcript, "text", None)
        if not isinstance(text, str):
            raise ProviderFailed(f"{self._who} sent an answer that could not be read.")
        return text.strip()

    async def _transcript(self, wav: bytes, language: Language) -> object:
        try:
            return await self._client.audio.transcriptions.create(
                model=self._options.model,
                file=("speech.wav", wav, "audio/wav"),
                language=language.value,
                response_format="json",
            )
        except Exception as error:  # the border to the library: see `failure`
            raise failure(error, self._who, self._options.model) from None


def _wav(samples: Int16Array) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(SAMPLE_RATE_HZ)
        writer.writeframes(samples.astype("<i2").tobytes())
    return file.getvalue()
