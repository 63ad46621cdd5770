"""Serve one viewer's connection: frames in to the session, events of the session out."""

from __future__ import annotations

import asyncio
import logging

from fastapi import APIRouter, WebSocket, WebSocketDisconnect
from starlette.websockets import WebSocketState

from ditto_avatar.errors import (
    Busy,
    DittoAvatarError,
    InvalidInput,
    SessionEnded,
    SessionMoved,
    ShuttingDown,
    Unavailable,
    outcome_of,
    public_text,
    where_raised,
)
from ditto_avatar.media.clip import pcm16
from ditto_avatar.server import peers
from ditto_avatar.server.access import Asked
from ditto_avatar.server.gate import visitor_of
from ditto_avatar.server.opening import open_session
from ditto_avatar.server.parts import ServerParts
from ditto_avatar.server.wire import client_messages as messages
from ditto_avatar.server.wire.encoding import encode
from ditto_avatar.session.conversation import MESSAGE, SAY
from ditto_avatar.session.microphone import Microphone
from ditto_avatar.session.ownership import HeldElsewhere, Owner
from ditto_avatar.session.playback import PlaybackReport, PlaybackState
from ditto_avatar.session.session import Session
from ditto_avatar.speech.listening import ListenMode
from ditto_avatar.transport import events
from ditto_avatar.transport.outbox import NumberedEvent, Outbox, Overflow
from ditto_avatar.transport.rtc.viewer import RtcViewer
from ditto_avatar.types import FloatArray

log = logging.getLogger(__name__)
router = APIRouter()

HELLO_TIMEOUT_S = 10.0
NO_HELLO, SILENT, TOO_BUSY, RESTART, FAILED = 4400, 4408, 1013, 1012, 1011
# A message that fails counts as so many more: it costs an answer, and a page sends few of them.
_FAILED_MESSAGE_COST = 3
# How long sending a close frame may take.
_CLOSE_TIMEOUT_S = 1.0


@router.websocket("/ws")
async def connect(socket: WebSocket) -> None:
    """Serve one viewer until it leaves or the session ends."""
    parts: ServerParts = socket.app.state.parts
    await socket.accept()
    try:
        hello = await _greeting(parts, socket)
        if hello is None:
            return
        try:
            session, resumed = await _session_for(parts, hello, socket)
        except HeldElsewhere as elsewhere:
            if peers.is_forwarded(socket.scope):
                raise
            if await _relayed(parts, socket, hello, elsewhere.owner):
                return
            session, resumed = await _session_for(parts, hello, socket)
        if session.viewers >= parts.settings.max_viewers:
            raise Busy(f"This session is open in {session.viewers} places already.")
    except DittoAvatarError as error:
        await _refuse(parts, socket, error)
        return
    except WebSocketDisconnect:
        return
    outbox = Outbox(
        streams=hello.playback is messages.PlaybackMode.STREAM,
        begun=lambda way: parts.metrics.segments.labels(way).inc(),
    )
    after = hello.after if resumed else None
    session.attach(outbox, resumed=resumed, after=after, epoch=hello.epoch)
    await _serve(socket, _Viewer(parts, session, outbox, visitor_of(socket)))


async def _serve(socket: WebSocket, viewer: _Viewer) -> None:
    """Read, write, and watch for what was left unread, until one of them ends."""
    tasks = [
        asyncio.create_task(_write(socket, viewer.outbox)),
        asyncio.create_task(_read(socket, viewer)),
        asyncio.create_task(viewer.outbox.overflowed()),
    ]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        viewer.session.detach(viewer.outbox)
        viewer.outbox.close()
        overflowed = tasks[-1].done()
        for task in tasks:
            task.cancel()
        for end in await asyncio.gather(*tasks, viewer.close(), return_exceptions=True):
            if isinstance(end, Exception):
                viewer.parts.metrics.errors.labels(outcome_of(end).code).inc()
                log.error("a connection broke off: %s", where_raised(end))
        if overflowed:
            log.info("a viewer was disconnected: it left too much unread")
            await _close(socket, TOO_BUSY, "too many events were left unread")


async def _close(socket: WebSocket, code: int, reason: str) -> None:
    """Close, unless that was done or the other side did it. Does not wait for a side that does
    not read; what it holds is dropped when `unread_s` is over."""
    try:
        async with asyncio.timeout(_CLOSE_TIMEOUT_S):
            # A close frame carries at most 123 bytes of reason.
            await socket.close(code, reason.encode()[:120].decode(errors="ignore"))
    except (TimeoutError, WebSocketDisconnect, RuntimeError):
        log.debug("a viewer left before it was closed")


async def _greeting(parts: ServerParts, socket: WebSocket) -> messages.Hello | None:
    try:
        async with asyncio.timeout(HELLO_TIMEOUT_S):
            message = messages.parse(await _receive_text(socket))
        if not isinstance(message, messages.Hello):
            raise InvalidInput(f"Expected hello, came {message.type}.")
    except TimeoutError:
        await _close(socket, SILENT, f"no hello within {HELLO_TIMEOUT_S:g} s")
        return None
    except InvalidInput as error:
        parts.metrics.errors.labels(outcome_of(error).code).inc()
        await _close(socket, NO_HELLO, str(error))
        return None
    return message


async def _session_for(
    parts: ServerParts, hello: messages.Hello, socket: WebSocket
) -> tuple[Session, bool]:
    visitor = visitor_of(socket)
    if hello.session is not None and hello.token is not None:
        try:
            return await parts.registry.find(hello.session, hello.token, visitor), True
        except SessionEnded:
            # It ended while the page was away: the person goes on with a new one.
            log.info("a viewer came back to a session that has ended")
    # A page remembers its presenter; one that was removed gives way to the default.
    avatar = hello.avatar if hello.avatar in parts.avatars else None
    asked = Asked(hello.join, socket.headers.get("origin"), avatar, hello.language, hello.cutout)
    return await open_session(parts, visitor, asked), False


async def _relayed(
    parts: ServerParts, socket: WebSocket, hello: messages.Hello, owner: Owner
) -> bool:
    """Let the server that holds the session serve this viewer; False if it cannot be reached."""
    parts.metrics.sessions_moved.labels("forwarded").inc()
    text = hello.model_dump_json(exclude_none=True)
    try:
        code = await parts.relays.run(socket, text, owner)
    except OSError:
        parts.services.ownership.presume_dead(owner)
        return False
    await _close(socket, code, "")
    return True


async def _refuse(parts: ServerParts, socket: WebSocket, error: DittoAvatarError) -> None:
    outcome = outcome_of(error)
    parts.metrics.errors.labels(outcome.code).inc()
    failure = events.Failure(outcome.code, public_text(error))
    try:
        await socket.send_text(encode(NumberedEvent(failure, None)))
    except WebSocketDisconnect:
        return
    await _close(socket, outcome.close or FAILED, str(error))


async def _write(socket: WebSocket, outbox: Outbox) -> None:
    try:
        while (numbered := await outbox.get()) is not None:
            await socket.send_text(encode(numbered))
            event = numbered.event
            if isinstance(event, events.SegmentData) and event.data:
                await socket.send_bytes(event.data)
        await _close(socket, RESTART, "the session ended")
    except Overflow:
        pass  # `_serve` was told as well, and closes
    except (WebSocketDisconnect, RuntimeError):
        # The viewer went away while something was on its way to it.
        log.debug("a viewer left while it was written to")


class _Viewer:
    """Serve the messages of one connection."""

    def __init__(self, parts: ServerParts, session: Session, outbox: Outbox, address: str) -> None:
        self.parts = parts
        self.session = session
        self.outbox = outbox
        self._address = address
        # What this connection is called where its messages are counted.
        self._name = object()
        self.microphone = Microphone(
            parts.listener,
            parts.paces.sound,
            session,
            tell=outbox.tell,
            fail=self.fail,
        )
        self._rtc = None
        if parts.rtc is not None:
            self._rtc = RtcViewer(parts.rtc, outbox, parts.metrics, heard=self._heard)

    async def handle(self, message: messages.ClientMessage) -> None:
        """Do what a message asks for. Raises `DittoAvatarError`."""
        session = self.session
        match message:
            case messages.UserText(text=text, id=client_id, idle_frame=idle_frame):
                await session.submit(MESSAGE, text, client_id, idle_frame, asker=self.outbox)
            case messages.Say(text=text, id=client_id, idle_frame=idle_frame):
                await session.submit(SAY, text, client_id, idle_frame, asker=self.outbox)
            case messages.Interrupt():
                await session.interrupt()
            case messages.AvatarSelect(avatar=avatar, cutout=cutout):
                library = self.parts.avatars
                await session.choices.avatar(library.cutout_name(avatar) if cutout else avatar)
            case messages.LanguageSelect(language=language):
                await session.choices.language(language)
            case messages.VoiceSelect(voices=voices):
                session.choices.voices(voices)
            case messages.Playback():
                self._playback(message)
            case messages.Ping(t=t):
                self.outbox.tell(events.Pong(t))
            case messages.AudioStart(mode=mode, idle_frame=idle_frame):
                self.microphone.start(ListenMode(mode), idle_frame)
            case messages.AudioStop():
                self.microphone.stop()
            case messages.RtcOffer(sdp=sdp, sound_delay_ms=sound_delay_ms):
                await self._offer(sdp, sound_delay_ms)
            case messages.RtcState(state=state, reason=reason):
                self._rtc_changed(state == "up", reason)
            case messages.Hello():
                raise InvalidInput("hello is the first message only.")

    async def close(self) -> None:
        """Free what the connection holds: its microphone, its WebRTC."""
        await asyncio.gather(
            self.microphone.close(), *([] if self._rtc is None else [self._rtc.close()])
        )

    async def its_turn(self) -> None:
        """Wait while this connection, or its address, has sent more than its share: what it sends
        meanwhile waits in the network."""
        await self.parts.paces.connection.wait(self._name)
        await self.parts.paces.address.wait(self._address)

    def fail(self, error: Exception, message_id: str | None = None) -> None:
        """Tell this viewer what went wrong, and with which of its messages; the connection
        stays."""
        outcome = outcome_of(error)
        self.parts.metrics.errors.labels(outcome.code).inc()
        failure = events.Failure(outcome.code, public_text(error), id=message_id)
        self.outbox.tell(failure)
        self.parts.paces.connection.charge(self._name, _FAILED_MESSAGE_COST)
        self.parts.paces.address.charge(self._address, _FAILED_MESSAGE_COST)

    async def _offer(self, sdp: str, sound_delay_ms: int | None) -> None:
        if self._rtc is None:
            raise Unavailable("This server has no WebRTC.")
        self.parts.paces.offers.take(self.session.id)
        answer = await self._rtc.offer(sdp, self.session.avatar, sound_delay_ms)
        self.outbox.tell(events.RtcAnswer(answer))

    def _rtc_changed(self, up: bool, reason: str) -> None:
        if self._rtc is not None:
            if up:
                self._rtc.start()
            else:
                self._rtc.stop(reason)

    def _heard(self, samples: FloatArray) -> None:
        if self.microphone.on:
            self.microphone.push(pcm16(samples))

    def _playback(self, report: messages.Playback) -> None:
        if self._rtc is not None and report.state is PlaybackState.ENDED:
            self._rtc.played(report.segment)
        painted = report.since_text_ms if report.state is PlaybackState.PAINTED else None
        self.session.playback(
            PlaybackReport(
                report.segment,
                report.state,
                report.media_ms / 1000,
                painted_after_s=painted / 1000 if painted is not None else None,
                waited_s=report.waited_ms / 1000,
                drift_ms=report.drift_ms,
                idle_frame=report.idle_frame,
            )
        )


async def _read(socket: WebSocket, viewer: _Viewer) -> None:
    while socket.client_state is WebSocketState.CONNECTED:
        frame = await socket.receive()
        if frame["type"] == "websocket.disconnect":
            return
        await viewer.its_turn()
        if (text := frame.get("text")) is not None:
            await _take(viewer, text)
        else:
            await _take_sound(viewer, frame.get("bytes") or b"")


async def _take(viewer: _Viewer, text: str) -> None:
    try:
        message = messages.parse(text)
    except InvalidInput as error:
        viewer.fail(error, messages.id_in(text))
        return
    message_id = getattr(message, "id", None)
    try:
        await viewer.handle(message)
    except (ShuttingDown, SessionMoved) as error:
        if not viewer.session.leaving:
            viewer.fail(error, message_id)
        # Else the connection ends in a moment, and the page asks the next server.
    except DittoAvatarError as error:
        viewer.fail(error, message_id)
    except Exception as error:
        # The border of a connection: a bug in one message must not end it.
        log.error("a message could not be handled: %s", where_raised(error))
        viewer.fail(error, message_id)


async def _take_sound(viewer: _Viewer, data: bytes) -> None:
    try:
        viewer.microphone.push(data)
    except DittoAvatarError as error:
        viewer.fail(error)


async def _receive_text(socket: WebSocket) -> str:
    frame = await socket.receive()
    if frame["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(frame.get("code", 1005))
    text: str | None = frame.get("text")
    if text is None:
        raise InvalidInput("Expected hello as a text frame, came a binary one.")
    return text
