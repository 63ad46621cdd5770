"""Texts made to be slow, and what they cost beside a plain one."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache

LENGTH = 2_000
# What is repeated: each once cost hundreds of times as much as plain words, or comes near to it.
UNITS = (
    "1.", "1.2.", "a.", ".a", "A. ", "Mr. ", "e.g. ", "다.", "다…", "。」", "“.", "a@a.", "%a",
    ", ", "[happy", "<happy", "(happy", "[a](", "[](a ", "![", "<a", "<!--", "</a ", "*", "**a",
    "_a ", "*_", "~~a", "`", "```\n", "- ", "-", "--", "|-", "---|", "> ", " ", "\t", "\n", ",",
    ".", "! ", "…", "8", "12", "1,", "123,", "1-", "1~", "1:", "$1", "v1.", "1시가", "제1", "가",
    "번", "가=", "km/h", "😀", "\ufe0f", "\u200d", "e\u0301", "ᄀ", "&amp;", "1⃣",
)  # fmt: skip
BEFORE = ("", "http://")
_PLAIN = {
    "en": "We open at nine, and the kitchen closes at ten. Would you like a table by the window? ",
    "ko": "저희는 아홉 시에 문을 열고 열 시에 닫아요. 창가 자리로 준비해 드릴까요? ",
}


def hostile(unit: str, before: str = "") -> str:
    """`unit` again and again, up to `LENGTH`, with an end that no pattern expects."""
    return (before + unit * LENGTH)[: LENGTH - 2] + " a"


def times_as_slow(work: Callable[[str], object], text: str) -> float:
    """How many times the processor time of a plain text of the same length `text` takes; the
    slower plain language counts, and of several runs the best."""
    return _seconds(work, text) / _plain_seconds(work)


@cache
def _plain_seconds(work: Callable[[str], object]) -> float:
    return max(_seconds(work, (words * LENGTH)[:LENGTH]) for words in _PLAIN.values())


def _seconds(work: Callable[[str], object], text: str) -> float:
    best = float("inf")
    for _ in range(3):
        began = time.thread_time()
        work(text)
        best = min(best, time.thread_time() - began)
        if best > 1:
            break  # slow enough to be sure
    return best
