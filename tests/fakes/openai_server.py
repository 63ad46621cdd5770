"""A server on loopback that speaks OpenAI's HTTP and its streams of events."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

import numpy as np
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from tests.deadlines import TEST_DEADLINE_S


@dataclass(frozen=True, slots=True)
class Refusal:
    """Answers with an error of the API."""

    status: int
    code: str = ""
    retry_after: str | None = None
    # Real services repeat parts of the key; this one goes further.
    message: str = "Something about {key}"


@dataclass(frozen=True, slots=True)
class Talk:
    """Streams `pieces`. `first_s` and `each_s` are pauses; `then` is how it ends: ``done``,
    ``cut`` (the connection breaks), ``stall`` (nothing more comes), ``short`` (the stream ends
    without its last event), ``garbage`` (an event that is no JSON). `tokens` is how many the
    request is said to have used, when that is asked for."""

    pieces: Sequence[str] = ("Hello", " there.")
    then: str = "done"
    first_s: float = 0.0
    each_s: float = 0.0
    tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Sound:
    """Streams a tone of `seconds` as 24 kHz PCM in odd-sized parts, ending as `Talk` does."""

    seconds: float = 1.0
    then: str = "done"
    first_s: float = 0.0
    part_bytes: int = 4_801


@dataclass(frozen=True, slots=True)
class Transcript:
    """Answers with `text`."""

    text: str


@dataclass(frozen=True, slots=True)
class Raw:
    """Answers with these bytes, one part at a time, under a content type of its own."""

    parts: Sequence[bytes]
    content_type: str = "text/event-stream"
    then: str = "done"


Script = Refusal | Talk | Sound | Transcript | Raw


@dataclass
class FakeOpenAI:
    """Takes the next entry of `script` for each request; the last one stays.

    `requests` are the paths, headers and bodies that came, `cancelled` counts the streams that
    the client closed before their end. A request with an `unknown` parameter is refused with
    status 400.
    """

    script: list[Script]
    models: tuple[str, ...] = ("gpt-4o", "gpt-4o-mini-tts", "gpt-4o-mini-transcribe")
    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    cancelled: int = 0
    unknown: frozenset[str] = frozenset()
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    base_url: str = ""

    @property
    def bodies(self) -> list[dict[str, object]]:
        return [json.loads(body) for _, _, body in self.requests]

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/v1/chat/completions", self._answer, methods=["POST"]),
                Route("/v1/audio/speech", self._answer, methods=["POST"]),
                Route("/v1/audio/transcriptions", self._answer, methods=["POST"]),
                Route("/v1/models/{model:path}", self._model),
            ]
        )

    async def _answer(self, request: Request) -> Response:
        self.requests.append((request.url.path, dict(request.headers), await request.body()))
        self.asked.set()
        if self.unknown & asked_parameters(self.requests[-1][2]):
            return self._refuse(Refusal(400, "unknown_parameter"), request)
        entry = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        match entry:
            case Refusal():
                return self._refuse(entry, request)
            case Talk():
                return StreamingResponse(
                    self._watched(self._talk(entry, self.requests[-1][2])),
                    media_type="text/event-stream",
                )
            case Sound():
                return StreamingResponse(
                    self._watched(self._sound(entry)), media_type="application/octet-stream"
                )
            case Raw():
                return StreamingResponse(self._watched(_raw(entry)), media_type=entry.content_type)
            case Transcript():
                return JSONResponse({"text": entry.text})

    async def _model(self, request: Request) -> Response:
        self.requests.append((request.url.path, dict(request.headers), b"{}"))
        if self.script and isinstance(self.script[0], Refusal):
            return self._refuse(self.script[0], request)
        model = request.path_params["model"]
        if model not in self.models:
            return self._refuse(Refusal(404, "model_not_found"), request)
        return JSONResponse({"id": model, "object": "model", "created": 1, "owned_by": "openai"})

    def _refuse(self, entry: Refusal, request: Request) -> Response:
        key = request.headers.get("authorization", "")
        error = {
            "message": entry.message.format(key=key),
            "type": "invalid_request_error",
            "param": None,
            "code": entry.code or None,
        }
        headers = {} if entry.retry_after is None else {"retry-after": entry.retry_after}
        return JSONResponse({"error": error}, entry.status, headers)

    async def _watched(self, stream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        try:
            async for part in stream:
                yield part
        except (asyncio.CancelledError, GeneratorExit):
            self.cancelled += 1
            self.closed.set()
            raise

    async def _talk(self, entry: Talk, body: bytes) -> AsyncIterator[bytes]:
        await asyncio.sleep(entry.first_s)
        yield _event({"role": "assistant", "content": ""})
        for piece in entry.pieces:
            yield _event({"content": piece})
            await asyncio.sleep(entry.each_s)
        await _end(entry.then)
        if entry.then == "garbage":
            yield b"data: {this is no JSON}\n\n"
        if entry.then == "done":
            yield _event({}, finish="stop")
            if entry.tokens is not None and "stream_options" in asked_parameters(body):
                yield _usage(entry.tokens)
            yield b"data: [DONE]\n\n"

    async def _sound(self, entry: Sound) -> AsyncIterator[bytes]:
        await asyncio.sleep(entry.first_s)
        time = np.arange(round(entry.seconds * 24_000)) / 24_000
        data = (np.sin(2 * np.pi * 440 * time) * 16_000).astype("<i2").tobytes()
        for start in range(0, len(data), entry.part_bytes):
            yield data[start : start + entry.part_bytes]
        await _end(entry.then)


async def _raw(entry: Raw) -> AsyncIterator[bytes]:
    for part in entry.parts:
        yield part
    await _end(entry.then)


def asked_parameters(body: bytes) -> set[str]:
    """The names in a JSON body; none in another one."""
    return set(json.loads(body)) if body.startswith(b"{") else set()


def _usage(tokens: int) -> bytes:
    chunk = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "gpt-4o",
        "choices": [],
        "usage": {"prompt_tokens": tokens - 1, "completion_tokens": 1, "total_tokens": tokens},
    }
    return f"data: {json.dumps(chunk)}\n\n".encode()


async def _end(then: str) -> None:
    if then == "stall":
        await asyncio.Event().wait()
    if then == "cut":
        raise ConnectionResetError("the connection breaks here on purpose")


def _event(delta: dict[str, str], finish: str | None = None) -> bytes:
    chunk = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "gpt-4o",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    }
    return f"data: {json.dumps(chunk)}\n\n".encode()


@asynccontextmanager
async def fake_openai(*script: Script) -> AsyncIterator[FakeOpenAI]:
    """Serve `script` on a free port; `base_url` of the result is where."""
    fake = FakeOpenAI(list(script))
    async with serving(fake.app) as url:
        fake.base_url = f"{url}/v1"
        yield fake


@asynccontextmanager
async def serving(app: Callable[[], Starlette]) -> AsyncIterator[str]:
    """Run an app on a free port of loopback; the value is its URL."""
    config = uvicorn.Config(
        app(), host="127.0.0.1", port=0, log_config=None, timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    socket = config.bind_socket()
    task = asyncio.create_task(server.serve(sockets=[socket]))
    try:
        # The socket listens from here on: a request that comes too early waits in its backlog.
        socket.listen()
        yield f"http://127.0.0.1:{socket.getsockname()[1]}"
    finally:
        server.should_exit = True
        await task
        socket.close()


@contextmanager
def fake_openai_in_thread(*script: Script) -> Iterator[FakeOpenAI]:
    """The same for tests without an event loop of their own."""
    started: Future[tuple[FakeOpenAI, asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def serve() -> None:
        async with fake_openai(*script) as fake:
            over = asyncio.Event()
            started.set_result((fake, asyncio.get_running_loop(), over))
            await over.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    fake, loop, over = started.result(timeout=TEST_DEADLINE_S)
    try:
        yield fake
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join()
