"""A language model and a voice on loopback, as slow as the real ones, that note when what came.

Both speak OpenAI's protocol. The model gives its first token after 400 ms and 80 tokens a second
from then on; the voice gives its first sound after 200 ms and four times real time after that. The
voice is the embedded one in another pitch and pace, so that phonemes have to be found in it.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import numpy as np
import soxr
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from ditto_avatar.speech.espeak import EspeakEngine
from ditto_avatar.speech.voices import voice_for
from ditto_avatar.types import Language, joined

FIRST_TOKEN_S = 0.4
TOKENS_PER_S = 80.0
FIRST_SOUND_S = 0.2
SOUND_SPEED = 4.0
_RATE_HZ = 24_000
_PART_BYTES = 4_800
_PITCH = 1.12


@dataclass
class Services:
    """What is answered next, and when things happened, in seconds of the monotonic clock."""

    tokens: list[str] = field(default_factory=list)
    token_times: list[float] = field(default_factory=list)
    speech_asked: list[float] = field(default_factory=list)
    url: str = ""
    speech: EspeakEngine = field(default_factory=EspeakEngine)

    def expect(self, tokens: list[str]) -> None:
        """Answer the next question with `tokens`; times are noted anew."""
        self.tokens, self.token_times, self.speech_asked = tokens, [], []

    def app(self) -> Starlette:
        """The routes of both."""
        return Starlette(
            routes=[
                Route("/v1/chat/completions", self._chat, methods=["POST"]),
                Route("/v1/audio/speech", self._voice, methods=["POST"]),
                Route("/v1/models/{model:path}", self._model),
            ]
        )

    async def _model(self, request: Request) -> Response:
        return JSONResponse({"id": request.path_params["model"], "object": "model"})

    async def _chat(self, request: Request) -> Response:
        return StreamingResponse(self._talk(), media_type="text/event-stream")

    async def _talk(self) -> AsyncIterator[bytes]:
        begin = time.perf_counter() + FIRST_TOKEN_S
        for place, token in enumerate(self.tokens):
            await asyncio.sleep(begin + place / TOKENS_PER_S - time.perf_counter())
            self.token_times.append(time.perf_counter())
            yield _event({"content": token})
        yield _event({}, "stop")
        yield b"data: [DONE]\n\n"

    async def _voice(self, request: Request) -> Response:
        asked = time.perf_counter()
        self.speech_asked.append(asked)
        body = await request.json()
        return StreamingResponse(self._say(body["input"], asked), media_type="audio/pcm")

    async def _say(self, text: str, asked: float) -> AsyncIterator[bytes]:
        voice = voice_for(self.speech, text, Language.ENGLISH)
        sound = joined([chunk async for chunk in self.speech.speak(text, voice)]).samples
        foreign = await asyncio.to_thread(soxr.resample, sound, 16_000 * _PITCH, _RATE_HZ)
        data = (np.clip(foreign, -1, 1) * 32_000).astype("<i2").tobytes()
        for start in range(0, len(data), _PART_BYTES):
            due = asked + FIRST_SOUND_S + start / (2 * _RATE_HZ * SOUND_SPEED)
            await asyncio.sleep(due - time.perf_counter())
            yield data[start : start + _PART_BYTES]


def _event(delta: dict[str, str], finish: str | None = None) -> bytes:
    chunk = {
        "id": "1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "gpt-4o",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    }
    return f"data: {json.dumps(chunk)}\n\n".encode()


@asynccontextmanager
async def services() -> AsyncIterator[Services]:
    """Both services on one free port."""
    made = Services()
    config = uvicorn.Config(
        made.app(), host="127.0.0.1", port=0, log_config=None, timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    socket = config.bind_socket()
    socket.listen()
    task = asyncio.create_task(server.serve(sockets=[socket]))
    made.url = f"http://127.0.0.1:{socket.getsockname()[1]}/v1"
    try:
        yield made
    finally:
        server.should_exit = True
        await task
        socket.close()
        await made.speech.close()
