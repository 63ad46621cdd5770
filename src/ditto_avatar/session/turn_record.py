"""Store one turn: its clips as they are finished, and how it ended."""

from __future__ import annotations

import asyncio
import json
import logging
from functools import partial

from ditto_avatar.errors import SessionMoved, outcome_of, public_text
from ditto_avatar.pipeline.clips import Clip
from ditto_avatar.session import turn as t
from ditto_avatar.session.context import Context
from ditto_avatar.session.services import Services
from ditto_avatar.session.stored import FINISHED, INTERRUPTED
from ditto_avatar.session.writer import Write
from ditto_avatar.transport import events

log = logging.getLogger(__name__)


class TurnRecord:
    """Store a turn through the session's writer, and send the viewers what waits for that.

    No method waits: each puts its write in line. Belongs to the event loop.
    """

    def __init__(self, turn: t.Turn, context: Context, services: Services) -> None:
        self._turn = turn
        self._context = context
        self._services = services

    def keep_clip(self, clip: Clip, then: tuple[events.Event, ...]) -> None:
        """Store a finished clip, then send `then`. A clip that cannot be stored is removed."""

        def saved() -> None:
            self._context.conversation.add_clip(self._turn.id, clip)
            self._context.viewers.tell_all(then)

        def failed(error: Exception) -> None:
            self._tell_failure(error)
            self.discard(clip.name)

        save = partial(self._services.store.add_clip, self._context.held, self._turn.id, clip)
        self._context.writer.put(Write(save, saved, failed))

    def settle(self, then: tuple[events.Event, ...]) -> None:
        """Store the answer as it stands, with what was heard of it, then send `then`: also when the
        write failed and will be tried again, but not when another server has the session. In a
        final phase the turn is counted and logged as well."""
        turn, context = self._turn, self._context
        state = INTERRUPTED if turn.phase is t.Phase.INTERRUPTED else FINISHED
        answer, heard, reason = turn.answer, turn.heard, turn.reason
        timings, drift = turn.timings_ms(), turn.drift_ms
        context.conversation.settle(turn.id, answer=answer, heard=heard, state=state, reason=reason)
        if turn.phase in t.FINAL:
            self._count(state, timings, drift)

        def failed(error: Exception) -> None:
            self._tell_failure(error)
            if isinstance(error, SessionMoved):
                return  # how it ended, its new owner tells
            context.viewers.tell_all(then)  # it is over all the same, and stored later

        save = partial(
            self._services.store.settle_turn,
            context.held,
            turn.id,
            answer=answer,
            heard=heard,
            state=state,
            timings=timings if drift is None else {**timings, "drift": drift},
            reason=reason,
        )
        told = partial(context.viewers.tell_all, then)
        context.writer.put(Write(save, told, failed, key=turn.id))

    def discard(self, clip: str) -> None:
        """Remove the file of a clip that is in no conversation."""
        removing = asyncio.to_thread(self._services.clips.remove, [clip])
        self._context.tasks.start(removing, "removing a clip that is in no conversation")

    def _count(self, state: str, timings_ms: dict[str, float], drift_ms: float | None) -> None:
        turn = self._turn
        self._services.metrics.observe_turn(turn.kind, state, timings_ms)
        line = {"turn": turn.id, "kind": turn.kind, "state": state, "reason": turn.reason}
        measured = {"timings_ms": timings_ms, "drift_ms": drift_ms}
        log.info("turn settled %s", json.dumps({**line, **measured}))

    def _tell_failure(self, error: Exception) -> None:
        outcome = outcome_of(error)
        self._services.metrics.errors.labels(outcome.code).inc()
        log.warning("turn %s could not be stored (%s): %s", self._turn.id, outcome.code, error)
        failure = events.Failure(outcome.code, public_text(error), self._turn.id)
        self._context.viewers.tell(failure)
