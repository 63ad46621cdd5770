"""Limit the connections of a server before anything is read: how many there are, how long a
request may take to arrive, how long an answer may stay unread.

uvicorn's two protocols are made to report to `Connections`. They lean on uvicorn's inside, which
`tests/server/test_connections.py` holds to what is used here.
"""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import dataclass
from enum import Enum
from typing import Any, cast

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.utils import get_remote_addr
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from ditto_avatar.clock import Clock
from ditto_avatar.errors import where_raised
from ditto_avatar.metrics import Metrics
from ditto_avatar.server.addresses import TrustedProxies, group
from ditto_avatar.server.headers import SECURITY_HEADERS
from ditto_avatar.server.throttle import Shares

log = logging.getLogger(__name__)

# What uvicorn and websockets say of a connection. Only what is our mistake is worth a line: the
# rest is counted, and would let visitors fill the log.
_peer_log = logging.getLogger(f"{__name__}.peers")

# The largest head of a request: browsers send one or two kilobytes.
MAX_HEAD_BYTES = 32 * 1024
# A page sends some 30 frames a second; one that was held up by the network may send more at once.
_FRAMES_PER_SECOND = 1_000
# Pieces that one WebSocket message may be sent in; browsers send large ones in one.
_MAX_PIECES = 1_000
# What is read at once, so that a flood of the smallest frames is noticed soon.
_SLICE_BYTES = 8 * 1024
_INVALID_UTF8 = 1007
_POLICY_VIOLATION = 1008


class RequestPart(Enum):
    """The parts of a request that a peer may still have to send. The value is how many times
    `request_s` it may take: the application refuses a slow body first, with an answer."""

    HEAD = 1
    BODY = 2


@dataclass(slots=True)
class _Connection:
    """The state of one connection: its part of a request that is due, and when."""

    transport: asyncio.Transport
    address: str | None
    request_due: float
    expected: RequestPart | None = RequestPart.HEAD
    read_due: float | None = None


class Connections:
    """Count all open connections, by transport. A trusted proxy speaks for many visitors and counts
    for the total only."""

    def __init__(
        self,
        *,
        most: int,
        most_per_address: int,
        request_s: float,
        unread_s: float,
        proxies: TrustedProxies,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self._most = most
        self._request_s = request_s
        self._unread_s = unread_s
        self._proxies = proxies
        self._clock = clock
        self._metrics = metrics
        self._shares = Shares(most_per_address)
        self._open: dict[asyncio.Transport, _Connection] = {}

    def __len__(self) -> int:
        return len(self._open)

    def opened(self, transport: asyncio.Transport) -> bool:
        """Take a place for a new connection, from which a request is expected; False if there is
        none, and the connection is ended."""
        peer = get_remote_addr(transport)
        host = peer[0] if peer is not None else "unknown"
        address = None if host in self._proxies else group(host)
        reason = None
        if len(self._open) >= self._most and not self._make_room_for(address):
            reason = "too_many"
        elif address is not None and not self._shares.take(address):
            reason = "too_many_of_address"
        if reason is not None:
            self._end(transport, reason)
            return False
        due = self._clock.now() + self._request_s
        self._open[transport] = _Connection(transport, address, due)
        return True

    def closed(self, transport: asyncio.Transport) -> None:
        """Give the place back; nothing happens for a connection that had none."""
        connection = self._open.pop(transport, None)
        if connection is not None and connection.address is not None:
            self._shares.give_back(connection.address)

    def expect(self, transport: asyncio.Transport, part: RequestPart | None) -> None:
        """Say which part of a request is still to come; None for no request. The time that it
        may take runs from the first call that names it."""
        connection = self._open.get(transport)
        if connection is None or connection.expected is part:
            return
        connection.expected = part
        if part is not None:
            connection.request_due = self._clock.now() + part.value * self._request_s

    def unread(self, transport: asyncio.Transport, *, full: bool) -> None:
        """Say whether what was sent to the peer fills the buffer, because it does not read."""
        if (connection := self._open.get(transport)) is not None:
            connection.read_due = self._clock.now() + self._unread_s if full else None

    def sweep(self) -> None:
        """End the connections whose time is over. To be called about once a second."""
        now = self._clock.now()
        for connection in list(self._open.values()):
            if connection.transport.is_closing() and connection.read_due is None:
                # It closes once the peer has read the rest, which it may never do.
                connection.read_due = now + self._unread_s
            if connection.expected is not None and now >= connection.request_due:
                self._end(connection.transport, "no_request")
            elif connection.read_due is not None and now >= connection.read_due:
                self._end(connection.transport, "unread")

    def invalid(self) -> None:
        """Count a request that is not HTTP or too large, or a malformed frame."""
        self._metrics.connections_ended.labels("invalid").inc()

    def _make_room_for(self, address: str | None) -> bool:
        """End a connection of the address that has the most, if `address` has fewer even with one
        more; else a few addresses could take all there are. Return whether one was ended."""
        holder, held = self._shares.largest()
        if held <= self._shares.held(address) + 1:
            return False
        theirs = [c for c in reversed(self._open.values()) if c.address == holder]
        # Rather one that has not asked for anything; else the newest.
        ended = next((c for c in theirs if c.expected is not None), theirs[0])
        self._end(ended.transport, "made_room")
        self.closed(ended.transport)
        return True

    def _end(self, transport: asyncio.Transport, reason: str) -> None:
        self._metrics.connections_ended.labels(reason).inc()
        transport.abort()


class HttpConnection(H11Protocol):
    """Serve HTTP/1.1 with a place among `connections`, a limit for the head and deadlines."""

    def __init__(self, *args: Any, connections: Connections, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.logger = _peer_log
        self._places = connections
        self._admitted = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a place before anything is read. Called by the loop."""
        super().connection_made(cast(asyncio.Transport, transport))
        self._admitted = self._places.opened(self.transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Give the place back. Called by the loop."""
        self._places.closed(self.transport)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read a request, within its deadlines. Called by the loop."""
        if not self._admitted or self.transport.is_closing():
            return
        try:
            super().data_received(data)
        except Exception as error:
            # The border of a connection: whatever a peer sends, only its own connection ends.
            log.error("a request could not be read: %s", where_raised(error))
            self._places.invalid()
            self.transport.abort()
        self._update_expected()

    def on_response_complete(self) -> None:
        """Expect the next request. Called by uvicorn at the end of an answer."""
        super().on_response_complete()
        self._update_expected()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is not HTTP, or has a head that is too large. Called by uvicorn."""
        self._places.invalid()
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.abort()  # in the middle of an answer
            return
        body = json.dumps(
            {"error": {"code": "invalid_request", "message": "Expected an HTTP/1.1 request."}}
        ).encode()
        headers = [
            *self.server_state.default_headers,
            *SECURITY_HEADERS,
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
        ]
        response = h11.Response(status_code=400, headers=headers, reason=b"Bad Request")
        for event in (response, h11.Data(data=body), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def pause_writing(self) -> None:
        """Note that the peer does not read. Called by the transport when its buffer is full."""
        self._places.unread(self.transport, full=True)
        super().pause_writing()

    def resume_writing(self) -> None:
        """Note that the peer reads again. Called by the transport when its buffer has room, and
        when it closes."""
        self._places.unread(self.transport, full=False)
        super().resume_writing()

    def _update_expected(self) -> None:
        """Report which part of a request is still to come."""
        if self.transport.get_protocol() is not self:
            return  # a WebSocket by now
        part = None
        if self.conn.their_state is h11.SEND_BODY:
            part = RequestPart.BODY
        elif self.conn.their_state is h11.IDLE and (
            self.cycle is None or self.conn.trailing_data[0]
        ):
            part = RequestPart.HEAD
        self._places.expect(self.transport, part)


class WebSocketConnection(WebSocketsSansIOProtocol):
    """Serve a WebSocket on a connection that `HttpConnection` has a place for."""

    def __init__(self, *args: Any, connections: Connections, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Frames hold what visitors say: they are not logged at any level.
        self.logger, self.conn.logger, self.conn.debug = _peer_log, _peer_log, False
        self._places = connections
        self._full = False
        self._second, self._frames_in_second = 0, 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the WebSocket. Called by `HttpConnection` for a request that asks for one."""
        super().connection_made(transport)
        self._places.expect(self.transport, None)

    def connection_lost(self, exc: Exception | None) -> None:
        """Give the place back. Called by the loop."""
        self._places.closed(self.transport)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read frames, some at a time. Called by the loop."""
        try:
            for start in range(0, len(data), _SLICE_BYTES):
                if self.transport.is_closing():
                    return
                super().data_received(data[start : start + _SLICE_BYTES])
        except Exception as error:
            # The border of a connection: whatever a peer sends, only its own connection ends.
            log.error("a frame could not be read: %s", where_raised(error))
            self._places.invalid()
            self.transport.abort()

    def handle_events(self) -> None:
        """Count the frames that were read in `conn`. Called by uvicorn."""
        second = int(self.loop.time())
        if second != self._second:
            self._second, self._frames_in_second = second, 0
        self._frames_in_second += len(self.conn.events)
        if self._frames_in_second > _FRAMES_PER_SECOND:
            self.conn.events_received()
            self._refuse(_POLICY_VIOLATION, "too many frames in a second")
            return
        super().handle_events()

    def send_receive_event_to_app(self) -> None:
        """Hand on a whole message; refuse text that is not UTF-8. Called by uvicorn."""
        if self.curr_msg_data_type == "text" and not _is_utf8(b"".join(self.frames)):
            self._refuse(_INVALID_UTF8, "a text message has to be UTF-8")
            return
        super().send_receive_event_to_app()

    def handle_cont(self, event: Any) -> None:
        """Take a further piece of a message. Called by uvicorn."""
        if len(self.frames) >= _MAX_PIECES:
            self._refuse(_POLICY_VIOLATION, "a message in too many pieces")
            return
        super().handle_cont(event)

    def handle_ping(self) -> None:
        """Answer a ping, unless the peer does not read its answers. Called by uvicorn."""
        if self._full:
            self.conn.data_to_send()
            return
        super().handle_ping()

    def pause_writing(self) -> None:
        """Note that the peer does not read. Called by the transport when its buffer is full."""
        self._full = True
        self._places.unread(self.transport, full=True)
        super().pause_writing()

    def resume_writing(self) -> None:
        """Note that the peer reads again. Called by the transport when its buffer has room."""
        self._full = False
        self._places.unread(self.transport, full=False)
        super().resume_writing()

    def _refuse(self, code: int, reason: str) -> None:
        self._places.invalid()
        self.frames = []
        if not self.close_sent:
            self.conn.send_close(code, reason)
            self.handle_parser_exception()


def protocols(
    connections: Connections,
) -> tuple[type[asyncio.Protocol], type[asyncio.Protocol]]:
    """Return the classes for `uvicorn.Config(http=…, ws=…)`, with a place among `connections`."""
    _peer_log.setLevel(logging.ERROR)

    class Http(HttpConnection):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, connections=connections, **kwargs)

    class WebSocket(WebSocketConnection):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, connections=connections, **kwargs)

    return Http, WebSocket


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
