"""Words in other scripts are said by a voice for them, and never spelt."""

from __future__ import annotations

import pytest

from ditto_avatar.speech.espeak import EspeakEngine
from ditto_avatar.speech.korean.hanja import read_hanja
from ditto_avatar.speech.scripts import Run, runs
from ditto_avatar.speech.voices import voice_for
from ditto_avatar.types import Language

EN, KO = Language.ENGLISH, Language.KOREAN


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("Say Привет.", EN, [Run("Say"), Run("Привет", "ru")]),
        ("北京 is big.", EN, [Run("北京", "cmn"), Run("is big.")]),
        ("안녕 means hello", EN, [Run("안녕", "ko"), Run("means hello")]),
        ("안녕은 こんにちは예요.", KO, [Run("안녕은"), Run("こんにちは", "ja"), Run("예요.")]),
        ("café naïve", EN, [Run("café naïve")]),
        ("ᚠᚢᚦ runes", EN, [Run("runes")]),
        ("α and β", EN, [Run("alpha  and  beta")]),
        ("5 km", EN, [Run("5 km")]),
        ("ᚠᚢᚦ", EN, []),
    ],
)
def test_a_sentence_is_cut_where_the_script_changes(
    text: str, language: Language, expected: list[Run]
) -> None:
    assert list(runs(text, language)) == expected


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("美 대통령", "미 대통령"),
        ("大韓民國", "대한민국"),
        ("女子와 男子", "여자와 남자"),
        ("中國(중국)", "중국(중국)"),
        ("학교(學校)에", "학교에"),
        ("金", "김"),
        ("勞動", "노동"),
    ],
)
def test_hanja_are_read_in_korean(text: str, read: str) -> None:
    assert read_hanja(text) == read


async def test_no_letter_of_any_script_is_spelt() -> None:
    names = ("tʃaɪniːz", "dʒæpəniːz", "dʒapəniːz", "æɹəbɪk", "hiːbɹuː", "ɡɹiːk", "lɛɾɚ", "letʌ")
    async with EspeakEngine(children=1) as engine:
        for text in ("Привет שלום مرحبا สวัสดี नमस्ते", "日本語 ひらがな Ελλάδα", "ᚠ ⴰ ꦲ"):
            for language in (EN, KO):
                sentence = f"Hello {text}."
                voice = voice_for(engine, sentence, language)
                said = [c async for c in engine.speak(sentence, voice)]
                phonemes = "".join(p.symbol for chunk in said for p in chunk.phonemes)
                assert not any(name in phonemes for name in names)
