"""Keep what was said in a session, as the dialogue, the page and REST need it."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace

from ditto_avatar.dialogue.base import Message, Role
from ditto_avatar.pipeline.clips import Clip
from ditto_avatar.session.stored import FINISHED, INTERRUPTED, RUNNING, StoredTurn
from ditto_avatar.transport import events
from ditto_avatar.transport.events import HistoryEntry

MESSAGE, SAY = "message", "say"
REMEMBERED_TURNS = 200
# The reasons of `turn.interrupted` besides `error`.
INTERRUPTIONS = frozenset({"user", "shutdown", "busy", "idle"})


class Conversation:
    """Hold the newest turns of a session in memory; the store has them all."""

    def __init__(self, turns: Sequence[StoredTurn]) -> None:
        self._turns: deque[StoredTurn] = deque(map(_recovered, turns), maxlen=REMEMBERED_TURNS)

    def __len__(self) -> int:
        return len(self._turns)

    @property
    def generation(self) -> int:
        """The number of the newest turn, 0 before the first."""
        return 0 if self.newest is None else self.newest.generation

    @property
    def newest(self) -> StoredTurn | None:
        """The newest turn; None before the first."""
        return max(self._turns, key=lambda turn: turn.generation, default=None)

    def add(self, turn: StoredTurn) -> None:
        """Add a turn that was accepted."""
        self._turns.append(turn)

    def add_clip(self, turn_id: str, clip: Clip) -> None:
        """Add the clip of a finished segment to its turn."""
        if (turn := self.find(turn_id)) is not None:
            self._replace(replace(turn, clips=(*turn.clips, clip)))

    def settle(
        self,
        turn_id: str,
        *,
        answer: str,
        heard: str | None,
        state: str,
        reason: str | None = None,
    ) -> None:
        """Note how a turn ended, and why if it was interrupted."""
        if (turn := self.find(turn_id)) is not None:
            settled = replace(turn, answer=answer, heard=heard, state=state, reason=reason)
            self._replace(_recovered(settled))

    def forget(self, turn_id: str) -> None:
        """Drop a turn that was removed from the store."""
        if (turn := self.find(turn_id)) is not None:
            self._turns.remove(turn)

    def find(self, turn_id: str) -> StoredTurn | None:
        """Return the turn of that id, None if it is not of this session or long past."""
        return next((turn for turn in self._turns if turn.id == turn_id), None)

    def find_by_client_id(self, client_id: str | None) -> StoredTurn | None:
        """Return the turn that a client sent under this id of its own."""
        if client_id is None:
            return None
        return next((turn for turn in self._turns if turn.client_id == client_id), None)

    def was_lost(self, turn: StoredTurn) -> bool:
        """Return whether a killed server left `turn`, the newest, as a question without an
        answer."""
        settled = turn.state != INTERRUPTED or turn.heard is not None
        newest = turn.generation == self.generation
        return newest and turn.kind == MESSAGE and not settled and not turn.answer

    def take_up(self, turn: StoredTurn) -> StoredTurn:
        """Mark a turn that was lost as running again. In the store it stays interrupted until it is
        settled, which is what it is if this process is killed as well."""
        running = replace(turn, state=RUNNING)
        self._replace(running)
        return running

    def messages(self) -> list[Message]:
        """Return the messages for a dialogue engine, oldest first."""
        messages: list[Message] = []
        for turn in self._turns:
            if turn.kind == MESSAGE:
                messages.append(Message(Role.USER, turn.text))
            if turn.answer:
                messages.append(Message(Role.ASSISTANT, turn.answer, turn.heard))
        return messages

    def history(self, answering: Mapping[str, str] | None = None) -> list[HistoryEntry]:
        """Return the entries for a page, oldest first, answers with their clips. `answering` has
        the text so far of a turn that is still running, by its id."""
        so_far = answering or {}
        turns = (replace(turn, answer=so_far.get(turn.id, turn.answer)) for turn in self._turns)
        return [entry for turn in turns for entry in _entries(turn)]

    def _replace(self, changed: StoredTurn) -> None:
        for place, turn in enumerate(self._turns):
            if turn.id == changed.id:
                self._turns[place] = changed


def catch_up(turn: StoredTurn, *, running: bool) -> list[events.Event]:
    """Make the events for a viewer that missed them: `turn` was accepted, and how it ended if it
    did."""
    told: list[events.Event] = [
        events.TurnStarted(turn.id, turn.generation, turn.kind, turn.text, turn.client_id)
    ]
    if running:
        return told
    if turn.state == FINISHED:
        return [*told, events.TurnFinished(turn.id, turn.generation, turn.answer, {})]
    reason = turn.reason if turn.reason in INTERRUPTIONS else "error"
    return [*told, events.TurnInterrupted(turn.id, turn.generation, reason)]


def _recovered(turn: StoredTurn) -> StoredTurn:
    """Return the turn, an answer that was cut off before it was stored (a killed process) made up
    of the clips that were. Nothing more is known of it, so these sentences count as heard."""
    if turn.state != INTERRUPTED or turn.answer:
        return turn
    said = " ".join(clip.text for clip in sorted(turn.clips, key=lambda clip: clip.index))
    answer = turn.text if turn.kind == SAY else said
    return replace(turn, answer=answer, heard=said) if answer else turn


def _entries(turn: StoredTurn) -> list[HistoryEntry]:
    entries = []
    if turn.kind == MESSAGE:
        entries.append(HistoryEntry(Role.USER.value, turn.text, turn.id, id=turn.client_id))
    if turn.answer:
        answered = HistoryEntry(
            Role.ASSISTANT.value, turn.answer, turn.id, heard=turn.heard, clips=turn.clips
        )
        entries.append(answered)
    return entries
