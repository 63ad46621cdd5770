"""A server for the page alone: it speaks docs/protocol.md over a real socket, with real clips.

Every picture carries its place in the idle loop as a row of light and dark blocks, so a test can
read from the screen which pose is shown. What the person types chooses what happens: a text that
is a key of `PageServer.answers` gets that `Answer`, any other one the default.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import threading
import wave
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket, WebSocketDisconnect

import ditto_avatar
from ditto_avatar.media.encode import FragmentEncoder, mime_type
from ditto_avatar.types import FRAME_RATE_HZ, SAMPLES_PER_FRAME, ByteArray, FloatArray
from tests.deadlines import TEST_DEADLINE_S

WIDTH, HEIGHT = 256, 320
IDLE_FRAMES = 100
BITS = 7
BLOCK_PX = 32
WEB = Path(ditto_avatar.__file__).parent / "web"
POLICY = (
    "default-src 'self'; media-src 'self' blob:; img-src 'self' data:; "
    "connect-src 'self'; object-src 'none'; base-uri 'none'"
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What happens after a text. `fragments` is how many fragments of each sentence are sent as a
    stream (None: all), `clips` whether the finished clips are told, `hold` keeps the answer back
    until `PageServer.release` is set, `queue` is the position that is told first."""

    sentences: tuple[str, ...] = ("This is the first sentence.", "And this is the second one.")
    seconds: float = 1.2
    fragments: int | None = None
    damaged: bool = False
    clips: bool = True
    hold: bool = False
    queue: int = 0
    error: tuple[str, str] | None = None
    pace_s: float = 0.0


@dataclass(slots=True)
class Session:
    """One session and the events it can repeat."""

    id: str
    token: str
    language: str = "en"
    avatar: str = "dot"
    generation: int = 0
    events: list[dict[str, Any]] = field(default_factory=list)
    history: list[dict[str, Any]] = field(default_factory=list)
    idle_frame: int = 0
    streams: bool = True
    socket: WebSocket | None = None


def pose_picture(pose: int, mouth: float = 0.0, hue: int = 0) -> ByteArray:
    """A face-like RGB picture (HEIGHT, WIDTH, 3) that says `pose` in its top row of blocks."""
    x = np.linspace(0, 1, WIDTH)
    backdrop = np.stack(
        [np.outer(np.full(HEIGHT, 1.0), 150 + 40 * x + s) for s in (hue, 20, 45)], 2
    )
    picture = np.ascontiguousarray(backdrop.clip(0, 255).astype(np.uint8))
    for bit in range(BITS):
        level = 225 if pose >> bit & 1 else 30
        left = 16 + bit * BLOCK_PX
        cv2.rectangle(picture, (left, 8), (left + BLOCK_PX - 1, 39), (level,) * 3, -1)
    sway = int(6 * np.sin(2 * np.pi * pose / IDLE_FRAMES))
    center = (WIDTH // 2 + sway, 190)
    cv2.ellipse(picture, center, (70, 95), 0, 0, 360, (236, 200, 176), -1, cv2.LINE_AA)
    for side in (-28, 28):
        eye = (center[0] + side, 170)
        cv2.ellipse(picture, eye, (10, 6), 0, 0, 360, (50, 40, 40), -1, cv2.LINE_AA)
    lips = (center[0], 235)
    cv2.ellipse(picture, lips, (24, int(3 + 16 * mouth)), 0, 0, 360, (140, 50, 60), -1, cv2.LINE_AA)
    return picture


@lru_cache(maxsize=4)
def idle_clip(hue: int = 0) -> bytes:
    """The idle loop: `IDLE_FRAMES` poses."""
    sink = io.BytesIO()
    with av.open(sink, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=FRAME_RATE_HZ)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.options = {"preset": "superfast", "g": "10", "bf": "0"}
        for pose in range(IDLE_FRAMES):
            picture = av.VideoFrame.from_ndarray(pose_picture(pose, hue=hue), format="rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return sink.getvalue()


def tone(frames: int) -> FloatArray:
    """A syllable-like tone: float32 (frames * 640,) at 16 kHz."""
    t = np.arange(frames * SAMPLES_PER_FRAME) / 16_000
    return (0.3 * np.sin(2 * np.pi * 330 * t) * np.abs(np.sin(np.pi * 3 * t))).astype(np.float32)


@lru_cache(maxsize=64)
def speech_clip(first_frame: int, frames: int) -> tuple[bytes, ...]:
    """The fragments of a spoken sentence that continues idle frame `first_frame`."""
    encoder = FragmentEncoder(WIDTH, HEIGHT)
    audio = tone(frames).reshape(frames, SAMPLES_PER_FRAME)
    fragments = []
    for index in range(frames):
        mouth = abs(np.sin(np.pi * 3 * index / FRAME_RATE_HZ)) if 3 < index < frames - 3 else 0.0
        picture = pose_picture((first_frame + index) % IDLE_FRAMES, mouth)
        yuv = cv2.cvtColor(picture, cv2.COLOR_RGB2YUV_I420).astype(np.uint8)
        fragments += encoder.encode(yuv, audio[index])
    fragments += encoder.finish()
    return tuple(fragment.data for fragment in fragments)


def wav_of(frames: int) -> bytes:
    """The sound of a clip as a WAV file."""
    sink = io.BytesIO()
    with wave.open(sink, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes((tone(frames) * 32767).astype("<i2").tobytes())
    return sink.getvalue()


class PageServer:
    """Runs in a thread of its own; `with PageServer().running() as server: server.url`."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.default = Answer()
        self.received: list[dict[str, Any]] = []
        self.audio = b""
        self.sessions: dict[str, Session] = {}
        self.transcription = "server"
        self.ai_label = "top"
        self.notices: list[dict[str, str]] = []
        self.refuse_with: int | None = None
        self.invitations: list[str] | None = None
        """Join tokens that are left; None opens a session to everybody."""
        self.voices: list[dict[str, Any]] = []
        self.offers: list[dict[str, Any]] = []
        """Voices that can be downloaded, as `GET /api/voices/offers` tells them."""
        self.may_download = True
        self.release = threading.Event()
        self.first_delay_s = 0.02
        self.url = ""
        self._clips: dict[str, tuple[int, int]] = {}
        self._sockets: set[WebSocket] = set()
        self._turns: dict[str, asyncio.Task[None]] = {}
        self._changed = threading.Condition()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._files: dict[str, Path] = {}

    @contextlib.contextmanager
    def running(self, port: int = 0) -> Iterator[PageServer]:
        """Serve on `port` of the loopback interface (0: any free one)."""
        config = uvicorn.Config(
            self._app(),
            host="127.0.0.1",
            port=port,
            log_level="warning",
            lifespan="on",
            timeout_graceful_shutdown=1,
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, daemon=True)
        started = threading.Event()
        self._on_started = started.set
        thread.start()
        if not started.wait(TEST_DEADLINE_S):
            raise TimeoutError("the fake server did not start")
        # The sockets are bound right after the lifespan's start.
        while not server.started:
            thread.join(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        try:
            yield self
        finally:
            self.release.set()
            self.hang_up()
            server.should_exit = True
            thread.join(TEST_DEADLINE_S)

    def wait_for(self, type_: str, count: int = 1, **fields: Any) -> Any:
        """The `count`-th message of that type (and fields) from the page, once it has come."""

        def matches() -> list[dict[str, Any]]:
            return [
                message
                for message in self.received
                if message["type"] == type_
                and all(message.get(key) == value for key, value in fields.items())
            ]

        with self._changed:
            if not self._changed.wait_for(lambda: len(matches()) >= count, TEST_DEADLINE_S):
                raise TimeoutError(f"the page did not send {type_} {fields}; got {self.received}")
            return matches()[count - 1]

    def hang_up(self, code: int = 1012) -> None:
        """Close every socket."""
        self._call(self._hang_up(code))

    def crash(self) -> None:
        """Break every line and forget all but the histories, as a server does that was killed."""
        self._call(self._crash())

    def say_to_all(self, text: str) -> None:
        """Speak in every session, without anybody having typed."""

        async def speak() -> None:
            for socket in list(self._sockets):
                session = socket.state.session
                self._answer(socket, session, {"type": "say", "text": text})

        self._call(speak())

    def send_to_all(self, event: dict[str, Any]) -> None:
        """Send a bare event to every page."""

        async def send() -> None:
            for socket in list(self._sockets):
                await self._send(socket, socket.state.session, event)

        self._call(send())

    def _call(self, work: Any) -> None:
        assert self._loop is not None
        asyncio.run_coroutine_threadsafe(work, self._loop).result(TEST_DEADLINE_S)

    async def _hang_up(self, code: int) -> None:
        for socket in list(self._sockets):
            with contextlib.suppress(RuntimeError):
                await socket.close(code)

    async def _crash(self) -> None:
        for task in self._turns.values():
            task.cancel()
        self._turns.clear()
        for session in self.sessions.values():
            session.events.clear()
        await self._hang_up(1000)

    def _app(self) -> Starlette:
        @contextlib.asynccontextmanager
        async def lifespan(app: Starlette) -> AsyncIterator[None]:
            self._loop = asyncio.get_running_loop()
            self._on_started()
            yield

        return Starlette(
            lifespan=lifespan,
            routes=[
                Route("/", self._page),
                Route("/api/avatars", self._avatars),
                Route("/api/avatars/preparing", self._nothing_preparing),
                Route("/api/voices", self._voices),
                Route("/api/voices/offers", self._offers),
                Route("/api/voices/offers/{name}", self._get_voice, methods=["POST", "DELETE"]),
                Route("/video/{name}.mp4", self._video),
                Route("/audio/{name}.wav", self._sound),
                Route("/idle/{name}.mp4", self._idle),
                Route("/poster/{name}.webp", self._poster),
                WebSocketRoute("/ws", self._ws),
                Mount("/static", StaticFiles(directory=WEB)),
            ],
        )

    async def _page(self, request: Request) -> Response:
        return FileResponse(WEB / "index.html", headers={"content-security-policy": POLICY})

    async def _nothing_preparing(self, request: Request) -> Response:
        return JSONResponse([])

    async def _avatars(self, request: Request) -> Response:
        return JSONResponse([describe("dot", 0), describe("dash", 60)])

    async def _voices(self, request: Request) -> Response:
        return JSONResponse(self.voices)

    async def _offers(self, request: Request) -> Response:
        answer = {
            "may_download": self.may_download,
            "speaking": {"en": "espeak", "ko": "espeak"},
            "offers": self.offers,
        }
        return JSONResponse(answer)

    async def _get_voice(self, request: Request) -> Response:
        body = await request.body()
        name, method = request.path_params["name"], request.method
        self._note({"type": f"voice {method}", "name": name, "body": body.decode()})
        state = {"state": "loading", "share": 0.25} if method == "POST" else {"state": "absent"}
        self.offers[0] |= state
        return JSONResponse(self.offers[0], 202)

    async def _video(self, request: Request) -> Response:
        clip = self._clips.get(request.path_params["name"])
        if clip is None:
            return JSONResponse({"error": {"code": "not_found", "message": "No such clip."}}, 404)
        return ranged(request, b"".join(speech_clip(*clip)), "video/mp4")

    async def _sound(self, request: Request) -> Response:
        _, frames = self._clips[request.path_params["name"]]
        return ranged(request, wav_of(frames), "audio/wav")

    async def _idle(self, request: Request) -> Response:
        hue = 60 if request.path_params["name"] == "dash" else 0
        return ranged(request, await asyncio.to_thread(idle_clip, hue), "video/mp4")

    async def _poster(self, request: Request) -> Response:
        hue = 60 if request.path_params["name"] == "dash" else 0
        picture = cv2.cvtColor(pose_picture(0, hue=hue), cv2.COLOR_RGB2BGR)
        return Response(cv2.imencode(".webp", picture)[1].tobytes(), media_type="image/webp")

    async def _ws(self, socket: WebSocket) -> None:
        await socket.accept()
        if self.refuse_with is not None:
            await socket.close(self.refuse_with)
            return
        hello = json.loads(await socket.receive_text())
        self._note(hello)
        known = self.sessions.get(hello.get("session", ""))
        if hello.get("session") and (known is None or known.token != hello.get("token")):
            await socket.close(4401)
            return
        if known is None and self.invitations is not None and not await self._joins(socket, hello):
            return
        session = known or self._new_session()
        session.language = hello.get("language") or session.language
        session.streams = hello.get("playback") == "stream"
        socket.state.session = session
        session.socket = socket
        await self._greet(socket, session, known is not None, hello.get("after"))
        self._sockets.add(socket)
        try:
            await self._listen(socket, session)
        except (WebSocketDisconnect, RuntimeError):
            pass
        finally:
            self._sockets.discard(socket)

    async def _joins(self, socket: WebSocket, hello: dict[str, Any]) -> bool:
        assert self.invitations is not None
        if (join := hello.get("join")) in self.invitations:
            self.invitations.remove(join)
            return True
        code = "join_needed" if join is None else "join_refused"
        await socket.send_json({"type": "error", "code": code, "message": "Not invited."})
        await socket.close(4407)
        return False

    def _new_session(self) -> Session:
        number = len(self.sessions) + 1
        session = Session(f"session-{number}", f"token-{number}")
        self.sessions[session.id] = session
        return session

    async def _greet(
        self, socket: WebSocket, session: Session, resumed: bool, after: int | None
    ) -> None:
        await socket.send_json(
            {
                "type": "session.ready",
                "session": session.id,
                "token": session.token,
                "resumed": resumed,
                "gap": resumed and (after is None or after > len(session.events)),
                "avatar": describe(session.avatar, 60 if session.avatar == "dash" else 0),
                "language": session.language,
                "history": session.history,
                "notices": self.notices,
                "transcription": self.transcription,
                "ai_label": self.ai_label,
                "running_turn": self._running_turn(session),
                "seq": len(session.events),
            }
        )
        for event in session.events[after:] if after is not None else ():
            await socket.send_json(event)

    def _running_turn(self, session: Session) -> str | None:
        task = self._turns.get(session.id)
        return None if task is None or task.done() else f"turn-{session.id}-{session.generation}"

    async def _listen(self, socket: WebSocket, session: Session) -> None:
        while True:
            frame = await socket.receive()
            if frame["type"] == "websocket.disconnect":
                return
            if frame.get("bytes"):
                self.audio += frame["bytes"]
                self._note({"type": "audio", "bytes": len(frame["bytes"])})
                continue
            message = json.loads(frame["text"])
            self._note(message)
            await self._handle(socket, session, message)

    def _note(self, message: dict[str, Any]) -> None:
        with self._changed:
            self.received.append(message)
            self._changed.notify_all()

    async def _handle(self, socket: WebSocket, session: Session, message: dict[str, Any]) -> None:
        kind = message["type"]
        if kind == "ping":
            await socket.send_json({"type": "pong", "t": message["t"]})
        elif kind in ("user.text", "say"):
            self._answer(socket, session, message)
        elif kind == "interrupt":
            await self._stop(socket, session)
        elif kind == "avatar.select":
            session.avatar = message["avatar"]
            avatar = describe(session.avatar, 60 if session.avatar == "dash" else 0)
            await self._send(socket, session, {"type": "avatar.selected", "avatar": avatar})
        elif kind == "language.select":
            session.language = message["language"]
            event = {"type": "language.selected", "language": session.language}
            await self._send(socket, session, event)

    async def _send(self, socket: WebSocket, session: Session, event: dict[str, Any]) -> None:
        numbered = {**event, "seq": len(session.events) + 1}
        session.events.append(numbered)
        with contextlib.suppress(RuntimeError, WebSocketDisconnect):
            await (session.socket or socket).send_json(numbered)

    async def _stop(self, socket: WebSocket, session: Session) -> None:
        task = self._turns.pop(session.id, None)
        if task is None or task.done():
            return
        task.cancel()
        stopped = {"turn": f"turn-{session.id}-{session.generation}", "reason": "user"}
        event = {"type": "turn.interrupted", "generation": session.generation, **stopped}
        await self._send(socket, session, event)

    def _answer(self, socket: WebSocket, session: Session, message: dict[str, Any]) -> None:
        async def turn() -> None:
            await self._turn(socket, session, message)

        async def restart() -> None:
            await self._stop(socket, session)
            self._turns[session.id] = asyncio.create_task(turn())

        self._restarting = asyncio.create_task(restart())

    async def _turn(self, socket: WebSocket, session: Session, message: dict[str, Any]) -> None:
        session.generation += 1
        answer = self.answers.get(message["text"], self.default)
        turn = f"turn-{session.id}-{session.generation}"
        about = {"turn": turn, "generation": session.generation}
        if answer.error:
            code, text = answer.error
            error = {"type": "error", "code": code, "message": text, "id": message.get("id")}
            await self._send(socket, session, error)
            return
        kind = "say" if message["type"] == "say" else "message"
        started = {"kind": kind, "text": message["text"], "id": message.get("id")}
        await self._send(socket, session, {"type": "turn.started", **about, **started})
        session.history.append({"role": "user", "text": message["text"], "turn": turn, "clips": []})
        if answer.queue:
            queued = {"type": "queue.position", "turn": turn, "position": answer.queue}
            await socket.send_json(queued)
        if answer.hold:
            await asyncio.to_thread(self.release.wait)
        session.idle_frame = int(message.get("idle_frame") or 0) + 8
        await asyncio.sleep(self.first_delay_s)
        sentences = (message["text"],) if kind == "say" else answer.sentences
        clips = [
            await self._sentence(socket, session, about, index, text, answer)
            for index, text in enumerate(sentences)
        ]
        whole = " ".join(sentences)
        timings = {"first_token": 12, "first_sentence": 30, "first_audio": 61, "first_frame": 74}
        timings |= {"first_fragment": 98, "finished": 640}
        session.history.append({"role": "assistant", "text": whole, "turn": turn, "clips": clips})
        finished = {"type": "turn.finished", **about, "text": whole, "timings": timings}
        await self._send(socket, session, finished)

    async def _sentence(
        self,
        socket: WebSocket,
        session: Session,
        about: dict[str, Any],
        index: int,
        text: str,
        answer: Answer,
    ) -> dict[str, Any]:
        for word in text.split():
            delta = {"type": "text.delta", **about, "text": word + " "}
            await self._send(socket, session, delta)
        frames = round(answer.seconds * FRAME_RATE_HZ)
        first = session.idle_frame % IDLE_FRAMES
        session.idle_frame = first + frames
        name = f"{about['turn']}-{index}"
        of_segment = {**about, "segment": name, "index": index}
        told = {**of_segment, "text": text, "emotion": "neutral", "first_frame": first}
        await self._send(
            socket, session, {"type": "segment.started", **told, "mime": mime_type(WIDTH, HEIGHT)}
        )
        fragments = await asyncio.to_thread(speech_clip, first, frames)
        if session.streams:
            await self._stream(socket, of_segment, fragments, answer)
        self._clips[name] = (first, frames)
        clip = {
            **told,
            "video_url": f"/video/{name}.mp4",
            "audio_url": f"/audio/{name}.wav",
            "duration": frames / FRAME_RATE_HZ,
            "last_frame": (first + frames - 1) % IDLE_FRAMES,
        }
        if answer.clips:
            await self._send(socket, session, {"type": "video_ready", **clip})
        return clip

    async def _stream(
        self,
        socket: WebSocket,
        about: dict[str, Any],
        fragments: tuple[bytes, ...],
        answer: Answer,
    ) -> None:
        wanted = fragments[: answer.fragments]
        for index, data in enumerate(wanted):
            sent = bytes(len(data)) if answer.damaged and index else data
            last = index == len(fragments) - 1
            header = {"type": "segment.data", **about, "index": index, "bytes": len(sent)}
            header.pop("turn")
            with contextlib.suppress(RuntimeError, WebSocketDisconnect):
                await socket.send_json({**header, "last": last})
                await socket.send_bytes(sent)
            await asyncio.sleep(answer.pace_s)


def describe(name: str, hue: int) -> dict[str, Any]:
    """An avatar as GET /api/avatars tells it."""
    title = {"dot": {"en": "Dot", "ko": "도트"}, "dash": {"en": "Dash", "ko": "대시"}}[name]
    return {
        "name": name,
        "display_name": title,
        "description": {"en": "A drawn face.", "ko": "그려진 얼굴입니다."},
        "license": "CC0-1.0",
        "provenance": "drawn for the tests",
        "poster_url": f"/poster/{name}.webp",
        "idle_url": f"/idle/{name}.mp4",
        "width": WIDTH,
        "height": HEIGHT,
        "fps": FRAME_RATE_HZ,
        "frames": IDLE_FRAMES,
    }


def ranged(request: Request, data: bytes, media_type: str) -> Response:
    """`data`, or the part of it that the request's Range asks for."""
    headers = {"accept-ranges": "bytes"}
    asked = request.headers.get("range", "")
    if not asked.startswith("bytes="):
        return Response(data, headers=headers, media_type=media_type)
    first, _, last = asked.removeprefix("bytes=").partition("-")
    start = int(first or 0)
    stop = min(int(last) + 1 if last else len(data), len(data))
    headers["content-range"] = f"bytes {start}-{stop - 1}/{len(data)}"
    return Response(data[start:stop], 206, headers=headers, media_type=media_type)
