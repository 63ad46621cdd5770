"""Every sound that espeak writes has a mouth."""

from __future__ import annotations

import pytest

from ditto_avatar.face.puppet.visemes import VISEMES, Channel, parts
from ditto_avatar.speech.espeak import EspeakEngine
from ditto_avatar.types import Language, Voice


@pytest.mark.parametrize(
    ("symbol", "sounds"),
    [
        ("aɪ", ("a", "ɪ")),
        ("oʊ", ("o", "ʊ")),
        ("ɔːɹ", ("ɔ", "ɹ")),
        ("tʃ", ("ʃ",)),
        ("dʒ", ("ʒ",)),
        ("tɕ", ("ɕ",)),
        ("ph", ("p",)),
        ("əl", ("ə", "l")),
        ("h", ("h",)),
        ("g", ("ɡ",)),
        ("?!", ()),
    ],
)
def test_symbols_come_apart_into_sounds(symbol: str, sounds: tuple[str, ...]) -> None:
    assert parts(symbol) == sounds


@pytest.mark.parametrize("symbol", ["m", "b", "p"])
def test_lips_close_on_bilabials(symbol: str) -> None:
    assert VISEMES[symbol].targets[Channel.CLOSE] == 1
    assert VISEMES[symbol].held


@pytest.mark.parametrize(("symbol", "other"), [("u", "ɯ"), ("o", "ʌ"), ("w", "j"), ("ɔ", "a")])
def test_rounded_sounds_are_rounder_than_their_neighbours(symbol: str, other: str) -> None:
    assert VISEMES[symbol].targets[Channel.ROUND] > VISEMES[other].targets[Channel.ROUND] + 0.2


def test_open_vowels_open_the_jaw_and_close_ones_do_not() -> None:
    jaw = {symbol: VISEMES[symbol].targets[Channel.JAW] for symbol in "aɛiu"}
    assert jaw["a"] > jaw["ɛ"] > jaw["i"]
    assert jaw["a"] > 2 * jaw["u"]


@pytest.mark.parametrize(
    ("voice", "language", "text"),
    [
        (
            "en-us+f3",
            Language.ENGLISH,
            "The quick brown fox jumps over the lazy dog; measure joy, choir, this thing, bird, "
            "oil, house, ear, air, tour, yes, Welsh, button, little, uh-oh, loch, fjord, genre.",
        ),
        (
            "en+m3",
            Language.ENGLISH,
            "Water, better, lot, nurse, near, square, goat, mouth, vision.",
        ),
        (
            "ko+f3",
            Language.KOREAN,
            "밥 빠르다 파도 엄마 오늘 으뜸 의사 왜 외국 위 워 와 요 유 예 얘 애 에 닭 꽃 짜 "
            "차 자 사 싸 하 가 까 카 라 알 강 값 읽다 없다 좋아 같이 굳이 한국말 독립 신라",
        ),
    ],
)
async def test_every_phoneme_of_espeak_is_known(voice: str, language: Language, text: str) -> None:
    async with EspeakEngine() as engine:
        unknown = {
            phoneme.symbol
            async for chunk in engine.speak(text, Voice(voice, language, "espeak", voice))
            for phoneme in chunk.phonemes
            if not parts(phoneme.symbol)
        }
    assert unknown == set()
