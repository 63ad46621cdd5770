"""Carry out the commands of one conversation, and greet its viewers."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress

from ditto_avatar.errors import SessionEnded, SessionMoved, ShuttingDown, StorageFailed
from ditto_avatar.face.avatar import Avatar
from ditto_avatar.session import turn as t
from ditto_avatar.session.choices import Choices
from ditto_avatar.session.command_lock import CommandLock
from ditto_avatar.session.context import Context
from ditto_avatar.session.conversation import Conversation
from ditto_avatar.session.current_turn import CurrentTurn
from ditto_avatar.session.grant import Allowance
from ditto_avatar.session.loudspeaker import Loudspeaker
from ditto_avatar.session.message_text import checked_message
from ditto_avatar.session.playback import PlaybackReport, PlaybackState
from ditto_avatar.session.record import SessionRecord
from ditto_avatar.session.services import Services
from ditto_avatar.session.stored import Held, StoredSession
from ditto_avatar.session.view import SessionView, TurnView
from ditto_avatar.session.writer import STORED_S
from ditto_avatar.transport import events
from ditto_avatar.transport.outbox import Outbox
from ditto_avatar.types import Language

log = logging.getLogger(__name__)


def _nothing(_: Session) -> None:
    pass


class Session:
    """Accept turns and choices one after the other, and answer questions about them.

    The registry creates sessions and finds them. All methods belong to the event loop.

    Commands that change the database (`submit`, `keep`, and what `choices` has) run in tasks of the
    session: cancelling a caller is safe, the command is done all the same.
    """

    def __init__(
        self,
        stored: StoredSession,
        token: str,
        services: Services,
        *,
        address: str = "unknown",
        is_new: bool = False,
        cut: frozenset[str] = frozenset(),
        left: Callable[[Session], object] = _nothing,
        lost: Callable[[Session], object] = _nothing,
    ) -> None:
        """Store an `is_new` session with its first turn. Of the turns in `cut`, which another
        server left running, the newest is answered when the first viewer comes. Call `left` when
        the last viewer has gone, `lost` when another server has taken the session."""
        self.id = stored.id
        self.token = token
        self.grant = stored.grant
        self._services = services
        self._left = left
        self._cut = cut
        self._allowance = Allowance(stored.grant, services.clock)
        self._lock = CommandLock(lambda: services.admits(stored.grant))
        self._context = Context.open(stored, services, address, lambda: lost(self))
        self._turn = CurrentTurn(self._context, services)
        self._record = SessionRecord(
            self._context, services.store, token, stored.grant, is_new=is_new
        )
        self._view = SessionView(self._context, self._turn, services)
        self.choices = Choices(self._context, services, self._record, self._lock, self._allowance)

    @property
    def address(self) -> str:
        """Where the person came from, as limits count it."""
        return self._context.address

    @property
    def used_at(self) -> float:
        """When somebody last did something with it, in seconds of the clock."""
        return self._context.used_at

    @property
    def avatar(self) -> Avatar:
        """The presenter of the next turn."""
        return self._context.avatar

    @property
    def language(self) -> Language:
        """The language of the next turn."""
        return self._context.language

    @property
    def conversation(self) -> Conversation:
        """The turns so far."""
        return self._context.conversation

    @property
    def held(self) -> Held | None:
        """The name of the session in the store; None for one that is not stored."""
        return None if self._record.is_new else self._context.held

    @property
    def viewers(self) -> int:
        """Connections that watch."""
        return len(self._context.viewers)

    @property
    def busy(self) -> bool:
        """Whether a turn is under way, or something is still to be stored."""
        unsaved = self._context.writer.unsaved > 0
        return self.phase is not None or bool(self._context.tasks) or unsaved

    @property
    def phase(self) -> t.Phase | None:
        """How far the turn is that runs; None between turns."""
        return self._turn.phase

    @property
    def leaving(self) -> bool:
        """Whether its viewers are about to be sent to another server, or to this one's next
        start."""
        return self._lock.closed in ("shutdown", "moved")

    @property
    def empty(self) -> bool:
        """Whether nothing was ever stored of it."""
        return self._record.is_new and not self._context.tasks

    async def submit(
        self,
        kind: str,
        text: str,
        client_id: str | None = None,
        idle_frame: float | None = None,
        *,
        asker: Outbox | None = None,
    ) -> str:
        """Begin a turn (interrupting the one in progress) once it is stored, and return its id.

        The same `client_id` is accepted once and gives the same turn again: `asker`, a viewer that
        may have missed it, gets its events again, and a question that a killed server left without
        an answer is answered now. Raises `InvalidInput`, `RateLimited`, `UsedUp`, `ShuttingDown`,
        `SessionMoved`, `SessionEnded` and `StorageFailed`. Cancelling is safe.
        """
        text = checked_message(text, self._services.max_text)
        return await self._context.tasks.finish(
            self._submit(kind, text, client_id, idle_frame, asker)
        )

    async def _submit(
        self, kind: str, text: str, client_id: str | None, idle: float | None, asker: Outbox | None
    ) -> str:
        if self._lock.closed == "shutdown":
            await self.interrupt("user")  # it was given the time to end, and is not wanted any more
        async with self._lock.entered():
            known = self.conversation.find_by_client_id(client_id)
            if known is not None and not self.conversation.was_lost(known):
                self._view.repeat(known, asker)
                return known.id
            self._services.drain.check()
            if known is None:
                self._allowance.take_turn(self.conversation.generation)
            self._services.turn_limit.take(self.id)
            arrived = self._context.use()
            self.place_idle(idle)
            await self.interrupt("user")
            if known is None:
                turn = await self._record.add_turn(kind, text, client_id)
            else:
                turn = self.conversation.take_up(known)
            self._turn.begin(turn, arrived)
            return turn.id

    async def keep(self) -> None:
        """Store the session before its first turn: a program opens it now and comes back later.
        Raises `StorageFailed`, `SessionEnded`, `SessionMoved` and `ShuttingDown`. Cancelling is
        safe."""
        await self._context.tasks.finish(self._keep())

    async def _keep(self) -> None:
        async with self._lock.entered():
            await self._record.keep()

    async def interrupt(self, reason: str = "user") -> bool:
        """Stop the answer in progress; return False if there is none. Waits until nothing of it
        runs, 10 s at most. Cancelling is safe: it stops all the same."""
        return await self._turn.interrupt(reason)

    def playback(self, report: PlaybackReport) -> None:
        """Note a page's report of what was seen and heard."""
        self._context.use()
        stopped = report.state in (PlaybackState.ENDED, PlaybackState.DROPPED)
        self._context.loudspeaker.report(report.segment, report.seconds, ended=stopped)
        self.place_idle(report.idle_frame)
        self._turn.report(report)

    def place_idle(self, idle_frame: float | None) -> None:
        """Note where a page's idle loop is; None where it does not know."""
        if idle_frame is not None:
            self._context.idle.report(idle_frame)

    @property
    def loudspeaker(self) -> Loudspeaker:
        """The sound of the page, for a microphone to compare itself with."""
        return self._context.loudspeaker

    def attach(
        self, outbox: Outbox, *, resumed: bool, after: int | None, epoch: int | None = None
    ) -> None:
        """Greet a viewer and repeat what it missed since event `after` of `epoch`: events of other
        epochs were counted anew."""
        viewers = self._context.viewers
        missed = viewers.since(after) if epoch == self._context.held.epoch else None
        gap = resumed and missed is None
        outbox.tell(self._view.ready(self.token, resumed=resumed, gap=gap))
        for numbered in missed or ():
            outbox.put(numbered)
        viewers.add(outbox)
        self._context.use()
        if self._cut:
            self._context.tasks.start(self._take_up_cut(), "answering what was cut")

    def detach(self, outbox: Outbox) -> None:
        """Let a viewer go; its answer goes on for the others, and for its return."""
        self._context.viewers.remove(outbox)
        self._context.use()
        if not self.viewers:
            self._left(self)

    def history(self) -> list[events.HistoryEntry]:
        """Return what was said, oldest first, with the answer so far of a turn that runs."""
        self._context.use()
        return self._view.history()

    async def find_turn(self, turn_id: str) -> TurnView | None:
        """Return how far a turn is, with its clips; None if it is not of this session.

        A turn is shown as over once all of it is stored, so that a program that asks again and
        again may stop then. Cancelling is safe.
        """
        self._context.use()
        return await self._view.turn(turn_id)

    async def _take_up_cut(self) -> None:
        """Answer the question that another server was answering when it went away."""
        cut, self._cut = self._cut, frozenset()
        with suppress(SessionEnded, SessionMoved, ShuttingDown):  # then nobody waits for it
            async with self._lock.entered():
                turn = self.conversation.newest
                if turn is None or turn.id not in cut or self._services.drain.on:
                    return
                if self.conversation.was_lost(turn):
                    self._turn.begin(self.conversation.take_up(turn), self._context.use())

    async def close(self, reason: str, grace_s: float = 0.0) -> None:
        """End the running turn, after `grace_s` seconds if it does not end by itself, wait for what
        is being stored, leave the session to other servers, and let the viewers go. Cancelling is
        not safe: call it again."""
        self._lock.closed = reason
        await self._context.tasks.drained(STORED_S)
        await self._turn.close(reason, grace_s)
        await self._context.writer.close(STORED_S)
        await self._context.tasks.drained(STORED_S)
        await self._give_back(reason)
        self._context.viewers.close()

    async def _give_back(self, reason: str) -> None:
        if self.held is None or reason == "moved":
            return
        try:
            await self._services.ownership.give_back(self.held)
        except StorageFailed as error:
            # It is this server's until its lease is over.
            log.warning("a session could not be left to other servers: %s", error)

    def forget(self, turn_id: str) -> None:
        """Drop a turn that was removed from the store."""
        self.conversation.forget(turn_id)
        self._context.viewers.forget(turn_id)
