"""Show a session to viewers and programs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ditto_avatar.pipeline.clips import Clip
from ditto_avatar.session.context import Context
from ditto_avatar.session.conversation import catch_up
from ditto_avatar.session.current_turn import CurrentTurn
from ditto_avatar.session.services import Services
from ditto_avatar.session.stored import StoredTurn
from ditto_avatar.session.writer import STORED_S
from ditto_avatar.transport import events
from ditto_avatar.transport.outbox import Outbox


@dataclass(frozen=True, slots=True)
class TurnView:
    """Show a turn with its clips and its timings (ms) so far."""

    turn: str
    state: str
    text: str
    answer: str
    clips: tuple[Clip, ...]
    timings: Mapping[str, float]


class SessionView:
    """Join what is stored of a session with the turn that runs. Belongs to the event loop."""

    def __init__(self, context: Context, turn: CurrentTurn, services: Services) -> None:
        self._context = context
        self._turn = turn
        self._services = services

    def ready(self, token: str, *, resumed: bool, gap: bool) -> events.SessionReady:
        """Make the greeting of a viewer; with a `gap` it has missed events that are forgotten."""
        running = self._turn.answering
        return events.SessionReady(
            session=self._context.session_id,
            epoch=self._context.held.epoch,
            token=token,
            resumed=resumed,
            gap=gap,
            seq=self._context.viewers.seq,
            avatar=self._context.avatar,
            language=self._context.language,
            history=self.history(),
            running_turn=running.id if running is not None else None,
            transcription=self._services.transcription,
            ai_label=self._services.ai_label,
            rtc=self._services.rtc(),
            avatars=None if self._context.grant is None else self._context.grant.avatars,
        )

    def history(self) -> list[events.HistoryEntry]:
        """List what was said, oldest first, with the answer so far of a turn that runs."""
        running = self._turn.answering
        if running is None:
            return self._context.conversation.history()
        return self._context.conversation.history({running.id: running.answer})

    def repeat(self, turn: StoredTurn, viewer: Outbox | None) -> None:
        """Tell a viewer again that `turn` was accepted, and how it ended if it did."""
        if viewer is not None:
            running = self._turn.answering
            is_running = running is not None and running.id == turn.id
            for event in catch_up(turn, running=is_running):
                viewer.tell(event)

    async def turn(self, turn_id: str) -> TurnView | None:
        """Show a turn; None if it is not of this session. One that is over is shown once all of it
        is stored. Cancelling is safe."""
        running = self._turn.answering
        if running is None or running.id != turn_id:
            await self._context.writer.drained(STORED_S)
        stored = self._context.conversation.find(turn_id)
        if stored is None:
            return None
        live = self._turn.newest(turn_id)
        return TurnView(
            stored.id,
            live.phase.value if live else stored.state,
            stored.text,
            live.answer if live else stored.answer,
            stored.clips,
            live.timings_ms() if live else {},
        )
