"""Texts of every kind, spoken by a real server: no text ends it."""

from __future__ import annotations

import asyncio
import json
import random
import sys
from collections import Counter, deque
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any
from unicodedata import category

from websockets.exceptions import WebSocketException

from bench.abuse.watch import metric, watching
from bench.serving import Serving, Viewer, serving
from tests.fakes.hostile_texts import DEADLY, NASTY, UNITS

SOCKETS = 4
# A text that is not begun, refused or over within this time counts as unanswered.
ANSWER_S = 30.0
_LONGEST = 3_900
_LOST = ("unanswered", "broken_off", "failed")
_ENGLISH = (
    "we open at nine and the kitchen closes ten would you like table by window rhythm strengths "
    "queue I'm o'clock naïve NASA www.example.org 3.14 1,234,567 $9.99 12:30 2026-11-22 50% -40 "
    "Dr. St. vs. e.g. COVID-19 C++ #1 @home 4K µm 1/2 x² IV iPhone it's don't antidisestablish"
).split()
_KOREAN = (
    "저희는 아홉 시에 문을 열고 열 창가 자리로 준비해 드릴까요 읽는다 닭이 값을 없어요 밟히다 "
    "1시간 3명이 2026년 11월 50% 3.5km ㅋㅋㅋ ㅠㅠ 뷁 쀍 똠방각하 AI를 010-1234-5678 제1회 ₩9,900"
).split()
_MARKUP = (
    "<speak>", "</speak>", '<break time="9999s"/>', "<phoneme alphabet='x-espeak'>", "[[h@l'oU]]",
    "[[", "]]", "[happy]", "[angry", "**", "```", "<!--", "-->", "<![CDATA[", "&amp;", "&#0;",
    "&#x1F600;", "](http://a.b)", "| a | b |", "\n# ", "{{", "}}", "%s", "\\u0000", "<audio src=x>",
)  # fmt: skip
_ENDS = (". ", "? ", "! ", ", ", "\n", "… ", " ", "。", "; ")
_WORDLIKE = ("ness", "щ.", ".a", "a.", "aa.", "un", "a'", "-a", "一", "ห", "ख्", "ไก่", "ß.", "x_")


def texts(seed: int, cases: Path | None = None) -> Iterator[str]:
    """Yield those that are known to hurt, those of a folder with cases, then new ones without
    end."""
    yield from (*DEADLY, *NASTY)
    if cases is not None:
        yield from texts_of_cases(cases)
    pick = random.Random(seed)
    kinds = (_english, _korean, _planes, _one_block, _run, _markup, _mixed)
    while True:
        yield pick.choice(kinds)(pick)[:_LONGEST]


def texts_of_cases(folder: Path) -> list[str]:
    """The texts of all JSON files of a folder that hold lists of objects with a `text`."""
    return [
        case["text"]
        for file in sorted(folder.glob("*.json"))
        for case in json.loads(file.read_text(encoding="utf-8"))
        if isinstance(case, dict) and "text" in case
    ]


def _words(pick: random.Random, words: list[str], most: int) -> str:
    return "".join(
        pick.choice(words) + (pick.choice(_ENDS) if pick.random() < 0.2 else " ")
        for _ in range(pick.randint(1, most))
    )


def _english(pick: random.Random) -> str:
    return _words(pick, _ENGLISH, 60)


def _korean(pick: random.Random) -> str:
    syllables = [chr(pick.randint(0xAC00, 0xD7A3)) for _ in range(20)]
    jamo = [chr(pick.randint(0x1100, 0x11FF)) for _ in range(5)]
    return _words(pick, [*_KOREAN, *syllables, *jamo], 50)


def _planes(pick: random.Random) -> str:
    """Characters from anywhere in Unicode, every plane as likely as any other; but no halves of
    one, which are refused before anything is spoken."""
    anywhere = (
        chr(pick.randrange(17) * 0x10000 + pick.randrange(0x10000))
        for _ in range(pick.randint(1, 200))
    )
    return "".join(character for character in anywhere if category(character) != "Cs")


def _one_block(pick: random.Random) -> str:
    """Neighbours in the planes that hold writing, with spaces and marks between them."""
    start = pick.choice((0, 0, 0, 1, 2)) * 0x10000 + pick.randrange(0xFF) * 0x100
    near = [chr(start + place) for place in range(0x100)]
    letters = [c for c in near if category(c) not in ("Cn", "Cs")] or near
    return "".join(pick.choice((*pick.choices(letters, k=6), " ", ".", "a")) for _ in range(300))


def _run(pick: random.Random) -> str:
    """A run without an end, which engines take for one word."""
    unit = pick.choice((*UNITS, *_WORDLIKE, chr(pick.randrange(0x20, 0x3000))))
    before = pick.choice(("", "http://", "A", "가", "1", "."))
    return before + unit * pick.randint(20, _LONGEST // len(unit))


def _markup(pick: random.Random) -> str:
    return _words(pick, [*_MARKUP, *_ENGLISH], 60)


def _mixed(pick: random.Random) -> str:
    """Two kinds, cut anywhere, and one in the middle of the other."""
    outer, inner = (pick.choice((_english, _korean, _planes, _run, _markup))(pick) for _ in "ab")
    at = pick.randrange(len(outer) + 1)
    return outer[:at] + inner[: pick.randrange(len(inner) + 1)] + outer[at:]


async def speak_all(count: int, log: Path, cases: Path | None) -> dict[str, Any]:
    """Speak that many texts over a few sockets at once; the figures."""
    left = deque(enumerate(islice(texts(12, cases), count)))
    outcomes: Counter[str] = Counter()
    ends, children = 0, 0.0
    while left:
        # A viewer begins a turn as soon as the last has begun, far more than 30 in a minute.
        async with serving(log) as server:
            await asyncio.gather(*(_speak_some(server, left, outcomes) for _ in range(SOCKETS)))
            ends += server.ended
            if not server.ended:
                children += await metric(server, "ditto_speech_children_lost_total")
    return {
        "texts_tried": sum(outcomes.values()),
        "process_ends": ends,
        "engine_children_ended": int(children),
        "texts_unanswered": outcomes["unanswered"] + outcomes["broken_off"],
        "texts_failed": outcomes["failed"],
        "texts_spoken": outcomes["segment.started"],
        "texts_without_sound": outcomes["turn.finished"],
        "texts_refused": outcomes["refused"],
    }


async def watch_stalls(log: Path, cases: Path | None) -> dict[str, Any]:
    """Speak the texts that are known to hurt and those of the cases one by one, and watch how soon
    the server answers somebody else meanwhile; the figures."""
    spoken = [*DEADLY, *NASTY, *(texts_of_cases(cases) if cases is not None else [])]
    outcomes: Counter[str] = Counter()
    async with serving(log) as server, server.viewer() as viewer:
        await _speak(viewer, 0, "Hello.")  # libraries loaded, pools full
        async with watching(server) as watch:
            for number, text in enumerate(spoken, 1):
                outcome = await _speak(viewer, number, text)
                outcomes[outcome] += 1
                _tell(outcome, text)
    return {
        "case_texts": len(spoken),
        "case_texts_lost": sum(outcomes[name] for name in _LOST),
        "case_stall_worst_ms": round(max(watch.healthz_ms), 1),
    }


async def _speak_some(
    server: Serving, left: deque[tuple[int, str]], outcomes: Counter[str]
) -> None:
    """Take texts until there is none, or no server."""
    while left and not server.ended:
        try:
            async with server.viewer() as viewer:
                while left:
                    number, text = left.popleft()
                    outcome = "broken_off"
                    try:
                        outcome = await _speak(viewer, number, text)
                    finally:
                        outcomes[outcome] += 1
                        _tell(outcome, text)
        except (OSError, WebSocketException):
            await asyncio.sleep(0.2)  # until the process that ended is known to have ended


async def _speak(viewer: Viewer, number: int, text: str) -> str:
    """Say it, and read until it begins to be shown, is refused or is over; which of these."""
    viewer.messages.clear()
    name = f"t{number}"
    await viewer.send(type="say", text=text, id=name)
    turn = None
    kinds = ("turn.started", "segment.started", "turn.finished", "turn.interrupted", "error")
    while True:
        try:
            _, message = await viewer.until(*kinds, timeout_s=ANSWER_S)
        except TimeoutError:
            return "unanswered"
        kind = message["type"]
        if kind == "turn.started" and message["id"] == name:
            turn = message["turn"]
        elif kind == "error" and message["id"] == name:
            return "refused"
        elif turn is not None and message.get("turn") == turn:
            return "failed" if kind in ("error", "turn.interrupted") else str(kind)


def _tell(outcome: str, text: str) -> None:
    if outcome in _LOST:
        sys.stderr.write(f"{outcome}: {text[:80]!r} ({len(text)} characters)\n")
