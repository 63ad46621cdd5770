"""Google's text-to-speech service on loopback, from the client library's own messages."""

from __future__ import annotations

import asyncio
import io
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import numpy as np
from google.cloud import texttospeech_v1 as tts

_SERVICE = "google.cloud.texttospeech.v1.TextToSpeech"


@dataclass
class FakeGoogle:
    """Gives a tone of `seconds`. `refuse` makes every call fail with that status; `stall_after`
    and `break_after` stop a stream after so many parts. Voices in `without_rate` take no
    speaking rate, those in `without_streaming` do not stream."""

    refuse: grpc.StatusCode | None = None
    refusals: int = 10**6
    detail: str = "no"
    seconds: float = 1.0
    first_s: float = 0.0
    stall_after: int | None = None
    break_after: int | None = None
    without_rate: tuple[str, ...] = ()
    without_streaming: tuple[str, ...] = ()
    calls: list[tuple[str, Any]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)
    endpoint: str = ""

    def handler(self) -> grpc.GenericRpcHandler:
        return grpc.method_handlers_generic_handler(
            _SERVICE,
            {
                "SynthesizeSpeech": grpc.unary_unary_rpc_method_handler(
                    self._whole,
                    tts.SynthesizeSpeechRequest.deserialize,
                    tts.SynthesizeSpeechResponse.serialize,
                ),
                "StreamingSynthesize": grpc.stream_stream_rpc_method_handler(
                    self._stream,
                    tts.StreamingSynthesizeRequest.deserialize,
                    tts.StreamingSynthesizeResponse.serialize,
                ),
                "ListVoices": grpc.unary_unary_rpc_method_handler(
                    self._voices,
                    tts.ListVoicesRequest.deserialize,
                    tts.ListVoicesResponse.serialize,
                ),
            },
        )

    async def _enter(self, name: str, request: Any, context: Any) -> None:
        self.calls.append((name, request))
        sent = dict(context.invocation_metadata())
        self.keys.append(sent.get("x-goog-api-key", ""))
        if self.refuse is not None and self.refusals > 0:
            self.refusals -= 1
            await context.abort(self.refuse, f"{self.detail} {self.keys[-1]}")

    async def _whole(
        self, request: tts.SynthesizeSpeechRequest, context: Any
    ) -> tts.SynthesizeSpeechResponse:
        await self._enter("whole", request, context)
        if request.voice.name in self.without_rate and request.audio_config.speaking_rate:
            await context.abort(
                grpc.StatusCode.INVALID_ARGUMENT, "This voice has no speaking rate."
            )
        await asyncio.sleep(self.first_s)
        file = io.BytesIO()
        with wave.open(file, "wb") as writer:
            writer.setparams((1, 2, request.audio_config.sample_rate_hertz, 0, "NONE", ""))
            writer.writeframes(self._tone())
        return tts.SynthesizeSpeechResponse(audio_content=file.getvalue())

    async def _stream(
        self, requests: AsyncIterator[tts.StreamingSynthesizeRequest], context: Any
    ) -> AsyncIterator[tts.StreamingSynthesizeResponse]:
        config = (await anext(requests)).streaming_config
        text = (await anext(requests)).input.text
        await self._enter("stream", (config, text), context)
        if config.voice.name in self.without_streaming:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "Only some voices stream.")
        if config.voice.name in self.without_rate and config.streaming_audio_config.speaking_rate:
            await context.abort(
                grpc.StatusCode.INVALID_ARGUMENT, "This voice has no speaking rate."
            )
        try:
            await asyncio.sleep(self.first_s)
            tone = self._tone()
            for number, start in enumerate(range(0, len(tone), 3_201)):
                if number == self.break_after:
                    await context.abort(grpc.StatusCode.INTERNAL, "broken")
                if number == self.stall_after:
                    await asyncio.Event().wait()
                yield tts.StreamingSynthesizeResponse(audio_content=tone[start : start + 3_201])
        except asyncio.CancelledError:
            self.cancelled.set()
            raise

    async def _voices(self, request: tts.ListVoicesRequest, context: Any) -> tts.ListVoicesResponse:
        await self._enter("voices", request, context)
        name = f"{request.language_code}-Chirp3-HD-Aoede"
        return tts.ListVoicesResponse(voices=[tts.Voice(name=name)])

    def _tone(self) -> bytes:
        time = np.arange(round(self.seconds * 16_000)) / 16_000
        return (np.sin(2 * np.pi * 440 * time) * 16_000).astype("<i2").tobytes()


@asynccontextmanager
async def fake_google(fake: FakeGoogle | None = None) -> AsyncIterator[FakeGoogle]:
    """Serve on a free port; `endpoint` of the result is where."""
    fake = fake or FakeGoogle()
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((fake.handler(),))
    fake.endpoint = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    try:
        yield fake
    finally:
        await server.stop(None)
