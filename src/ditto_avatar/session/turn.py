"""Decide what a turn does next: a pure state machine without I/O and without a clock.

    WAITING ──Admitted──▶ THINKING ──SegmentBegan──▶ SPEAKING ──PipelineEnded──▶ HEARING
       │                     │                          │                            │
       └─────────── Interrupt / PipelineFailed: INTERRUPTED ◀─────────────────────────┤
                                                                       PlaybackEnded: FINISHED

HEARING is the time when everything has been sent and viewers still play it: the server is
free, but an interruption then still cuts what counts as heard, and the page still reports what it
painted. Whatever arrives in a final phase changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from ditto_avatar.pipeline.clips import Clip
from ditto_avatar.pipeline.progress import (
    ClipStored,
    FragmentMade,
    Milestone,
    Noticed,
    PipelineEnded,
    PipelineFailed,
    Progress,
    Reached,
    SegmentBegan,
    SegmentDrawn,
    SoundEnded,
    TextArrived,
    Troubled,
)
from ditto_avatar.session.segment_playback import SegmentPlayback, words_heard
from ditto_avatar.transport import events


class Phase(StrEnum):
    """The phases of a turn, in their order; the last two are final."""

    WAITING = "waiting"
    THINKING = "thinking"
    SPEAKING = "speaking"
    HEARING = "hearing"
    FINISHED = "finished"
    INTERRUPTED = "interrupted"


FINAL = frozenset({Phase.FINISHED, Phase.INTERRUPTED})
_ANSWERING = frozenset({Phase.THINKING, Phase.SPEAKING})


# Inputs: what happened, with the time in seconds where it matters.


@dataclass(frozen=True, slots=True)
class Queued:
    """The turn has this place in line; 0 is its turn."""

    position: int


@dataclass(frozen=True, slots=True)
class Admitted:
    """The turn has got a place."""


@dataclass(frozen=True, slots=True)
class Played:
    """A page reports: `seconds` of `segment` were played; `ended` closes it."""

    segment: str
    seconds: float
    ended: bool


@dataclass(frozen=True, slots=True)
class Dropped:
    """A page reports: it stopped `segment` after `seconds`. Not the end of it: when a stream broke,
    the same segment goes on as a clip."""

    segment: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Drifted:
    """A page measured: the picture was `ms` behind the sound (negative: ahead of it)."""

    ms: float


@dataclass(frozen=True, slots=True)
class PlaybackEnded:
    """No page plays the turn any more, at `at`: the longest time that it could take is over."""

    at: float


@dataclass(frozen=True, slots=True)
class Interrupt:
    """The turn is to stop, for this reason."""

    reason: str
    at: float


Input = Queued | Admitted | Played | Dropped | Drifted | PlaybackEnded | Interrupt | Progress


# Actions: what the session has to do.


@dataclass(frozen=True, slots=True)
class Cancel:
    """Stop the pipeline, or leave the line."""


@dataclass(frozen=True, slots=True)
class Send:
    """Send an event to the viewers."""

    event: events.Event


@dataclass(frozen=True, slots=True)
class Keep:
    """Store a finished clip, then send the events."""

    clip: Clip
    then: tuple[events.Event, ...]


@dataclass(frozen=True, slots=True)
class Settle:
    """Store the turn's text, its state and what was heard of it, then send the events. In a final
    phase it is the last time."""

    then: tuple[events.Event, ...] = ()


Action = Cancel | Send | Keep | Settle


@dataclass(slots=True)
class Turn:
    """Hold the state of one turn. `started` is when its text came in, in seconds."""

    id: str
    generation: int
    kind: str
    text: str
    started: float
    client_id: str | None = None
    phase: Phase = Phase.WAITING
    answer: str = ""
    milestones: dict[Milestone, float] = field(default_factory=dict)
    heard: str | None = None
    """What was heard of an interrupted answer; None when all of it was."""
    reason: str | None = None
    """Why it was interrupted: the reason given, or the code of the error that ended it."""
    drift_ms: float | None = None
    """The largest difference between sound and picture that a page measured, with its sign."""
    _segments: dict[str, SegmentPlayback] = field(default_factory=dict)

    def opening(self) -> list[Action]:
        """Return the actions that begin the turn, before any input."""
        return [
            Send(events.TurnStarted(self.id, self.generation, self.kind, self.text, self.client_id))
        ]

    def segment(self, segment_id: str) -> SegmentPlayback | None:
        """Return the segment of that id, None if it is of another turn."""
        return self._segments.get(segment_id)

    def timings_ms(self) -> dict[str, float]:
        """Return the latency waterfall: ms from the text's arrival to each milestone reached."""
        return {
            mark.value: round((self.milestones[mark] - self.started) * 1000, 1)
            for mark in Milestone
            if mark in self.milestones
        }

    def seconds_left(self) -> float:
        """Return media seconds that have been drawn and not been reported as heard."""
        return sum(segment.left_s for segment in self._segments.values())

    def handle(self, happened: Input) -> list[Action]:
        """Take an input; return the actions to carry out, in order. In a final phase there are
        none."""
        if self.phase in FINAL:
            return []
        match happened:
            case Queued(position):
                return self._queued(position)
            case Admitted():
                return self._admitted()
            case Reached(mark, at):
                self.milestones.setdefault(mark, at)
                return []
            case TextArrived(text, at):
                return self._text_arrived(text, at)
            case SegmentBegan():
                return self._segment_began(happened)
            case FragmentMade():
                return self._fragment_made(happened)
            case SegmentDrawn(segment, seconds):
                return self._segment_drawn(segment, seconds)
            case ClipStored():
                return self._clip_stored(happened)
            case Played(segment, seconds, ended):
                return self._played(segment, seconds, ended)
            case Dropped(segment, seconds):
                return self._dropped(segment, seconds)
            case SoundEnded():
                return []
            case Drifted(ms):
                self.drift_ms = max(self.drift_ms or 0.0, ms, key=abs)
                return []
            case PlaybackEnded(at):
                return self._playback_ended(at)
            case PipelineEnded(at):
                return self._pipeline_ended(at)
            case PipelineFailed(code, message, at):
                self.reason = code
                failure = Send(events.Failure(code, message, self.id))
                return [failure, *self._interrupted("error", at)]
            case Troubled(code, message):
                return [Send(events.Failure(code, message, self.id))]
            case Noticed(code, message):
                return [Send(events.Notice(code, message))]
            case Interrupt(reason, at):
                return self._interrupted(reason, at)

    def _queued(self, position: int) -> list[Action]:
        if self.phase is not Phase.WAITING:
            return []
        return [Send(events.QueuePosition(self.id, position))]

    def _admitted(self) -> list[Action]:
        if self.phase is not Phase.WAITING:
            return []
        self.phase = Phase.THINKING
        return []

    def _text_arrived(self, text: str, at: float) -> list[Action]:
        if self.phase not in _ANSWERING:
            return []
        self.milestones.setdefault(Milestone.FIRST_TOKEN, at)
        self.answer += text
        return [Send(events.TextDelta(self.id, self.generation, text))]

    def _segment_began(self, began: SegmentBegan) -> list[Action]:
        if self.phase not in _ANSWERING:
            return []
        self.phase = Phase.SPEAKING
        self._segments[began.segment] = SegmentPlayback(
            began.index, began.text, began.emotion, began.first_frame, began.at
        )
        started = events.SegmentStarted(
            self.id,
            self.generation,
            began.segment,
            began.index,
            began.text,
            began.emotion,
            began.mime,
            began.first_frame,
        )
        if began.packets is None:
            return [Send(started)]
        # First: a viewer that takes them is told so in `segment.started`.
        return [Send(events.SegmentLive(self.generation, began.packets)), Send(started)]

    def _fragment_made(self, made: FragmentMade) -> list[Action]:
        if made.segment not in self._segments:
            return []
        if made.data:
            self.milestones.setdefault(Milestone.FIRST_FRAGMENT, made.at)
        return [
            Send(
                events.SegmentData(
                    self.generation,
                    made.segment,
                    made.index,
                    made.last,
                    data=made.data,
                )
            )
        ]

    def _segment_drawn(self, segment: str, seconds: float) -> list[Action]:
        if segment in self._segments:
            self._segments[segment].seconds = seconds
        return []

    def _clip_stored(self, stored: ClipStored) -> list[Action]:
        segment = self._segments.get(stored.segment)
        if segment is None:
            return []
        segment.last_frame = stored.clip.last_frame
        ready = events.VideoReady(self.id, self.generation, stored.segment, stored.clip)
        return [Keep(stored.clip, (ready,))]

    def _played(self, segment_id: str, seconds: float, ended: bool) -> list[Action]:
        segment = self._segments.get(segment_id)
        if segment is None:
            return []
        segment.played = max(segment.played, seconds)
        segment.ended = segment.ended or ended
        segment.dropped = False
        if self.phase is Phase.HEARING and self._all_ended():
            return [Settle((self._heard_out(),))]
        return []

    def _dropped(self, segment_id: str, seconds: float) -> list[Action]:
        segment = self._segments.get(segment_id)
        if segment is not None and not segment.ended:
            segment.played, segment.dropped = seconds, True
        return []

    def _playback_ended(self, at: float) -> list[Action]:
        if self.phase is not Phase.HEARING:
            return []
        if any(s.dropped for s in self._segments.values()):
            self.heard = words_heard(at, self._segments.values())
        return [Settle((self._heard_out(),))]

    def _pipeline_ended(self, at: float) -> list[Action]:
        if self.phase not in _ANSWERING:
            return []
        self.milestones[Milestone.FINISHED] = at
        self.phase = Phase.HEARING
        finished = events.TurnFinished(self.id, self.generation, self.answer, self.timings_ms())
        if self._all_ended():
            return [Settle((finished, self._heard_out()))]
        return [Settle((finished,))]

    def _all_ended(self) -> bool:
        return all(segment.ended for segment in self._segments.values())

    def _heard_out(self) -> events.TurnTimings:
        """End the turn, which was heard to its end; the event with all timings."""
        self.phase = Phase.FINISHED
        return events.TurnTimings(self.id, self.generation, self.timings_ms(), self.drift_ms)

    def _interrupted(self, reason: str, at: float) -> list[Action]:
        self.heard = words_heard(at, self._segments.values())
        self.phase = Phase.INTERRUPTED
        self.reason = self.reason or reason
        return [Cancel(), Send(events.TurnInterrupted(self.id, self.generation, reason)), Settle()]
