"""Run one turn: wait for a place, run the pipeline, and wait until it was played."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from functools import partial

from ditto_avatar.clock import wait_until
from ditto_avatar.dialogue.base import Prompt
from ditto_avatar.errors import DittoAvatarError, outcome_of, public_text
from ditto_avatar.pipeline import progress
from ditto_avatar.pipeline.request import TurnRequest
from ditto_avatar.session import turn as t
from ditto_avatar.session.admission import Claim
from ditto_avatar.session.context import Context
from ditto_avatar.session.conversation import MESSAGE
from ditto_avatar.session.playback import PlaybackReport, PlaybackState
from ditto_avatar.session.services import Services
from ditto_avatar.session.turn_record import TurnRecord

log = logging.getLogger(__name__)

# How long after a turn's last picture a page may still report that it plays.
_PLAYBACK_SLACK_S = 5.0
# Reports of drift that count for one segment, all viewers together: two minutes of one page.
_MOST_DRIFT_REPORTS = 120
# Longer than any engine takes to stop; what still runs then runs on without being waited for.
_STOP_S = 10.0


class TurnRunner:
    """Carry out the actions of one turn's state machine. Belongs to the event loop."""

    def __init__(self, turn: t.Turn, context: Context, services: Services) -> None:
        self.turn = turn
        self._context = context
        self._services = services
        self._record = TurnRecord(turn, context, services)
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
            self._painted(report.painted_after_s, report.waited_s)
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
        """Hand an input to the state machine, carry out what follows, and return the actions."""
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
            self._record.discard(
                happened.clip.name
            )  # the turn ended meanwhile: the clip is of no use
        return actions

    async def _run(self) -> None:
        try:
            async with self._services.admission.place(self._claim()):
                self.handle(t.Admitted())
                if self.turn.phase is t.Phase.THINKING:
                    await self._services.pipeline.run(self._request(), self.handle)
                    self.handle(progress.PipelineEnded(self._clock.now()))
        except DittoAvatarError as error:
            self.handle(self._failed(error))
        except Exception as error:
            # The border of a turn: a bug ends the turn, and the session goes on.
            log.exception("turn %s failed", self.turn.id)
            self.handle(self._failed(error))
        if self.turn.phase is t.Phase.HEARING:
            longest_s = self.turn.seconds_left() + _PLAYBACK_SLACK_S
            # Without a viewer there is nobody to wait for.
            await self._until_heard(longest_s if len(self._context.viewers) else 0.0)
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
        await wait_until(self._heard_out, self._clock, self._clock.now() + longest_s)

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
                    self._record.keep_clip(clip, then)
                case t.Settle(then):
                    self._record.settle(then)

    def _begin_to_sound(self, began: progress.SegmentBegan) -> None:
        # Only a microphone of the server's needs it.
        if self._services.transcription == "server" and began.sound is not None:
            self._context.loudspeaker.begin(began.segment, began.text, began.sound)

    def _painted(self, after_s: float, waited_s: float) -> None:
        turn = self.turn
        if progress.Milestone.FIRST_PAINTED in turn.milestones:
            return
        self._services.metrics.observe_painted(after_s)
        self.handle(progress.Reached(progress.Milestone.FIRST_PAINTED, turn.started + after_s))
        made = turn.milestones.get(progress.Milestone.FIRST_FRAME)
        if made is not None:
            self._context.idle.painted(turn.started + after_s - waited_s - made)
