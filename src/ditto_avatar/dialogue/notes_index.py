"""Finds the section of a folder of Markdown notes that answers a question."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import log
from pathlib import Path

import bm25s

from ditto_avatar.errors import InvalidInput
from ditto_avatar.types import Language

_HEADING = re.compile(r"^#{1,6}\s+(.*?)\s*#*\s*$", re.MULTILINE)
_COMMENT = re.compile(r"<!--\s*(?:also:)?(.*?)-->", re.DOTALL)
_WORD = re.compile(r"[a-z0-9]+(?:['’][a-z]+)?|[가-힣]+", re.IGNORECASE)
_LARGEST_FILE_BYTES = 2_000_000

_STOP_WORDS = frozenset(
    "a an the is are am was were be been do does did can could should would will shall may might "
    "must i you he she it we they me my your his her its our their this that these those of to in "
    "on at for from with by as and or but if so than then there here not no how what which who "
    "whom why when where please tell about some any just really very let's lets im i'm want need "
    "like get got give have has had know say says make up anything something".split()
)
_KOREAN_ENDINGS = re.compile(
    r"(?:인가요|이에요|예요|인지요|나요|까요|가요|세요|어요|아요|해요|해줘|주세요|줘요|줘|습니까|니까|습니다|"
    r"입니다|합니다|에서는|에서|에게|으로|이란|이랑|하고|까지|부터|에는|은|는|이|가|을|를|의|에|도|로|와|과|만|요|야)$"
)
# How many of them a word carries, one behind the other.
_MOST_ENDINGS = 8
_KOREAN_STOP_WORDS = frozenset(
    "어떻게 어떤 무엇 무슨 뭐 뭔 뭘 왜 어디 언제 누가 좀 이거 그거 저거 이게 그게 알려 말해 "
    "주 있 수 해 하 돼 되 것 거 대해 대한 설명 궁금 싶 제 저 나 내 너 네 당신".split()
)
# What share of a question's weight a section has to cover to count as its answer.
_SURE = 0.5
# What a word counts that only the answer holds.
_MENTIONED = 0.6


@dataclass(frozen=True, slots=True)
class Section:
    """One heading of a note, other ways to ask for it, and what is said then."""

    heading: str
    also: str
    text: str

    @property
    def language(self) -> Language:
        """Korean if there is Hangul in it at all: English text never has any."""
        hangul = re.search("[가-힣]", self.heading + self.text)
        return Language.KOREAN if hangul else Language.ENGLISH


class NotesIndex:
    """Sections of one language, ranked for a question by BM25."""

    def __init__(self, sections: Sequence[Section]) -> None:
        self._sections = sections
        # Heading and other wordings are how people ask; they weigh more than the answer.
        self._asked = [frozenset(tokens(f"{s.heading} {s.also}")) for s in sections]
        self._words = [tokens(f"{s.heading} {s.also} " * 2 + s.text) for s in sections]
        # A question may be all stop words: "What can you do?" is found by its wording.
        self._wordings = {
            _plain(wording): section
            for section in sections
            for wording in (section.heading, *section.also.split(","))
            if _plain(wording)
        }
        self._known = Counter(word for words in self._words for word in set(words))
        self._ranking: bm25s.BM25 | None = None
        if sections:
            self._ranking = bm25s.BM25()
            self._ranking.index(self._words, show_progress=False)

    def __len__(self) -> int:
        return len(self._sections)

    def texts(self) -> Iterator[str]:
        """The answer of every section."""
        for section in self._sections:
            yield section.text

    def find(self, question: str) -> Section | None:
        """The section that answers `question`, None when none surely does."""
        if (section := self._wordings.get(_plain(question))) is not None:
            return section
        asked = list(dict.fromkeys(tokens(question)))
        known = [word for word in asked if word in self._known]
        if self._ranking is None or not known:
            return None
        count = min(3, len(self._sections))
        numbers, _ = self._ranking.retrieve([known], k=count, show_progress=False)
        best = max((int(number) for number in numbers[0]), key=lambda n: self._cover(asked, n))
        return self._sections[best] if self._cover(asked, best) >= _SURE else None

    def _cover(self, question: Sequence[str], number: int) -> float:
        """The share of the question's weight that a section holds; rare words weigh more, and
        a word that no section knows weighs as much as the rarest. One word that only happens
        to occur in the answer is no match."""
        count = len(self._sections)
        weights = {word: log(1 + count / (self._known[word] or 1)) for word in question}
        asked = [word for word in question if word in self._asked[number]]
        held = set(self._words[number]) - set(asked)
        mentioned = [word for word in question if word in held]
        if not asked and len(mentioned) < 2:
            return 0.0
        weight = sum(weights[w] for w in asked) + _MENTIONED * sum(weights[w] for w in mentioned)
        return weight / sum(weights.values())


def read_notes(folder: Path) -> list[Section]:
    """The sections of every ``*.md`` under `folder`, in the order of the file names.

    Raises `InvalidInput` when there is no such folder, or a note is no UTF-8 text.
    """
    if not folder.is_dir():
        raise InvalidInput(f"The notes were expected in a folder, but '{folder}' is none.")
    sections: list[Section] = []
    for path in sorted(folder.rglob("*.md")):
        if path.stat().st_size > _LARGEST_FILE_BYTES:
            raise InvalidInput(f"The note '{path.name}' is larger than 2 MB.")
        try:
            text = path.read_text("utf-8")
        except UnicodeDecodeError as error:
            raise InvalidInput(f"The note '{path.name}' was expected to be UTF-8 text.") from error
        sections.extend(_sections(text))
    return sections


def tokens(text: str) -> list[str]:
    """Words to compare by: English ones without common endings, Korean ones without particles
    and as pairs of syllables, so that one stem matches another ending."""
    found: list[str] = []
    for word in _WORD.findall(text.lower()):
        if "가" <= word[0] <= "힣":
            found.extend(_korean_tokens(word))
        elif word not in _STOP_WORDS:
            found.append(_english_stem(word))
    return found


def _plain(text: str) -> str:
    return " ".join(_WORD.findall(text.lower()))


def _korean_tokens(word: str) -> Iterator[str]:
    stem = word
    for _ in range(_MOST_ENDINGS):
        shorter = _KOREAN_ENDINGS.sub("", stem)
        if shorter in {"", stem}:
            break
        stem = shorter
    if stem in _KOREAN_STOP_WORDS or word in _KOREAN_STOP_WORDS:
        return
    if len(stem) <= 2:
        yield stem
        return
    yield from (stem[index : index + 2] for index in range(len(stem) - 1))


def _english_stem(word: str) -> str:
    word = re.sub(r"['’]s?$", "", word)
    for ending, shortest in (("ations", 4), ("ation", 4), ("ing", 4), ("ies", 3), ("ed", 4)):
        if word.endswith(ending) and len(word) - len(ending) >= shortest - 1:
            return word[: -len(ending)] + ("y" if ending == "ies" else "")
    if word.endswith("s") and not word.endswith("ss") and len(word) > 3:
        word = word[:-1]
    return word[:-1] if word.endswith("e") and len(word) > 4 else word


def _sections(text: str) -> Iterator[Section]:
    headings = list(_HEADING.finditer(text))
    if not headings:
        yield from _section("", text)
    for this, following in zip(headings, [*headings[1:], None], strict=True):
        body = text[this.end() : following.start() if following else len(text)]
        yield from _section(this[1], body)


def _section(heading: str, body: str) -> Iterator[Section]:
    also = " ".join(match[1].strip() for match in _COMMENT.finditer(body))
    answer = re.sub(r"[ \t]*\n(?!\n)[ \t]*", " ", _COMMENT.sub("", body).strip())
    if answer:
        yield Section(heading, also, answer)
