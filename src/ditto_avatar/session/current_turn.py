"""Run the turns of a session, one at a time."""

from __future__ import annotations

from ditto_avatar.session import turn as t
from ditto_avatar.session.context import Context
from ditto_avatar.session.playback import PlaybackReport
from ditto_avatar.session.services import Services
from ditto_avatar.session.stored import StoredTurn
from ditto_avatar.session.turn_runner import TurnRunner


class CurrentTurn:
    """Begin, watch and stop the turns of a session. Belongs to the event loop."""

    def __init__(self, context: Context, services: Services) -> None:
        self._context = context
        self._services = services
        self._clock = services.clock
        self._runner: TurnRunner | None = None

    @property
    def phase(self) -> t.Phase | None:
        """How far the turn is that runs; None between turns."""
        runner = self._runner
        return None if runner is None or runner.over else runner.turn.phase

    @property
    def answering(self) -> t.Turn | None:
        """The turn whose answer is not complete yet; None when there is none."""
        runner = self._runner
        return None if runner is None or runner.complete else runner.turn

    def newest(self, turn_id: str) -> t.Turn | None:
        """Return the newest turn, running or over, if it has that id."""
        turn = None if self._runner is None else self._runner.turn
        return turn if turn is not None and turn.id == turn_id else None

    def begin(self, stored: StoredTurn, arrived: float) -> None:
        """Run a turn that was stored; its text came at `arrived`. Call `interrupt`
        first: what still runs of an older turn then changes nothing any more."""
        turn = t.Turn(
            stored.id, stored.generation, stored.kind, stored.text, arrived, stored.client_id
        )
        self._runner = TurnRunner(turn, self._context, self._services)
        self._runner.start()

    async def interrupt(self, reason: str) -> bool:
        """Stop the answer in progress; return False if there is none. Waits until nothing of it
        runs, 10 s at most. Cancelling is safe: it stops all the same."""
        if self._runner is None:
            return False
        began = self._clock.now()
        stopped = await self._runner.interrupt(reason)
        if stopped:
            self._services.metrics.barge_in_s.observe(self._clock.now() - began)
        return stopped

    async def close(self, reason: str, grace_s: float) -> None:
        """Stop the turn, unless it ends by itself within `grace_s` seconds."""
        if self._runner is not None:
            if grace_s > 0:
                await self._runner.ended(grace_s)
            await self._runner.interrupt(reason)

    def report(self, report: PlaybackReport) -> None:
        """Note what a page painted and played."""
        if self._runner is not None:
            self._runner.report(report)
