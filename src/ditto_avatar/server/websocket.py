"""One viewer's connection: frames in to the session, events of the session out."""

from __future__ import annotations

import asyncio
import logging

from fastapi import APIRouter, WebSocket, WebSocketDisconnect
from starlette.websockets import WebSocketState

from ditto_avatar.errors import (
    DittoAvatarError,
    InvalidInput,
    NotFound,
    outcome_of,
    public_text,
)
from ditto_avatar.server import wire
from ditto_avatar.server.house import House
from ditto_avatar.server.origin import may_connect
from ditto_avatar.session import events
from ditto_avatar.session.conversation import MESSAGE, SAY
from ditto_avatar.session.microphone import Microphone
from ditto_avatar.session.outbox import Numbered, Outbox, Overflow
from ditto_avatar.session.reports import PlaybackReport, Playing
from ditto_avatar.session.session import Session
from ditto_avatar.speech.listening import ListenMode

log = logging.getLogger(__name__)
router = APIRouter()

HELLO_TIMEOUT_S = 10.0
NO_HELLO, FOREIGN_PAGE, SILENT, TOO_BUSY, RESTART = 4400, 4403, 4408, 1013, 1012


@router.websocket("/ws")
async def connect(socket: WebSocket) -> None:
    """Serve one viewer until it leaves or the session ends."""
    house: House = socket.app.state.house
    headers = socket.headers
    if not may_connect(headers.get("origin"), headers.get("host"), house.settings.allowed_origins):
        await _turn_away(socket)
        return
    await socket.accept()
    try:
        hello = await _greeting(socket)
        if hello is None:
            return
        session, resumed = await _session_for(house, hello, _address(socket))
    except DittoAvatarError as error:
        await _refuse(socket, error)
        return
    except WebSocketDisconnect:
        return
    outbox = Outbox(streams=hello.playback is wire.PlaybackMode.STREAM)
    session.attach(outbox, resumed=resumed, after=hello.after if resumed else None)
    viewer = _Viewer(house, session, outbox)
    writer = asyncio.create_task(_write(socket, outbox))
    reader = asyncio.create_task(_read(socket, viewer))
    try:
        await asyncio.wait({writer, reader}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        session.detach(outbox)
        outbox.close()
        for task in (writer, reader):
            task.cancel()
        await asyncio.gather(writer, reader, viewer.microphone.close(), return_exceptions=True)


async def _turn_away(socket: WebSocket) -> None:
    """Refuse a foreign page: what it says is not read, and all it hears is why. A handshake that
    fails tells a browser nothing (close code 1006), and its page would try again for ever."""
    log.warning("a page of %r was refused", socket.headers.get("origin"))
    await socket.accept()
    await socket.close(FOREIGN_PAGE, "this page may not connect")


async def _greeting(socket: WebSocket) -> wire.Hello | None:
    try:
        async with asyncio.timeout(HELLO_TIMEOUT_S):
            message = wire.parse(await _receive_text(socket))
    except TimeoutError:
        await socket.close(SILENT, "no hello within 10 s")
        return None
    except InvalidInput as error:
        await socket.close(NO_HELLO, _short(str(error)))
        return None
    if not isinstance(message, wire.Hello):
        await socket.close(NO_HELLO, f"expected hello, came {message.type}")
        return None
    return message


async def _session_for(house: House, hello: wire.Hello, address: str) -> tuple[Session, bool]:
    if hello.session is not None and hello.token is not None:
        try:
            return await house.registry.find(hello.session, hello.token), True
        except NotFound:
            # It ended while the page was away: the person goes on with a new one.
            log.info("a viewer came back to a session that has ended")
    return await house.registry.open(address, hello.avatar, hello.language), False


async def _refuse(socket: WebSocket, error: DittoAvatarError) -> None:
    outcome = outcome_of(error)
    failure = events.Failure(outcome.code, public_text(error))
    await socket.send_text(wire.encode(Numbered(failure, None)))
    await socket.close(outcome.close or TOO_BUSY, _short(str(error)))


async def _write(socket: WebSocket, outbox: Outbox) -> None:
    try:
        while (numbered := await outbox.get()) is not None:
            await socket.send_text(wire.encode(numbered))
            event = numbered.event
            if isinstance(event, events.SegmentData) and event.data:
                await socket.send_bytes(event.data)
        await socket.close(RESTART, "the session ended")
    except Overflow:
        await socket.close(TOO_BUSY, "too many events were left unread")
    except (WebSocketDisconnect, RuntimeError):
        # The viewer went away while something was on its way to it.
        log.debug("a viewer left while it was written to")


class _Viewer:
    """What the reader needs to serve one connection."""

    def __init__(self, house: House, session: Session, outbox: Outbox) -> None:
        self.house = house
        self.session = session
        self.outbox = outbox
        self.microphone = Microphone(
            house.listener,
            session,
            tell=lambda event: session.tell(outbox, event),
            fail=self.fail,
        )

    async def handle(self, message: wire.ClientMessage) -> None:
        """Do what a message asks for. Raises `DittoAvatarError`."""
        session = self.session
        match message:
            case wire.UserText(text=text, id=client_id, idle_frame=idle_frame):
                await session.submit(MESSAGE, text, client_id, idle_frame, asker=self.outbox)
            case wire.Say(text=text, id=client_id, idle_frame=idle_frame):
                await session.submit(SAY, text, client_id, idle_frame, asker=self.outbox)
            case wire.Interrupt():
                await session.interrupt()
            case wire.AvatarSelect(avatar=avatar):
                await session.select_avatar(avatar)
            case wire.LanguageSelect(language=language):
                await session.select_language(language)
            case wire.Playback():
                self._playback(message)
            case wire.Ping(t=t):
                session.tell(self.outbox, events.Pong(t))
            case wire.AudioStart(mode=mode, idle_frame=idle_frame):
                self.microphone.start(ListenMode(mode), idle_frame)
            case wire.AudioStop():
                self.microphone.stop()
            case wire.Hello():
                raise InvalidInput("hello is the first message only.")

    def fail(self, error: Exception) -> None:
        """Tell this viewer what went wrong; the connection stays."""
        outcome = outcome_of(error)
        self.house.metrics.errors.labels(outcome.code).inc()
        self.session.tell(self.outbox, events.Failure(outcome.code, public_text(error)))

    def _playback(self, report: wire.Playback) -> None:
        if report.drift_ms is not None:
            self.house.metrics.drift_s.observe(abs(report.drift_ms) / 1000)
        painted = report.since_text_ms if report.state is Playing.PAINTED else None
        self.session.playback(
            PlaybackReport(
                report.segment,
                report.state,
                report.media_ms / 1000,
                painted_after_s=painted / 1000 if painted is not None else None,
                drift_ms=report.drift_ms,
                idle_frame=report.idle_frame,
            )
        )


async def _read(socket: WebSocket, viewer: _Viewer) -> None:
    while socket.client_state is WebSocketState.CONNECTED:
        frame = await socket.receive()
        if frame["type"] == "websocket.disconnect":
            return
        try:
            if (text := frame.get("text")) is not None:
                await viewer.handle(wire.parse(text))
            else:
                viewer.microphone.push(frame.get("bytes") or b"")
        except DittoAvatarError as error:
            viewer.fail(error)
        except Exception as error:
            # The border of a connection: a bug in one message must not end it.
            log.exception("a message could not be handled")
            viewer.fail(error)


async def _receive_text(socket: WebSocket) -> str:
    frame = await socket.receive()
    if frame["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(frame.get("code", 1005))
    text: str | None = frame.get("text")
    if text is None:
        raise InvalidInput("Expected hello as a text frame, came a binary one.")
    return text


def _address(socket: WebSocket) -> str:
    return socket.client.host if socket.client else "unknown"


def _short(text: str) -> str:
    # A close frame carries at most 123 bytes of reason.
    return text.encode()[:120].decode(errors="ignore")
