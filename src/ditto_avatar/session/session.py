"""One person's conversation: its turns, its viewers, and what each viewer has missed."""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any
from unicodedata import category

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
from ditto_avatar.session.conversation import MESSAGE, Conversation, clip_entry
from ditto_avatar.session.heard import Loudspeaker
from ditto_avatar.session.limits import RateLimit
from ditto_avatar.session.outbox import Numbered, Outbox
from ditto_avatar.session.performer import Job, Performer
from ditto_avatar.session.store import (
    FINISHED,
    INTERRUPTED,
    Store,
    StoredClip,
    StoredSession,
    StoredTurn,
)
from ditto_avatar.types import FRAME_RATE_HZ, FloatArray, Language

log = logging.getLogger(__name__)

# Control characters, lone surrogates and unassigned code points; format characters stay, since
# emoji are joined by them.
_UNPRINTABLE = ("Cc", "Cs", "Cn")

# From the first picture's making to its painting, until a page has reported its own figure.
_FIRST_GUESS_S = 0.2
# How long after a turn's last picture a page may still report that it plays.
_PLAYBACK_SLACK_S = 5.0


@dataclass(frozen=True, slots=True)
class Services:
    """What all sessions share."""

    performer: Performer
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
        self._storing = asyncio.Lock()
        self._background: set[asyncio.Task[None]] = set()
        self._idle_frame = 0.0
        self._idle_at = self._clock.now()
        self._paint_delay_s = _FIRST_GUESS_S
        self._loudspeaker = Loudspeaker(self._clock)
        self._heard = asyncio.Event()
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
        self, kind: str, text: str, client_id: str | None = None, idle_frame: float | None = None
    ) -> str:
        """Begin a turn (interrupting the one in progress) once it is stored; its id. The same
        `client_id` is accepted once and gives the same turn again. Raises `InvalidInput`,
        `RateLimited`, `ShuttingDown` and `StorageFull`."""
        text = self._checked(text)
        async with self._submitting:
            if self._closed:
                raise ShuttingDown("The server is stopping; please try again in a moment.")
            if (known := self.conversation.find_by_client_id(client_id)) is not None:
                return known.id
            self._services.turn_limit.take(self.id)
            self._touch(idle_frame)
            arrived = self._clock.now()
            await self.interrupt("user")
            generation = self.conversation.generation + 1
            turn = t.Turn(secrets.token_hex(8), generation, kind, text, arrived, client_id)
            stored = StoredTurn(turn.id, generation, kind, text, client_id=client_id)
            if not await self._services.store.add_turn(self.id, stored):
                raise InvalidInput(f"A message with the id {client_id!r} was answered long ago.")
            self.conversation.add(stored)
            self._turn = turn
            self._apply(turn, turn.opening())
            self._task = asyncio.create_task(self._run(turn), name=f"turn {turn.id}")
            return turn.id

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

    def playback(
        self, segment: str, seconds: float, *, ended: bool, painted_after_s: float | None = None
    ) -> None:
        """A page's report of what was seen and heard."""
        turn = self._turn
        if turn is None:
            return
        now = self._clock.now()
        self._loudspeaker.report(segment, seconds, ended=ended)
        if painted_after_s is not None:
            self._painted(turn, painted_after_s)
        if turn.phase not in t.FINAL:
            self._happened(turn, t.Played(segment, seconds, ended))
            if turn.phase in t.FINAL:
                self._heard.set()
        self.used_at = now

    async def select_avatar(self, name: str) -> None:
        """Another presenter from the next turn on. Raises `NotFound`."""
        self.avatar = self._services.find_avatar(name)
        self._touch(0)
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
        """An event for one viewer only, an error or a pong."""
        outbox.put(Numbered(event, None))

    def describe(self) -> dict[str, Any]:
        """The session as REST shows it."""
        return {
            "session": self.id,
            "avatar": self._services.describe_avatar(self.avatar),
            "language": self.language.value,
            "history": self.conversation.history(),
        }

    def find_turn(self, turn_id: str) -> dict[str, Any] | None:
        """How far a turn is, with its clips; None if it is not of this session."""
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
        while self._background:
            await asyncio.wait(self._background)
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
            self._happened(turn, t.PlaybackEnded())

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
        return Job(self.avatar, self.language, turn.text, prompt, self._frame_at_arrival)

    def _happened(self, turn: t.Turn, happened: t.Input) -> list[t.Action]:
        actions = turn.handle(happened)
        self._apply(turn, actions)
        if isinstance(happened, t.SegmentBegan) and actions:
            self._begin_to_sound(happened)
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
        self.conversation.add_clip(turn.id, stored)
        self._store(
            lambda: self._services.store.add_clip(turn.id, stored), lambda: self._apply(turn, then)
        )

    def _settle(self, turn: t.Turn, then: list[t.Action]) -> None:
        state = INTERRUPTED if turn.phase is t.Phase.INTERRUPTED else FINISHED
        answer, heard, timings = turn.answer, turn.heard, turn.timings_ms()
        self.conversation.settle(turn.id, answer=answer, heard=heard, state=state)
        self._services.metrics.observe_turn(turn.kind, state, timings)
        line = {"turn": turn.id, "kind": turn.kind, "state": state, "timings_ms": timings}
        log.info("turn settled %s", json.dumps(line))
        self._store(
            lambda: self._services.store.settle_turn(
                turn.id, answer=answer, heard=heard, state=state, timings=timings
            ),
            lambda: self._apply(turn, then),
        )

    def _store(self, write: Callable[[], Awaitable[None]], then: Callable[[], None]) -> None:
        """Write in the background, in order, and do what waits for it `then`: nobody is told of
        anything that a crash could undo. A failure is told, not raised."""

        async def guarded() -> None:
            async with self._storing:
                try:
                    await write()
                except DittoAvatarError as error:
                    self._audience.tell(events.Failure(outcome_of(error).code, str(error)))
                then()

        task = asyncio.create_task(guarded())
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    def _ready(self, *, resumed: bool, gap: bool) -> events.SessionReady:
        return events.SessionReady(
            session=self.id,
            token=self.token,
            resumed=resumed,
            gap=gap,
            seq=self._audience.seq,
            avatar=self._services.describe_avatar(self.avatar),
            language=self.language,
            history=self.conversation.history(),
            transcription=self._services.transcription,
        )

    # Where the idle loop is --------------------------------------------------------------

    def _touch(self, idle_frame: float | None) -> None:
        self.used_at = self._clock.now()
        if idle_frame is not None:
            self._idle_frame = idle_frame
            self._idle_at = self.used_at

    def _frame_at_arrival(self) -> int:
        """The idle frame that the viewer will see when the first picture arrives."""
        elapsed = self._clock.now() - self._idle_at + self._paint_delay_s
        return int(self._idle_frame + elapsed * FRAME_RATE_HZ) % self.avatar.frame_count

    def _painted(self, turn: t.Turn, after_s: float) -> None:
        turn.marks.setdefault(t.Mark.FIRST_PAINTED, turn.started + after_s)
        made = turn.marks.get(t.Mark.FIRST_FRAME)
        if made is not None:
            delay = min(1.0, max(0.0, turn.started + after_s - made))
            self._paint_delay_s += 0.3 * (delay - self._paint_delay_s)
        self._services.metrics.observe_painted(after_s)

    # Input -------------------------------------------------------------------------------

    def _checked(self, text: str) -> str:
        cleaned = "".join(c for c in text if c in "\n\t" or category(c) not in _UNPRINTABLE)
        cleaned = cleaned.strip()
        if all(category(c)[0] in "ZC" for c in cleaned):
            raise InvalidInput("The text is empty: please write something to say.")
        limit = self._services.max_text
        if len(cleaned) > limit:
            raise InvalidInput(
                f"The text has {len(cleaned):,} characters; at most {limit:,} can be taken."
            )
        return cleaned
