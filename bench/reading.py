"""`python -m bench reading`: how many texts are read as people read them.

The texts and their readings in `bench/texts/` were written by hand, before the reader ran on
them; where a text can be read in more than one right way, the readings stand beside each other.
Spaces of a Korean reading are not compared: nobody hears them. The share follows no machine.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from bench.report import Target, write
from ditto_avatar.speech.english import read_english
from ditto_avatar.speech.korean.reading import read_korean
from ditto_avatar.speech.text import spoken_text
from ditto_avatar.types import Language

TEXTS = Path(__file__).parent / "texts"


@dataclass(frozen=True, slots=True)
class Case:
    """A text of one kind, and the ways in which it is read right."""

    language: Language
    kind: str
    text: str
    right: tuple[str, ...]


def cases() -> list[Case]:
    """Read all texts: a line ``# kind``, then lines ``text => reading | another reading``."""
    found = []
    for language in Language:
        kind = ""
        for line in (TEXTS / f"reading_{language}.txt").read_text(encoding="utf-8").splitlines():
            if line.startswith("# "):
                kind = f"{language}: {line[2:]}"
            elif " => " in line:
                text, _, right = line.partition(" => ")
                found.append(Case(language, kind, text, tuple(right.split(" | "))))
    return found


def read(case: Case) -> str:
    """The text as the embedded voice gets it."""
    text = spoken_text(case.text, case.language)
    return read_korean(text) if case.language is Language.KOREAN else read_english(text)


def is_right(case: Case, reading: str) -> bool:
    """Whether `reading` is one of those that were expected."""
    return _heard(reading, case) in {_heard(right, case) for right in case.right}


def _heard(reading: str, case: Case) -> str:
    return "".join(reading.split()) if case.language is Language.KOREAN else reading


def main() -> None:
    """Read all texts, print those that are read wrong, and write results/reading.json."""
    console = Console(highlight=False)
    texts: Counter[str] = Counter()
    right: Counter[str] = Counter()
    for case in cases():
        reading = read(case)
        texts[case.kind] += 1
        right[case.kind] += is_right(case, reading)
        if not is_right(case, reading):
            console.print(f"{case.text!r}: {reading!r}, not {case.right[0]!r}", markup=False)
    write(
        "reading",
        {
            "texts": texts.total(),
            "right_share": round(right.total() / texts.total(), 4),
            "by_kind": {kind: round(right[kind] / count, 4) for kind, count in texts.items()},
        },
        {"texts": Target("≥ 400"), "right_share": Target("≥ 0.99")},
    )


if __name__ == "__main__":
    main()
