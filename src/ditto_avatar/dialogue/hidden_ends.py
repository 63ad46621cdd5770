"""Find where a part of an answer ends that people do not see."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto

from ditto_avatar.dialogue import hidden_marks as marks


class State(Enum):
    """What an answer is in the middle of. All but `SHOWN` is hidden."""

    SHOWN = auto()
    THOUGHT = auto()
    TOOL = auto()
    HEADER = auto()
    OTHERS = auto()
    """A turn that the model made up for somebody else."""
    BARE = auto()
    """A channel whose marks were lost: only its name is left."""


@dataclass(frozen=True, slots=True)
class End:
    """The place behind a mark that ends something hidden, or that begins a thought within one."""

    at: int
    state: State
    """What follows."""
    closes: bool = False
    """Whether a thought or another's turn is over."""
    nests: bool = False
    """Whether a thought begins within a thought."""


def find_end(text: str, state: State, tool_ends: str) -> End | None:
    """Return the first end in `text`, which is hidden because of `state`; None where there is none.
    `tool_ends` is what ends the call of a tool."""
    if state is State.BARE:
        match = marks.BARE_FINAL.search(text)
        return None if match is None else End(match.end(), State.SHOWN)
    if state is State.TOOL:
        at = text.find(tool_ends)
        return None if at < 0 else End(at + len(tool_ends), State.SHOWN)
    for match in re.finditer(r"<|\[|◁", text):
        end = _end_at(text, match.start(), state)
        if end is not None:
            return end
    return None


def _end_at(text: str, at: int, state: State) -> End | None:
    """Return the end by the mark at `at`; None for marks that end nothing."""
    if piped := marks.PIPED.match(text, at):
        return _end_by_token(piped, state)
    if state is State.OTHERS:
        return _end_of_turn(text, at)
    if named := marks.NAMED.match(text, at):
        return _end_by_name(named, state)
    for pattern in (marks.BRACKETED, marks.TRIANGLES):
        if (match := pattern.match(text, at)) and match[1]:
            return _closing(match)
    return None


def _end_by_token(piped: re.Match[str], state: State) -> End | None:
    """Return the end by a token such as ``<|im_end|>``."""
    name = (piped[1] or piped[2]).lower()
    if piped[2] and name in marks.HEADERS:
        return _closing(piped)
    if name in marks.HEADERS:
        return End(piped.end(), State.HEADER)
    if name in marks.BEGINS_ANSWER or name in {"assistant", "/assistant"}:
        return End(piped.end(), State.SHOWN)
    if name in marks.CLOSES_THOUGHT or (name in marks.ENDS_TURN and state is State.OTHERS):
        return _closing(piped)
    return None


def _end_of_turn(text: str, at: int) -> End | None:
    """Return the end of another's turn: a closing bracket, or the header of the next turn."""
    match = marks.BRACKETED.match(text, at)
    if match is not None and (match[1] or match[3]):
        return End(match.end(), State.SHOWN)
    opening = "<start_of_turn>"
    if text.startswith(opening, at):
        return End(at + len(opening), State.HEADER)
    return None


def _end_by_name(named: re.Match[str], state: State) -> End | None:
    """Return the end by a mark such as ``</think>``."""
    name = marks.plain(named[2])
    if named[1] and (name in marks.THOUGHTS or name == "details"):
        return _closing(named)
    if name in marks.THOUGHTS and not named[0].endswith("/>"):
        return End(named.end(), state, nests=True)
    if not named[1] and name in {"answer", "final", "final_answer"}:
        return _closing(named)
    return None


def _closing(match: re.Match[str]) -> End:
    return End(match.end(), State.SHOWN, closes=True)
