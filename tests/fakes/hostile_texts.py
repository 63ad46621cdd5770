"""Texts made to be slow, to end the speech engine or to be read wrong, and what a slow one costs
beside a plain one."""

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
# Each ended espeak-ng 1.52.0, and with it the server it ran in: it writes past a buffer on its
# stack for a run of characters that it takes for one word.
DEADLY = ("http://" + "a." * 1_990, ".a" * 220, "щ." * 141, "ness" * 88, ("щ." * 10 + " ") * 15)
# Short ones of every kind that a program of strangers might send to be spoken.
NASTY = (
    "", " ", "\n\n\n", "\0", "a\0b", "\x1b[31mred\x07", "\ud83d", "a\udc00b", "\ufffe\uffff",
    "\u202eevil\u202c", "\ufeffHi.", "\u200b" * 300, "e" + "\u0301" * 500,
    "👨\u200d👩\u200d👧" * 60, "🇰🇷" * 100, "ﷺ" * 200, "𝓗𝓮𝓵𝓵𝓸 𝕿𝖍𝖊𝖗𝖊", "Ｆｕｌｌ　ｗｉｄｔｈ",
    "한" * 200, "ㄱㄴㄷㄹ" * 100, "뷁쀍뛟" * 100, "ไก่จิกเด็ก" * 30, "नमस्ते" * 60,
    "السلام عليكم", "𒀀𒁀𓀀", "\U000e0041" * 100, "\U00100000" * 50, "9" * 3_000,
    "-" * 2_000, "1e999999999", "0x" + "f" * 500, "1/" * 700, "10^10^10^10", "٣٤٥" * 100,
    "12:34:56:78:90", "31/02/2026", "$" * 500, "<speak><break time='99999s'/></speak>",
    "<!DOCTYPE x [<!ENTITY a 'aaaa'>]>&a;&a;", "[[h@l'oU]]" * 80, "[[" * 800, "&#x110000;" * 100,
    "{{7*7}}${7*7}%n%n%s", "'; DROP TABLE turns; --", "../../../etc/passwd", "C:\\CON\\NUL\\" * 50,
    "http://[::1]:99999/%00%ff?" + "a=b&" * 300, "a@" * 600, "A." * 600, "I" * 700, "W" * 3_900,
    "b" * 39 + " " + "b" * 41, "The " * 900, "?" * 1_500, "?!" * 700, "a,b;c:d" * 200,
)  # fmt: skip
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
