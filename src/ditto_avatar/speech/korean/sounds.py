"""Hangul as it sounds, by the rules of standard pronunciation (표준 발음법).

The embedded voice reads letter by letter; spelt like this, 합니다 comes out as 함니다 and 같이 as
가치. Rules that depend on the meaning of a word are left out, but for a short list of words.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

_FIRST, _LAST = 0xAC00, 0xD7A3
_ONSETS = "ㄱㄲㄴㄷㄸㄹㅁㅂㅃㅅㅆㅇㅈㅉㅊㅋㅌㅍㅎ"
_VOWELS = "ㅏㅐㅑㅒㅓㅔㅕㅖㅗㅘㅙㅚㅛㅜㅝㅞㅟㅠㅡㅢㅣ"
_CODAS = ["", *"ㄱㄲㄳㄴㄵㄶㄷㄹㄺㄻㄼㄽㄾㄿㅀㅁㅂㅄㅅㅆㅇㅈㅊㅋㅌㅍㅎ"]

# A coda before a vowel: what stays, and what moves over (articles 13 and 14).
_LIAISON = {
    **{coda: ("", coda) for coda in "ㄱㄲㄴㄷㄹㅁㅂㅅㅆㅈㅊㅋㅌㅍ"},
    **{"ㄳ": ("ㄱ", "ㅆ"), "ㄵ": ("ㄴ", "ㅈ"), "ㄶ": ("", "ㄴ"), "ㄺ": ("ㄹ", "ㄱ")},
    **{"ㄻ": ("ㄹ", "ㅁ"), "ㄼ": ("ㄹ", "ㅂ"), "ㄽ": ("ㄹ", "ㅆ"), "ㄾ": ("ㄹ", "ㅌ")},
    **{"ㄿ": ("ㄹ", "ㅍ"), "ㅀ": ("", "ㄹ"), "ㅄ": ("ㅂ", "ㅆ"), "ㅎ": ("", "ㅇ")},
}
_PALATAL = {"ㄷ": "ㅈ", "ㅌ": "ㅊ"}
# A coda with ㅎ before a consonant: what stays, and what the consonant becomes (article 12).
_H_CODA = {"ㅎ": "", "ㄶ": "ㄴ", "ㅀ": "ㄹ"}
_ASPIRATED = {"ㄱ": "ㅋ", "ㄷ": "ㅌ", "ㅂ": "ㅍ", "ㅈ": "ㅊ"}
_BEFORE_H = {
    **{"ㄱ": ("", "ㅋ"), "ㄲ": ("", "ㅋ"), "ㄺ": ("ㄹ", "ㅋ"), "ㄷ": ("", "ㅌ"), "ㅅ": ("", "ㅌ")},
    **{"ㅆ": ("", "ㅌ"), "ㅊ": ("", "ㅌ"), "ㅌ": ("", "ㅌ"), "ㅈ": ("", "ㅊ"), "ㄵ": ("ㄴ", "ㅊ")},
    **{"ㅂ": ("", "ㅍ"), "ㅍ": ("", "ㅍ"), "ㄼ": ("ㄹ", "ㅍ"), "ㅄ": ("", "ㅍ")},
}
# The seven sounds a syllable can end in (articles 9 to 11).
_CLOSED = {
    **dict.fromkeys("ㄱㄲㅋㄳㄺ", "ㄱ"),
    **dict.fromkeys("ㄷㅅㅆㅈㅊㅌㅎ", "ㄷ"),
    **dict.fromkeys("ㅂㅍㄿㅄ", "ㅂ"),
    **dict.fromkeys("ㄴㄵㄶ", "ㄴ"),
    **dict.fromkeys("ㄹㄼㄽㄾㅀ", "ㄹ"),
    **dict.fromkeys("ㅁㄻ", "ㅁ"),
    "ㅇ": "ㅇ",
    "": "",
}
_NASAL = {"ㄱ": "ㅇ", "ㄷ": "ㄴ", "ㅂ": "ㅁ"}
_TENSE = {"ㄱ": "ㄲ", "ㄷ": "ㄸ", "ㅂ": "ㅃ", "ㅅ": "ㅆ", "ㅈ": "ㅉ"}

# Words whose sound the letters do not tell: an inserted ㄴ or an unexpected tense consonant.
_WORDS = {
    "꽃잎": "꼰닙",
    "나뭇잎": "나문닙",
    "깻잎": "깬닙",
    "담요": "담뇨",
    "색연필": "생년필",
    "한여름": "한녀름",
    "솜이불": "솜니불",
    "알약": "알략",
    "서울역": "서울력",
    "맛있": "마싰",
    "멋있": "머싰",
    "문법": "문뻡",
    "인기": "인끼",
    "사건": "사껀",
    "조건": "조껀",
    "한자": "한짜",
    "글자": "글짜",
    "물고기": "물꼬기",
    "길가": "길까",
    "손가락": "손까락",
    "발가락": "발까락",
    "눈동자": "눈똥자",
    "할 수": "할 쑤",
    "갈등": "갈뜽",
    "발달": "발딸",
    "결정": "결쩡",
    "실시": "실씨",
    "일정": "일쩡",
    "출발": "출발",
    "의견란": "의견난",
    "생산량": "생산냥",
    "밟": "밥",
    "넓죽": "넙쭉",
    "여덟": "여덜",
}
_WORD = re.compile("|".join(sorted(map(re.escape, _WORDS), key=len, reverse=True)))
_HANGUL = re.compile("[가-힣]+")


@dataclass(frozen=True, slots=True)
class _Syllable:
    onset: str
    vowel: str
    coda: str


def pronounced(text: str) -> str:
    """`text` with every run of Hangul spelt as it sounds; everything else stays as it is."""
    text = _WORD.sub(lambda match: _WORDS[match[0]], text)
    return _HANGUL.sub(lambda match: _pronounced_word(match[0]), text)


def _pronounced_word(word: str) -> str:
    syllables = [_apart(character) for character in word]
    syllables = _vowels(syllables)
    for index in range(len(syllables) - 1):
        first, second = syllables[index], syllables[index + 1]
        syllables[index], syllables[index + 1] = _meet(first, second)
    last = syllables[-1]
    syllables[-1] = replace(last, coda=_CLOSED[last.coda])
    return "".join(_together(syllable) for syllable in syllables)


def _vowels(syllables: list[_Syllable]) -> list[_Syllable]:
    """의 sounds like 이 within a word and like 에 as a particle; 져 like 저 (article 5)."""
    changed = []
    for index, syllable in enumerate(syllables):
        vowel = syllable.vowel
        if vowel == "ㅢ" and syllable.onset != "ㅇ":
            vowel = "ㅣ"
        elif vowel == "ㅢ" and index:
            particle = index == len(syllables) - 1 and not syllable.coda and len(syllables) > 1
            vowel = "ㅔ" if particle and not _is_noun_end(syllables) else "ㅣ"
        elif vowel == "ㅕ" and syllable.onset in "ㅈㅉㅊ":
            vowel = "ㅓ"
        changed.append(replace(syllable, vowel=vowel))
    return changed


# Nouns that end in 의 themselves: 회의, 주의, 동의, 강의, 문의, 합의, 정의, 예의, 거의.
_NOUNS_IN_UI = frozenset({"회", "주", "동", "강", "문", "합", "정", "예", "거", "논", "결", "건"})


def _is_noun_end(syllables: list[_Syllable]) -> bool:
    return len(syllables) == 2 and _together(syllables[0]) in _NOUNS_IN_UI


def _meet(first: _Syllable, second: _Syllable) -> tuple[_Syllable, _Syllable]:
    """Both syllables as they sound next to each other; the second keeps its own coda for now."""
    coda, onset = first.coda, second.onset
    if not coda:
        return first, second
    if onset == "ㅇ":
        return _link(first, second)
    if onset == "ㅎ" and coda in _BEFORE_H:
        stays, becomes = _BEFORE_H[coda]
        if second.vowel == "ㅣ" and becomes == "ㅌ" and coda == "ㄷ":
            becomes = "ㅊ"
        return replace(first, coda=stays), replace(second, onset=becomes)
    if coda in _H_CODA:
        return _after_h(first, second)
    if coda == "ㄺ" and onset == "ㄱ":
        return replace(first, coda="ㄹ"), replace(second, onset="ㄲ")
    tense = coda in "ㄼㄾㄵㄻ" and onset in _TENSE
    coda = _CLOSED[coda]
    if coda in _NASAL and onset in "ㄴㅁ":
        coda = _NASAL[coda]
    elif coda in _NASAL and onset == "ㄹ":
        coda, onset = _NASAL[coda], "ㄴ"
    elif coda in "ㅁㅇ" and onset == "ㄹ":
        onset = "ㄴ"
    elif (coda, onset) in {("ㄴ", "ㄹ"), ("ㄹ", "ㄴ")}:
        coda = onset = "ㄹ"
    elif (coda in _NASAL or tense) and onset in _TENSE:
        onset = _TENSE[onset]
    return replace(first, coda=coda), replace(second, onset=onset)


def _link(first: _Syllable, second: _Syllable) -> tuple[_Syllable, _Syllable]:
    """The coda moves over to a vowel; ㄷ and ㅌ become ㅈ and ㅊ before 이 (article 17)."""
    if first.coda == "ㅇ":
        return first, second
    stays, moves = _LIAISON[first.coda]
    if second.vowel == "ㅣ":
        moves = _PALATAL.get(moves, moves)
    return replace(first, coda=stays), replace(second, onset=moves)


def _after_h(first: _Syllable, second: _Syllable) -> tuple[_Syllable, _Syllable]:
    stays = _H_CODA[first.coda]
    onset = second.onset
    if onset in _ASPIRATED:
        return replace(first, coda=stays), replace(second, onset=_ASPIRATED[onset])
    if onset == "ㅅ":
        return replace(first, coda=stays), replace(second, onset="ㅆ")
    if onset == "ㄴ":
        # 놓는 is 논는, 잃는 is 일른.
        if stays == "ㄹ":
            return replace(first, coda="ㄹ"), replace(second, onset="ㄹ")
        return replace(first, coda="ㄴ"), second
    return replace(first, coda=stays or _CLOSED["ㅎ"]), second


def _apart(character: str) -> _Syllable:
    number = ord(character) - _FIRST
    return _Syllable(_ONSETS[number // 588], _VOWELS[number % 588 // 28], _CODAS[number % 28])


def _together(syllable: _Syllable) -> str:
    onset, vowel = _ONSETS.index(syllable.onset), _VOWELS.index(syllable.vowel)
    return chr(_FIRST + onset * 588 + vowel * 28 + _CODAS.index(syllable.coda))
