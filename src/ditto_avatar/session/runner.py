"""Run one turn: wait for a place, run the pipeline, and wait until it was played."""

from __future__ import annotations

import asyncio
import json
import logging
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from ditto_avatar.clock import Clock
from ditto_avatar.dialogue.base import Prompt
from ditto_avatar.errors import DittoAvatarError, SessionMoved, outcome_of, public_text
from ditto_avatar.face.avatar import Avatar
from ditto_avatar.metrics import Metrics
from ditto_avatar.pipeline import progress
from ditto_avatar.pipeline.clip_signing import ClipSigner
from ditto_avatar.pipeline.clips import Clip, ClipFolder
from ditto_avatar.pipeline.pipeline import Pipeline
from ditto_avatar.pipeline.request import TurnRequest
from ditto_avatar.session import turn as t
from ditto_avatar.session.admission import Admission, Claim
from ditto_avatar.session.conversation import MESSAGE, Conversation
from ditto_avatar.session.drain import Drain
from ditto_avatar.session.grant import Grant, key_of
from ditto_avatar.session.idle_position import IdlePosition
from ditto_avatar.session.limits import RateLimit, Share
from ditto_avatar.session.loudspeaker import Loudspeaker
from ditto_avatar.session.ownership import Ownership
from ditto_avatar.session.playback import PlaybackReport, PlaybackState
from ditto_avatar.session.store import Store
from ditto_avatar.session.stored import FINISHED, INTERRUPTED, Held, StoredSession
from ditto_avatar.session.tasks import OwnTasks
from ditto_avatar.session.writer import Write, Writer
from ditto_avatar.transport import events
from ditto_avatar.transport.viewers import Viewers
from ditto_avatar.types import AiLabel, Language

log = logging.getLogger(__name__)

# How long after a turn's last picture a page may still report that it plays.
_PLAYBACK_SLACK_S = 5.0
# Reports of drift that count for one segment, all viewers together: two minutes of one page.
_MOST_DRIFT_REPORTS = 120
# A database that is locked answers within 5 s; beyond this storing is not waited for.
STORED_S = 30.0
# Longer than any engine takes to stop; what still runs then runs on without being waited for.
_STOP_S = 10.0


@dataclass(frozen=True, slots=True)
class Services:
    """Hold the services that all sessions share."""

    pipeline: Pipeline
    clips: ClipFolder
    clip_signer: ClipSigner
    admission: Admission
    store: Store
    ownership: Ownership
    clock: Clock
    metrics: Metrics
    turn_limit: RateLimit
    share: Share
    max_text: int
    find_avatar: Callable[[str, str | None], Avatar]
    """The avatar of a name, for the holder of a key."""
    transcription: str = "browser"
    ai_label: AiLabel = AiLabel.TOP
    drain: Drain = field(default_factory=Drain)
    admits: Callable[[Grant | None], bool] = lambda grant: True
    """Whether a session with that grant may go on."""
    rtc: Callable[[], Mapping[str, Any] | None] = lambda: None
    """What a viewer is told of WebRTC; None where there is none."""


@dataclass(slots=True)
class Context:
    """Hold what a session and its turns share."""

    held: Held
    address: str
    avatar: Avatar
    language: Language
    conversation: Conversation
    viewers: Viewers
    writer: Writer
    tasks: OwnTasks
    idle: IdlePosition
    loudspeaker: Loudspeaker
    watched: Callable[[], bool]
    """Whether somebody watches, or did a moment ago."""
    voices: tuple[str, ...] = ()
    """Ids of voices that a person chose instead of the presenter's."""

    @property
    def session_id(self) -> str:
        """The id of the session."""
        return self.held.session_id

    @classmethod
    def open(
        cls,
        stored: StoredSession,
        services: Services,
        address: str,
        watched: Callable[[], bool],
        lost: Callable[[], object],
    ) -> Context:
        """Make the context of a session from what is stored of it; `lost` is called when another
        server turns out to have it."""
        clock = services.clock
        return cls(
            stored.held,
            address,
            services.find_avatar(stored.avatar, key_of(stored.grant)),
            Language(stored.language),
            Conversation(stored.turns),
            Viewers(),
            Writer(clock, lost),
            OwnTasks(),
            IdlePosition(clock),
            Loudspeaker(clock),
            watched,
        )


class TurnRunner:
    """Carry out the actions of one turn's state machine. Belongs to the event loop."""

    def __init__(self, turn: t.Turn, context: Context, services: Services) -> None:
        self.turn = turn
        self._context = context
        self._services = services
        self._clock = services.clock
        self._task: asyncio.Task[None] | None = None
        self._heard_out = asyncio.Event()
        self._drift_reports: Counter[str] = Counter()

    @property
    def over(self) -> bool:
        """Whether nothing of the turn runs any more."""
        return self._task is not None and self._task.done()

    @property
    def complete(self) -> bool:
        """Whether all of the answer has been sent: it may still be listened to."""
        return self.turn.phase in t.FINAL or self.turn.phase is t.Phase.HEARING

    def start(self) -> None:
        """Tell the viewers of the turn and begin it."""
        self._apply(self.turn.opening())
        self._task = asyncio.create_task(self._run(), name=f"turn {self.turn.id}")

    async def interrupt(self, reason: str) -> bool:
        """Stop the turn; False if it had ended. Returns when nothing of it runs, or after
        10 s. Cancelling is safe: the turn stops all the same."""
        if self.turn.phase in t.FINAL:
            return False
        self._context.loudspeaker.stop()
        self.handle(t.Interrupt(reason, self._clock.now()))
        if not await self.ended(_STOP_S):
            self._services.metrics.errors.labels("stuck").inc()
            log.error("turn %s was interrupted and still runs", self.turn.id)
        return True

    async def ended(self, timeout_s: float) -> bool:
        """Wait until nothing of the turn runs; False if that takes more than `timeout_s` seconds.
        Cancelling is safe."""
        if self._task is not None:
            await asyncio.wait([self._task], timeout=timeout_s)
        return self._task is None or self._task.done()

    def report(self, report: PlaybackReport) -> None:
        """Note what a page painted and played. Reports about segments of other turns change
        nothing."""
        segment = self.turn.segment(report.segment)
        if segment is None:
            return
        ended = report.state is PlaybackState.ENDED
        if report.idle_frame is None:
            self._context.idle.report(segment.idle_frame(report.seconds, ended=ended))
        if report.painted_after_s is not None:
            self._painted(report.painted_after_s)
        if report.drift_ms is not None and self._counts_drift(report.segment):
            self._services.metrics.drift_s.observe(abs(report.drift_ms) / 1000)
            self.handle(t.Drifted(report.drift_ms))
        if report.state is PlaybackState.DROPPED:
            self.handle(t.Dropped(report.segment, report.seconds))
        else:
            self.handle(t.Played(report.segment, report.seconds, ended))
        if self.turn.phase in t.FINAL:
            self._heard_out.set()

    def _counts_drift(self, segment: str) -> bool:
        """Return whether one more report of drift in `segment` counts: a page sends one a
        second."""
        self._drift_reports[segment] += 1
        return self._drift_reports[segment] <= _MOST_DRIFT_REPORTS

    def handle(self, happened: t.Input) -> list[t.Action]:
        """Hand an input to the state machine and carry out what follows; the actions."""
        turn = self.turn
        if isinstance(happened, progress.PipelineFailed) and turn.phase not in t.FINAL:
            self._services.metrics.errors.labels(happened.code).inc()
            log.warning("turn %s failed (%s): %s", turn.id, happened.code, happened.message)
        if isinstance(happened, progress.Troubled):
            self._services.metrics.errors.labels(happened.code).inc()
            log.warning(
                "a clip of turn %s was lost (%s): %s", turn.id, happened.code, happened.message
            )
        actions = turn.handle(happened)
        self._apply(actions)
        if isinstance(happened, progress.SegmentBegan) and actions:
            self._begin_to_sound(happened)
        if isinstance(happened, progress.ClipStored) and not actions:
            self._discard(happened.clip.name)  # the turn ended meanwhile: the clip is of no use
        return actions

    async def _run(self) -> None:
        try:
            async with self._services.admission.place(self._claim()):
                if t.RunPipeline() in self.handle(t.Admitted()):
                    await self._services.pipeline.run(self._request(), self.handle)
        except DittoAvatarError as error:
            self.handle(self._failed(error))
        except Exception as error:
            # The border of a turn: a bug ends the turn, and the session goes on.
            log.exception("turn %s failed", self.turn.id)
            self.handle(self._failed(error))
        if self.turn.phase is t.Phase.HEARING:
            # Without a viewer there is nobody to wait for.
            slack_s = _PLAYBACK_SLACK_S if len(self._context.viewers) else 0.0
            await self._until_heard(self.turn.seconds_left() + slack_s if slack_s else 0.0)
            self.handle(t.PlaybackEnded(self._clock.now()))

    def _claim(self) -> Claim:
        def give_way() -> None:
            self._services.metrics.errors.labels("busy").inc()
            log.info("turn %s gives its place to somebody who watches", self.turn.id)
            self.handle(t.Interrupt("busy", self._clock.now()))

        context = self._context
        return Claim(context.address, context.watched, self._queued, give_way)

    def _queued(self, position: int) -> None:
        self.handle(t.Queued(position))

    def _request(self) -> TurnRequest:
        context, turn = self._context, self.turn
        prompt = None
        if turn.kind == MESSAGE:
            persona = context.avatar.about.persona.get(context.language.value, "")
            prompt = Prompt(tuple(context.conversation.messages()), context.language, persona)
        arrives_at = partial(context.idle.at_arrival, context.avatar.frame_count)
        return TurnRequest(
            context.avatar,
            context.language,
            turn.text,
            prompt,
            arrives_at,
            scope=context.session_id,
            voices=context.voices,
            watched=context.watched,
            takes_packets=context.viewers.take_packets,
        )

    async def _until_heard(self, longest_s: float) -> None:
        """Return when a page has reported the end, or when the longest time is over."""
        self._heard_out.clear()
        waits = {
            asyncio.create_task(self._heard_out.wait()),
            asyncio.create_task(self._clock.sleep_until(self._clock.now() + longest_s)),
        }
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    def _failed(self, error: Exception) -> progress.PipelineFailed:
        return progress.PipelineFailed(
            outcome_of(error).code, public_text(error), self._clock.now()
        )

    def _apply(self, actions: list[t.Action]) -> None:
        for action in actions:
            match action:
                case t.Send(event):
                    self._context.viewers.tell(event)
                case t.Cancel():
                    if self._task is not None and self._task is not asyncio.current_task():
                        self._task.cancel()
                case t.Keep(clip, then):
                    self._keep_clip(clip, then)
                case t.Settle(then):
                    self._settle(then)
                case t.RunPipeline():
                    pass  # `_run` waits for exactly this one

    def _keep_clip(self, clip: Clip, then: tuple[events.Event, ...]) -> None:
        def saved() -> None:
            self._context.conversation.add_clip(self.turn.id, clip)
            self._tell(then)

        def failed(error: Exception) -> None:
            self._tell_failure(error)
            self._discard(clip.name)

        store, held = self._services.store, self._context.held
        save = partial(store.add_clip, held, self.turn.id, clip)
        self._context.writer.put(Write(save, saved, failed))

    def _settle(self, then: tuple[events.Event, ...]) -> None:
        turn = self.turn
        state = INTERRUPTED if turn.phase is t.Phase.INTERRUPTED else FINISHED
        answer, heard, reason = turn.answer, turn.heard, turn.reason
        timings, drift = turn.timings_ms(), turn.drift_ms
        self._context.conversation.settle(
            turn.id, answer=answer, heard=heard, state=state, reason=reason
        )
        if turn.phase in t.FINAL:
            self._services.metrics.observe_turn(turn.kind, state, timings)
            line = {"turn": turn.id, "kind": turn.kind, "state": state, "reason": reason}
            log.info(
                "turn settled %s", json.dumps({**line, "timings_ms": timings, "drift_ms": drift})
            )
        record = timings if drift is None else {**timings, "drift": drift}
        store, held = self._services.store, self._context.held

        def failed(error: Exception) -> None:
            self._tell_failure(error)
            if isinstance(error, SessionMoved):
                return  # how it ended, its new owner tells
            self._tell(then)  # it is over all the same, and stored later

        self._context.writer.put(
            Write(
                partial(
                    store.settle_turn,
                    held,
                    turn.id,
                    answer=answer,
                    heard=heard,
                    state=state,
                    timings=record,
                    reason=reason,
                ),
                lambda: self._tell(then),
                failed,
                key=turn.id,
            )
        )

    def _tell(self, told: tuple[events.Event, ...]) -> None:
        for event in told:
            self._context.viewers.tell(event)

    def _tell_failure(self, error: Exception) -> None:
        outcome = outcome_of(error)
        self._services.metrics.errors.labels(outcome.code).inc()
        log.warning("turn %s could not be stored (%s): %s", self.turn.id, outcome.code, error)
        self._context.viewers.tell(events.Failure(outcome.code, public_text(error), self.turn.id))

    def _discard(self, clip: str) -> None:
        removing = asyncio.to_thread(self._services.clips.remove, [clip])
        self._context.tasks.start(removing, "removing a clip that is in no conversation")

    def _begin_to_sound(self, began: progress.SegmentBegan) -> None:
        # Only a microphone of the server's needs it.
        if self._services.transcription == "server" and began.sound is not None:
            self._context.loudspeaker.begin(began.segment, began.text, began.sound)

    def _painted(self, after_s: float) -> None:
        turn = self.turn
        if progress.Milestone.FIRST_PAINTED in turn.milestones:
            return
        self._services.metrics.observe_painted(after_s)
        self.handle(progress.Reached(progress.Milestone.FIRST_PAINTED, turn.started + after_s))
        made = turn.milestones.get(progress.Milestone.FIRST_FRAME)
        if made is not None:
            self._context.idle.painted(turn.started + after_s - made)
