"""Write captions as WebVTT and SubRip (SRT), and read SRT."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ditto_avatar.errors import InvalidInput

_TIME = re.compile(r"(\d{1,3}):(\d{2}):(\d{2})[,.](\d{1,3})")
_ARROW = "-->"
_TAGS = re.compile(r"</?[a-zA-Z][^<>]*>|\{\\[^{}]*\}")
_LONGEST_CUES = 5_000


@dataclass(frozen=True, slots=True)
class Cue:
    """What is said from `start_s` to `end_s`."""

    start_s: float
    end_s: float
    text: str


def web_vtt(cues: Iterable[Cue], mark: Cue | None = None) -> str:
    """Write WebVTT; `mark` is shown at the top as long as it lasts."""
    lines = ["WEBVTT", ""]
    if mark is not None:
        lines += [f"{_span(mark, '.')} line:0 align:end", _escaped(mark.text), ""]
    for cue in cues:
        lines += [_span(cue, "."), _escaped(cue.text), ""]
    return "\n".join(lines)


def srt(cues: Iterable[Cue]) -> str:
    """Write SubRip."""
    blocks = (
        f"{number}\n{_span(cue, ',')}\n{_one_block(cue.text)}\n"
        for number, cue in enumerate(cues, start=1)
    )
    return "\n".join(blocks)


def read_srt(text: str) -> list[Cue]:
    """Read SubRip, in the order of its times; signs for the layout are left out. Raises
    `InvalidInput` when there is no caption in it, or when a time cannot be read."""
    cues = sorted(_cues(text), key=lambda cue: cue.start_s)
    if not cues:
        raise InvalidInput("The captions hold no text: expected SubRip (.srt).")
    if len(cues) > _LONGEST_CUES:
        raise InvalidInput(f"Expected at most {_LONGEST_CUES:,} captions, came {len(cues):,}.")
    return cues


def _cues(text: str) -> Iterator[Cue]:
    for block in re.split(r"\n[ \t]*\n", text.lstrip("\ufeff").replace("\r\n", "\n")):
        lines = [line.strip() for line in block.strip().split("\n")]
        timed = next((n for n, line in enumerate(lines) if _ARROW in line), None)
        if timed is None:
            continue
        start, _, end = lines[timed].partition(_ARROW)
        words = _TAGS.sub("", " ".join(lines[timed + 1 :])).strip()
        if words:
            yield Cue(_seconds(start), _seconds(end), words)


def _seconds(text: str) -> float:
    found = _TIME.match(text.strip())
    if found is None:
        raise InvalidInput(f"Expected a time as 00:01:02,500 in the captions, came {text[:40]!r}.")
    hours, minutes, seconds, fraction = found.groups()
    return int(hours) * 3600 + int(minutes) * 60 + int(seconds) + float(f"0.{fraction}")


def _span(cue: Cue, point: str) -> str:
    return f"{_time(cue.start_s, point)} {_ARROW} {_time(cue.end_s, point)}"


def _time(seconds: float, point: str) -> str:
    ms = round(seconds * 1000)
    hours, minutes, whole = ms // 3_600_000, ms // 60_000 % 60, ms // 1000 % 60
    return f"{hours:02d}:{minutes:02d}:{whole:02d}{point}{ms % 1000:03d}"


def _escaped(text: str) -> str:
    return _one_block(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _one_block(text: str) -> str:
    """An empty line would end the caption, and an arrow begin another one."""
    return " ".join(text.split()).replace(_ARROW, "→")
