"""Viewers that are players and broadcasters, not pages: they come by WHEP and speak only WebRTC."""

from __future__ import annotations

import asyncio
import logging
import secrets
from dataclasses import dataclass

from ditto_avatar.errors import Busy, NotFound, Unavailable
from ditto_avatar.metrics import Metrics
from ditto_avatar.session.playback import PlaybackReport, PlaybackState
from ditto_avatar.session.session import Session
from ditto_avatar.transport.outbox import Outbox, Overflow
from ditto_avatar.transport.rtc.channels import RtcPlace
from ditto_avatar.transport.rtc.service import RtcService
from ditto_avatar.transport.rtc.viewer import RtcViewer
from ditto_avatar.types import FRAME_RATE_HZ

log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class _Player:
    """One player: its WebRTC, and the events that it has no ear for."""

    session: Session
    outbox: Outbox
    rtc: RtcViewer
    task: asyncio.Task[None] | None = None
    ending: asyncio.TimerHandle | None = None


class WhepViewers:
    """Open players for sessions and close them. Belongs to the event loop."""

    def __init__(self, rtc: RtcService | None, metrics: Metrics, max_viewers: int) -> None:
        self._rtc = rtc
        self._metrics = metrics
        self._max_viewers = max_viewers
        self._players: dict[str, _Player] = {}

    def __len__(self) -> int:
        return len(self._players)

    async def open(self, session: Session, sdp: str) -> tuple[str, str]:
        """Let a player watch `session`; its name and the answer to its offer. Raises `Unavailable`,
        `Busy` and `InvalidInput`. Cancelling is safe: nothing stays open."""
        if self._rtc is None:
            raise Unavailable("This server has no WebRTC.")
        if session.viewers >= self._max_viewers:
            raise Busy(f"This session is open in {session.viewers} places already.")
        name = secrets.token_hex(8)
        outbox = Outbox(streams=False, begun=self._count)
        rtc = RtcViewer(
            self._rtc,
            outbox,
            self._metrics,
            placed=lambda place: self._placed(name, place),
            over=outbox.close,
            foreign=True,
        )
        player = _Player(session, outbox, rtc)
        # Before the first await: it counts among the viewers from now on.
        session.attach(outbox, resumed=False, after=None)
        try:
            answer = await rtc.offer(sdp, session.avatar)
        except BaseException:
            session.detach(outbox)
            raise
        rtc.start()
        self._players[name] = player
        player.task = asyncio.create_task(self._until_over(name, player))
        return name, answer

    def end(self, session: Session, name: str) -> None:
        """Close a player. Raises `NotFound` where `session` has none of that name."""
        player = self._players.get(name)
        if player is None or player.session is not session:
            raise NotFound("There is no such player in this session.")
        player.outbox.close()

    async def close(self) -> None:
        """Close all players. Cancelling is safe: call it again."""
        tasks = [player.task for player in self._players.values() if player.task is not None]
        for player in self._players.values():
            player.outbox.close()
        if tasks:
            await asyncio.wait(tasks)

    async def _until_over(self, name: str, player: _Player) -> None:
        try:
            while await player.outbox.get() is not None:
                pass
        except Overflow:
            log.info("a player was closed: its events came too fast")
        finally:
            del self._players[name]
            if player.ending is not None:
                player.ending.cancel()
            player.session.detach(player.outbox)
            await player.rtc.close()

    def _count(self, way: str) -> None:
        # What a player cannot take it does not get by another way.
        if way == "rtc":
            self._metrics.segments.labels(way).inc()

    def _placed(self, name: str, place: RtcPlace) -> None:
        """Report for a player what a page would: so an answer ends when it was heard."""
        player = self._players.get(name)
        if player is None:
            return
        report = player.session.playback
        seconds = place.frame / FRAME_RATE_HZ
        report(PlaybackReport(place.segment, PlaybackState.PLAYING, seconds))
        if place.frames is None:
            return
        length = place.frames / FRAME_RATE_HZ
        player.ending = asyncio.get_running_loop().call_later(
            length - seconds,
            lambda: report(PlaybackReport(place.segment, PlaybackState.ENDED, length)),
        )
