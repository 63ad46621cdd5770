"""Report what a page painted and played."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class PlaybackState(StrEnum):
    """The states of a segment in a page: its first picture was painted, it plays, it played to the
    end, or it was stopped where it was."""

    PAINTED = "painted"
    PLAYING = "playing"
    ENDED = "ended"
    DROPPED = "dropped"


@dataclass(frozen=True, slots=True)
class PlaybackReport:
    """The first `seconds` of `segment` were heard.

    `painted_after_s` is the time from the text's sending to the first picture; for `waited_s` of it
    the page was ready and waited for the idle loop to have that pose. `drift_ms` is how far
    the picture is behind the sound, `idle_frame` where the idle loop is, each where the page
    knows it.
    """

    segment: str
    state: PlaybackState
    seconds: float
    painted_after_s: float | None = None
    waited_s: float = 0.0
    drift_ms: float | None = None
    idle_frame: float | None = None
