"""One person's conversation: its turns, its viewers, and what each viewer has missed."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ditto_avatar.errors import SessionEnded, ShuttingDown
from ditto_avatar.face.avatar import Avatar
from ditto_avatar.pipeline.clips import Clip
from ditto_avatar.session import turn as t
from ditto_avatar.session.conversation import Conversation, catch_up
from ditto_avatar.session.grant import Allowance
from ditto_avatar.session.idle_position import IdlePosition
from ditto_avatar.session.loudspeaker import Loudspeaker
from ditto_avatar.session.message_text import checked_message
from ditto_avatar.session.playback import PlaybackReport, PlaybackState
from ditto_avatar.session.records import StoredSession, StoredTurn, hash_token
from ditto_avatar.session.runner import Context, Services, TurnRunner
from ditto_avatar.session.tasks import OwnTasks
from ditto_avatar.session.writer import Writer
from ditto_avatar.transport import events
from ditto_avatar.transport.outbox import NumberedEvent, Outbox
from ditto_avatar.transport.viewers import Viewers
from ditto_avatar.types import FloatArray, Language

__all__ = ["Services", "Session"]

# A page that reloads, or a program that asks every few seconds, is still there.
_STILL_THERE_S = 10.0
# A database that is locked answers within 5 s; beyond this nobody waits for what is being stored.
_STORED_S = 30.0


def _nobody_cares(_: Session) -> None:
    pass


@dataclass(frozen=True, slots=True)
class TurnView:
    """How far a turn is."""

    turn: str
    state: str
    text: str
    answer: str
    clips: tuple[Clip, ...]
    timings: Mapping[str, float]


class Session:
    """Created and found by the registry. All methods belong to the event loop.

    Commands that change the database (`submit`, `select_avatar`, `select_language`, `keep`) run in
    tasks of the session: cancelling a caller is safe, the command is done all the same.
    """

    def __init__(
        self,
        stored: StoredSession,
        token: str,
        services: Services,
        *,
        address: str = "unknown",
        is_new: bool = False,
        left: Callable[[Session], object] = _nobody_cares,
    ) -> None:
        """`is_new` sessions are stored with their first turn; `left` is called when the last
        viewer has gone."""
        self.id = stored.id
        self.token = token
        self.grant = stored.grant
        self.used_at = services.clock.now()
        self._allowance = Allowance(stored.grant, services.clock)
        self._services = services
        self._clock = services.clock
        self._is_new = is_new
        self._left = left
        self._context = Context(
            stored.id,
            address,
            services.find_avatar(stored.avatar),
            Language(stored.language),
            Conversation(stored.turns),
            Viewers(),
            Writer(services.clock),
            OwnTasks(),
            IdlePosition(services.clock),
            Loudspeaker(services.clock),
            self.watched,
        )
        self._runner: TurnRunner | None = None
        self._changing = asyncio.Lock()
        self._closed: str | None = None

    @property
    def address(self) -> str:
        """Where the person came from, as limits count it."""
        return self._context.address

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
        """What has been said."""
        return self._context.conversation

    @property
    def viewers(self) -> int:
        """Connections that watch."""
        return len(self._context.audience)

    @property
    def busy(self) -> bool:
        """Whether a turn is under way, or something is still to be stored."""
        runs = self._runner is not None and not self._runner.over
        return runs or bool(self._context.tasks) or self._context.writer.unsaved > 0

    @property
    def phase(self) -> t.Phase | None:
        """How far the turn is that runs; None between turns."""
        runner = self._runner
        return None if runner is None or runner.over else runner.turn.phase

    @property
    def empty(self) -> bool:
        """Whether nothing was ever stored of it."""
        return self._is_new and not self._context.tasks

    def watched(self) -> bool:
        """Whether somebody watches, or was there a moment ago."""
        return self.viewers > 0 or self._clock.now() - self.used_at < _STILL_THERE_S

    # Commands ------------------------------------------------------------------------------

    async def submit(
        self,
        kind: str,
        text: str,
        client_id: str | None = None,
        idle_frame: float | None = None,
        *,
        asker: Outbox | None = None,
    ) -> str:
        """Begin a turn (interrupting the one in progress) once it is stored; its id.

        The same `client_id` is accepted once and gives the same turn again: `asker`, a viewer that
        may have missed it, gets its events again, and a question that a killed server left without
        an answer is answered now. Raises `InvalidInput`, `RateLimited`, `UsedUp`, `ShuttingDown`,
        `SessionEnded` and `StorageFailed`. Cancelling is safe.
        """
        text = checked_message(text, self._services.max_text)
        return await self._context.tasks.finish(
            self._submit(kind, text, client_id, idle_frame, asker)
        )

    async def _submit(
        self,
        kind: str,
        text: str,
        client_id: str | None,
        idle_frame: float | None,
        asker: Outbox | None,
    ) -> str:
        async with self._changing:
            self._check_open()
            known = self.conversation.find_by_client_id(client_id)
            if known is not None and not self.conversation.was_lost(known):
                self._tell_standing(known, asker)
                return known.id
            self._services.drain.check()
            if known is None:
                self._allowance.take_turn(self.conversation.generation)
            self._services.turn_limit.take(self.id)
            self.used_at = arrived = self._clock.now()
            self.place_idle(idle_frame)
            await self.interrupt("user")
            if known is None:
                stored = await self._accept(kind, text, client_id)
            else:
                stored = self.conversation.take_up(known)
            turn = t.Turn(
                stored.id, stored.generation, stored.kind, stored.text, arrived, client_id
            )
            self._runner = TurnRunner(turn, self._context, self._services)
            self._runner.start()
            return turn.id

    async def _accept(self, kind: str, text: str, client_id: str | None) -> StoredTurn:
        """A new turn, once it is stored."""
        asked = StoredTurn(secrets.token_hex(8), 0, kind, text, client_id=client_id)
        opening = self._as_stored() if self._is_new else None
        store = self._services.store
        stored = await self._context.writer.run(lambda: store.add_turn(self.id, asked, opening))
        self._is_new = False
        self.conversation.add(stored)
        return stored

    def _as_stored(self, avatar: str = "", language: str = "") -> StoredSession:
        return StoredSession(
            self.id,
            hash_token(self.token),
            avatar or self.avatar.name,
            language or self.language.value,
            grant=self.grant,
        )

    def _tell_standing(self, turn: StoredTurn, viewer: Outbox | None) -> None:
        if viewer is not None:
            running = self._running is not None and self._running.id == turn.id
            for event in catch_up(turn, running=running):
                self.tell(viewer, event)

    async def keep(self) -> None:
        """Store the session before its first turn: a program opens it now and comes back later.
        Raises `StorageFailed`. Cancelling is safe."""
        await self._context.tasks.finish(self._keep())

    async def _keep(self) -> None:
        async with self._changing:
            self._check_open()
            if self._is_new:
                stored = self._as_stored()
                await self._context.writer.run(lambda: self._services.store.add_session(stored))
                self._is_new = False

    async def interrupt(self, reason: str = "user") -> bool:
        """Stop the answer in progress; False if there is none. Returns when nothing of it runs.
        Cancelling is safe: the answer stops all the same."""
        if self._runner is None:
            return False
        began = self._clock.now()
        stopped = await self._runner.interrupt(reason)
        if stopped:
            self._services.metrics.barge_in_s.observe(self._clock.now() - began)
        return stopped

    async def select_avatar(self, name: str) -> None:
        """Take another presenter from the next turn on. Raises `NotFound`, `Forbidden` and
        `StorageFailed`; then the old one stays. Cancelling is safe."""
        self._allowance.check_avatar(name)
        avatar = self._services.find_avatar(name)

        def select() -> events.Event:
            self._context.avatar = avatar
            self.place_idle(0)
            return events.AvatarSelected(avatar)

        await self._context.tasks.finish(self._change(select, avatar=name))

    async def select_language(self, language: Language) -> None:
        """Speak another language from the next turn on. Raises `StorageFailed`; then the old one
        stays. Cancelling is safe."""

        def select() -> events.Event:
            self._context.language = language
            return events.LanguageSelected(language)

        await self._context.tasks.finish(self._change(select, language=language.value))

    async def _change(self, select: Callable[[], events.Event], **stored: str) -> None:
        async with self._changing:
            self._check_open()
            self.used_at = self._clock.now()
            await self._context.writer.run(lambda: self._store_change(stored))
            self._context.audience.tell(select())

    async def _store_change(self, changed: dict[str, str]) -> None:
        store = self._services.store
        if self._is_new:
            # Nothing else is stored yet, so the change is part of the first write.
            await store.add_session(self._as_stored(**changed))
            self._is_new = False
        else:
            await store.update_session(self.id, **changed)

    def _check_open(self) -> None:
        if self._closed == "shutdown":
            raise ShuttingDown("The server is stopping; please try again in a moment.")
        if self._closed is not None:
            raise SessionEnded("The session has ended.")
        if not self._services.admits(self.grant):
            raise SessionEnded("The time of this session is over.")

    # Reports ---------------------------------------------------------------------------------

    def playback(self, report: PlaybackReport) -> None:
        """Note a page's report of what was seen and heard."""
        self.used_at = self._clock.now()
        stopped = report.state in (PlaybackState.ENDED, PlaybackState.DROPPED)
        self._context.loudspeaker.report(report.segment, report.seconds, ended=stopped)
        self.place_idle(report.idle_frame)
        if self._runner is not None:
            self._runner.report(report)

    def place_idle(self, idle_frame: float | None) -> None:
        """Note where a page's idle loop is; None where it does not know."""
        if idle_frame is not None:
            self._context.idle.report(idle_frame)

    def played(self, seconds: float) -> FloatArray:
        """The samples (n,) at 16 kHz that a page played in the last `seconds`."""
        return self._context.loudspeaker.played(seconds)

    def spoken(self, seconds: float) -> str:
        """The sentences that sounded in the last `seconds`."""
        return self._context.loudspeaker.spoken(seconds)

    # Viewers ---------------------------------------------------------------------------------

    def attach(self, outbox: Outbox, *, resumed: bool, after: int | None) -> None:
        """Greet a viewer and repeat what it missed since event `after`."""
        audience = self._context.audience
        missed = audience.since(after)
        outbox.put(
            NumberedEvent(self._ready(resumed=resumed, gap=resumed and missed is None), None)
        )
        for numbered in missed or ():
            outbox.put(numbered)
        audience.add(outbox)
        self.used_at = self._clock.now()

    def detach(self, outbox: Outbox) -> None:
        """Let a viewer go; its answer goes on for the others, and for its return."""
        self._context.audience.remove(outbox)
        self.used_at = self._clock.now()
        if not self.viewers:
            self._left(self)

    def tell(self, outbox: Outbox, event: events.Event) -> None:
        """Send an event to one viewer only, without a number: an error, a pong, or what a viewer
        that asks again has missed."""
        outbox.put(NumberedEvent(event, None))

    def history(self) -> list[events.HistoryEntry]:
        """What has been said, oldest first, with the answer so far of a turn that runs."""
        self.used_at = self._clock.now()
        return self._history()

    async def find_turn(self, turn_id: str) -> TurnView | None:
        """How far a turn is, with its clips; None if it is not of this session.

        A turn is shown as over once all of it is stored, so that a program that asks again and
        again may stop then. Cancelling is safe.
        """
        self.used_at = self._clock.now()
        running = self._running
        if running is None or running.id != turn_id:
            await self._context.writer.drained(_STORED_S)
        stored = self.conversation.find(turn_id)
        if stored is None:
            return None
        turn = self._runner.turn if self._runner is not None else None
        live = turn if turn is not None and turn.id == turn_id else None
        return TurnView(
            stored.id,
            live.phase.value if live else stored.state,
            stored.text,
            live.answer if live else stored.answer,
            stored.clips,
            live.timings_ms() if live else {},
        )

    async def close(self, reason: str, grace_s: float = 0.0) -> None:
        """End the running turn, after `grace_s` seconds if it does not end by itself, wait for what
        is being stored, and let the viewers go. Cancelling is not safe: call it again."""
        self._closed = reason
        await self._context.tasks.drained(_STORED_S)
        if self._runner is not None:
            if grace_s > 0:
                await self._runner.ended(grace_s)
            await self._runner.interrupt(reason)
        await self._context.writer.close(_STORED_S)
        await self._context.tasks.drained(_STORED_S)
        self._context.audience.close()

    def forget(self, turn_id: str) -> None:
        """Drop a turn that was removed from the store."""
        self.conversation.forget(turn_id)
        self._context.audience.forget(turn_id)

    @property
    def _running(self) -> t.Turn | None:
        """The turn whose answer is not complete yet."""
        runner = self._runner
        return None if runner is None or runner.complete else runner.turn

    def _history(self) -> list[events.HistoryEntry]:
        running = self._running
        if running is None:
            return self.conversation.history()
        return self.conversation.history({running.id: running.answer})

    def _ready(self, *, resumed: bool, gap: bool) -> events.SessionReady:
        running = self._running
        return events.SessionReady(
            session=self.id,
            token=self.token,
            resumed=resumed,
            gap=gap,
            seq=self._context.audience.seq,
            avatar=self.avatar,
            language=self.language,
            history=self._history(),
            running_turn=running.id if running is not None else None,
            transcription=self._services.transcription,
            avatars=None if self.grant is None else self.grant.avatars,
        )
