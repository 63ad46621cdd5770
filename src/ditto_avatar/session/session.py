"""One person's conversation: its turns, its viewers, and what each viewer has missed."""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from ditto_avatar.clock import Clock
from ditto_avatar.dialogue.base import Prompt
from ditto_avatar.errors import (
    DittoAvatarError,
    InvalidInput,
    ShuttingDown,
    outcome_of,
    public_text,
)
from ditto_avatar.face.avatar import Avatar
from ditto_avatar.metrics import Metrics
from ditto_avatar.session import events
from ditto_avatar.session import turn as t
from ditto_avatar.session.admission import Admission
from ditto_avatar.session.audience import Audience
from ditto_avatar.session.chores import Chores
from ditto_avatar.session.clips import ClipFolder
from ditto_avatar.session.conversation import MESSAGE, Conversation, clip_entry, standing
from ditto_avatar.session.heard import Loudspeaker
from ditto_avatar.session.idle_position import IdlePosition
from ditto_avatar.session.limits import RateLimit
from ditto_avatar.session.outbox import Numbered, Outbox
from ditto_avatar.session.performer import Job, Performer
from ditto_avatar.session.reports import PlaybackReport, Playing
from ditto_avatar.session.store import (
    FINISHED,
    INTERRUPTED,
    Store,
    StoredClip,
    StoredSession,
    StoredTurn,
)
from ditto_avatar.session.written import checked_text
from ditto_avatar.types import FloatArray, Language

log = logging.getLogger(__name__)

# How long after a turn's last picture a page may still report that it plays.
_PLAYBACK_SLACK_S = 5.0
# Reports of drift that count for one segment, all viewers together: two minutes of one page.
_MOST_DRIFT_REPORTS = 120


@dataclass(frozen=True, slots=True)
class Services:
    """What all sessions share."""

    performer: Performer
    clips: ClipFolder
    admission: Admission
    store: Store
    clock: Clock
    metrics: Metrics
    turn_limit: RateLimit
    max_text: int
    find_avatar: Callable[[str], Avatar]
    describe_avatar: Callable[[Avatar], Mapping[str, Any]]
    transcription: str = "browser"


class Session:
    """Created and found by the registry. All methods belong to the event loop."""

    def __init__(self, stored: StoredSession, token: str, services: Services) -> None:
        self.id = stored.id
        self.token = token
        self.avatar = services.find_avatar(stored.avatar)
        self.language = Language(stored.language)
        self.used_at = services.clock.now()
        self._services = services
        self._clock = services.clock
        self.conversation = Conversation(stored.turns)
        self._audience = Audience()
        self._turn: t.Turn | None = None
        self._task: asyncio.Task[None] | None = None
        self._submitting = asyncio.Lock()
        self._chores = Chores(services.clips, self._tell_failure)
        self._idle = IdlePosition(self._clock)
        self._loudspeaker = Loudspeaker(self._clock)
        self._heard = asyncio.Event()
        self._drift_reports: Counter[str] = Counter()
        self._closed = False

    @property
    def viewers(self) -> int:
        """Connections that watch."""
        return len(self._audience)

    @property
    def busy(self) -> bool:
        """Whether a turn is waiting, thinking or speaking."""
        return self._task is not None and not self._task.done()

    # What a person does ------------------------------------------------------------------

    async def submit(
        self,
        kind: str,
        text: str,
        client_id: str | None = None,
        idle_frame: float | None = None,
        *,
        asker: Outbox | None = None,
    ) -> str:
        """Begin a turn (interrupting the one in progress) once it is stored; its id. The same
        `client_id` is accepted once and gives the same turn again: `asker`, who may have missed
        it, is told how that stands, and a question that a killed server left without an answer
        is answered now. Raises `InvalidInput`, `RateLimited`, `ShuttingDown` and
        `StorageFull`."""
        text = checked_text(text, self._services.max_text)
        async with self._submitting:
            if self._closed:
                raise ShuttingDown("The server is stopping; please try again in a moment.")
            known = self.conversation.find_by_client_id(client_id)
            if known is not None and not self.conversation.was_lost(known):
                self._tell_standing(known, asker)
                return known.id
            self._services.turn_limit.take(self.id)
            self.used_at = self._clock.now()
            self.place_idle(idle_frame)
            arrived = self._clock.now()
            await self.interrupt("user")
            if known is None:
                stored = await self._accept(kind, text, client_id)
            else:
                stored = self.conversation.take_up(known)
            turn = t.Turn(
                stored.id, stored.generation, stored.kind, stored.text, arrived, client_id
            )
            self._turn = turn
            self._drift_reports.clear()
            self._apply(turn, turn.opening())
            self._task = asyncio.create_task(self._run(turn), name=f"turn {turn.id}")
            return turn.id

    async def _accept(self, kind: str, text: str, client_id: str | None) -> StoredTurn:
        """A new turn, once it is stored."""
        generation = self.conversation.generation + 1
        stored = StoredTurn(secrets.token_hex(8), generation, kind, text, client_id=client_id)
        if not await self._services.store.add_turn(self.id, stored):
            raise InvalidInput(f"A message with the id {client_id!r} was answered long ago.")
        self.conversation.add(stored)
        return stored

    def _tell_standing(self, turn: StoredTurn, viewer: Outbox | None) -> None:
        if viewer is not None:
            running = self._running is not None and self._running.id == turn.id
            for event in standing(turn, running=running):
                self.tell(viewer, event)

    async def interrupt(self, reason: str = "user") -> bool:
        """Stop the answer in progress; False if there is none. Returns when nothing of it runs."""
        turn, task = self._turn, self._task
        if turn is None or turn.phase in t.FINAL:
            return False
        began = self._clock.now()
        self._loudspeaker.stop()
        self._happened(turn, t.Interrupt(reason, began))
        if task is not None:
            await asyncio.wait([task])
        self._services.metrics.barge_in_s.observe(self._clock.now() - began)
        return True

    def playback(self, report: PlaybackReport) -> None:
        """A page's report of what was seen and heard."""
        self.used_at = self._clock.now()
        segment, seconds, state = report.segment, report.seconds, report.state
        ended, dropped = state is Playing.ENDED, state is Playing.DROPPED
        self._loudspeaker.report(segment, seconds, ended=ended or dropped)
        self.place_idle(report.idle_frame)
        turn = self._turn
        spoken = turn.segment(segment) if turn is not None else None
        if turn is None or spoken is None:
            return
        if report.idle_frame is None:
            self._idle.report(spoken.idle_frame(seconds, ended=ended))
        if report.painted_after_s is not None:
            self._painted(turn, report.painted_after_s)
        if report.drift_ms is not None and self._counts_drift(segment):
            self._services.metrics.drift_s.observe(abs(report.drift_ms) / 1000)
            self._happened(turn, t.Drifted(report.drift_ms))
        self._happened(
            turn, t.Dropped(segment, seconds) if dropped else t.Played(segment, seconds, ended)
        )
        if turn.phase in t.FINAL:
            self._heard.set()

    def _counts_drift(self, segment: str) -> bool:
        """Whether one more report of drift in `segment` counts: a page sends one a second."""
        self._drift_reports[segment] += 1
        return self._drift_reports[segment] <= _MOST_DRIFT_REPORTS

    def place_idle(self, idle_frame: float | None) -> None:
        """A page says where its idle loop is; None where it does not know."""
        if idle_frame is not None:
            self._idle.report(idle_frame)

    async def select_avatar(self, name: str) -> None:
        """Another presenter from the next turn on. Raises `NotFound`."""
        self.avatar = self._services.find_avatar(name)
        self.used_at = self._clock.now()
        self.place_idle(0)
        await self._services.store.update_session(self.id, avatar=name)
        self._audience.tell(events.AvatarSelected(self._services.describe_avatar(self.avatar)))

    async def select_language(self, language: Language) -> None:
        """Another language from the next turn on."""
        self.language = language
        await self._services.store.update_session(self.id, language=language.value)
        self._audience.tell(events.LanguageSelected(language))

    # Viewers -----------------------------------------------------------------------------

    def attach(self, outbox: Outbox, *, resumed: bool, after: int | None) -> None:
        """Greet a viewer and repeat what it missed since event `after`."""
        missed = self._audience.since(after)
        outbox.put(Numbered(self._ready(resumed=resumed, gap=resumed and missed is None), None))
        for numbered in missed or ():
            outbox.put(numbered)
        self._audience.add(outbox)
        self.used_at = self._clock.now()

    def detach(self, outbox: Outbox) -> None:
        """A viewer left; its answer goes on for the others, and for its return."""
        self._audience.remove(outbox)
        self.used_at = self._clock.now()

    def tell(self, outbox: Outbox, event: events.Event) -> None:
        """An event for one viewer only, without a number: an error, a pong, or what a viewer that
        asks again has missed."""
        outbox.put(Numbered(event, None))

    def describe(self) -> dict[str, Any]:
        """The session as REST shows it."""
        return {
            "session": self.id,
            "avatar": self._services.describe_avatar(self.avatar),
            "language": self.language.value,
            "history": self._history(),
        }

    async def find_turn(self, turn_id: str) -> dict[str, Any] | None:
        """How far a turn is, with its clips; None if it is not of this session. Of a complete
        turn, once all of it is written: whoever asks again and again stops then."""
        running = self._running
        if running is None or running.id != turn_id:
            await self._chores.done()
        stored = self.conversation.find(turn_id)
        if stored is None:
            return None
        live = self._turn if self._turn and self._turn.id == turn_id else None
        return {
            "turn": stored.id,
            "state": live.phase.value if live else stored.state,
            "text": stored.text,
            "answer": live.answer if live else stored.answer,
            "clips": [clip_entry(clip) for clip in stored.clips],
            "timings": live.timings_ms() if live else {},
        }

    async def close(self, reason: str, grace_s: float = 0.0) -> None:
        """End the running turn, after `grace_s` if it does not end by itself, wait for what is
        being stored, and let the viewers go."""
        self._closed = True
        if self._task is not None and not self._task.done() and grace_s > 0:
            await asyncio.wait([self._task], timeout=grace_s)
        await self.interrupt(reason)
        await self._chores.done()
        self._audience.close()

    # One turn ----------------------------------------------------------------------------

    async def _run(self, turn: t.Turn) -> None:
        def queued(position: int) -> None:
            self._happened(turn, t.Queued(position))

        try:
            async with self._services.admission.place(queued):
                if t.Perform() in self._happened(turn, t.Admitted()):
                    await self._services.performer.perform(
                        self._job(turn), lambda happened: self._happened(turn, happened)
                    )
        except DittoAvatarError as error:
            self._happened(turn, self._failed(error))
        except Exception as error:
            # The border of a turn: whatever a bug does, the session lives on.
            log.exception("turn %s failed", turn.id)
            self._happened(turn, self._failed(error))
        if turn.phase is t.Phase.HEARING:
            # Without a viewer there is nobody to wait for.
            wait_s = turn.seconds_left() + _PLAYBACK_SLACK_S if self.viewers else 0.0
            await self._until_heard(wait_s)
            self._happened(turn, t.PlaybackEnded(self._clock.now()))

    async def _until_heard(self, longest_s: float) -> None:
        """Return when a page has reported the end, or when the longest time is over."""
        self._heard.clear()
        waits = {
            asyncio.create_task(self._heard.wait()),
            asyncio.create_task(self._clock.sleep_until(self._clock.now() + longest_s)),
        }
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    def _failed(self, error: Exception) -> t.PerformanceFailed:
        return t.PerformanceFailed(outcome_of(error).code, public_text(error), self._clock.now())

    def _job(self, turn: t.Turn) -> Job:
        prompt = None
        if turn.kind == MESSAGE:
            persona = self.avatar.about.persona.get(self.language.value, "")
            prompt = Prompt(tuple(self.conversation.messages()), self.language, persona)
        avatar = self.avatar
        arrives_at = partial(self._idle.at_arrival, avatar.frame_count)
        return Job(avatar, self.language, turn.text, prompt, arrives_at)

    def _happened(self, turn: t.Turn, happened: t.Input) -> list[t.Action]:
        actions = turn.handle(happened)
        self._apply(turn, actions)
        if isinstance(happened, t.SegmentBegan) and actions:
            self._begin_to_sound(happened)
        if isinstance(happened, t.ClipStored) and not actions:
            self._chores.discard(happened.name)  # the turn ended meanwhile: nobody will ask for it
        return actions

    def _apply(self, turn: t.Turn, actions: list[t.Action]) -> None:
        for place, action in enumerate(actions):
            match action:
                case t.Send(event):
                    self._audience.tell(event)
                case t.Cancel():
                    if self._task is not None and self._task is not asyncio.current_task():
                        self._task.cancel()
                case t.Keep(clip):
                    return self._keep_clip(turn, clip, actions[place + 1 :])
                case t.Settle():
                    return self._settle(turn, actions[place + 1 :])
                case t.Perform():
                    pass  # `_run` waits for exactly this one

    # What the microphone is compared with -------------------------------------------------

    def played(self, seconds: float) -> FloatArray:
        """The sound of the last `seconds`, as a microphone's `Scene` has it."""
        return self._loudspeaker.played(seconds)

    def spoken(self, seconds: float) -> str:
        """The sentences that sounded in the last `seconds`."""
        return self._loudspeaker.spoken(seconds)

    def _begin_to_sound(self, began: t.SegmentBegan) -> None:
        # Only a microphone of the server's needs it.
        if self._services.transcription == "server" and began.sound is not None:
            self._loudspeaker.begin(began.segment, began.text, began.sound)

    # Keeping -----------------------------------------------------------------------------

    def _keep_clip(self, turn: t.Turn, clip: t.ClipStored, then: list[t.Action]) -> None:
        segment = turn.segment(clip.segment)
        if segment is None:
            return
        stored = StoredClip(
            clip.name,
            segment.index,
            segment.text,
            segment.emotion.value,
            clip.seconds,
            segment.first_frame,
            clip.last_frame,
        )

        def kept() -> None:
            self.conversation.add_clip(turn.id, stored)
            self._apply(turn, then)

        self._chores.write(
            lambda: self._services.store.add_clip(turn.id, stored),
            kept,
            otherwise=lambda: self._chores.discard(clip.name),
        )

    def _settle(self, turn: t.Turn, then: list[t.Action]) -> None:
        state = INTERRUPTED if turn.phase is t.Phase.INTERRUPTED else FINISHED
        answer, heard, timings, drift = turn.answer, turn.heard, turn.timings_ms(), turn.drift_ms
        self.conversation.settle(turn.id, answer=answer, heard=heard, state=state)
        if turn.phase in t.FINAL:
            self._services.metrics.observe_turn(turn.kind, state, timings)
            line = {"turn": turn.id, "kind": turn.kind, "state": state}
            log.info(
                "turn settled %s", json.dumps({**line, "timings_ms": timings, "drift_ms": drift})
            )
        record = timings if drift is None else {**timings, "drift": drift}

        def applied() -> None:
            self._apply(turn, then)

        self._chores.write(
            lambda: self._services.store.settle_turn(
                turn.id, answer=answer, heard=heard, state=state, timings=record
            ),
            applied,
            otherwise=applied,
        )

    def _tell_failure(self, error: DittoAvatarError) -> None:
        self._audience.tell(events.Failure(outcome_of(error).code, str(error)))

    @property
    def _running(self) -> t.Turn | None:
        """The turn that is not complete yet; one that is only listened to is."""
        turn = self._turn
        over = turn is None or turn.phase in t.FINAL or turn.phase is t.Phase.HEARING
        return None if over else turn

    def _history(self) -> list[dict[str, Any]]:
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
            seq=self._audience.seq,
            avatar=self._services.describe_avatar(self.avatar),
            language=self.language,
            history=self._history(),
            running_turn=running.id if running is not None else None,
            transcription=self._services.transcription,
        )

    def _painted(self, turn: t.Turn, after_s: float) -> None:
        if t.Mark.FIRST_PAINTED in turn.marks:
            return
        self._services.metrics.observe_painted(after_s)
        self._happened(turn, t.Reached(t.Mark.FIRST_PAINTED, turn.started + after_s))
        made = turn.marks.get(t.Mark.FIRST_FRAME)
        if made is not None:
            self._idle.painted(turn.started + after_s - made)
