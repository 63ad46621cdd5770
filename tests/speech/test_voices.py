"""The script of a sentence decides who says it."""

from __future__ import annotations

import pytest

from ditto_avatar.errors import Unavailable
from ditto_avatar.speech.espeak import EspeakEngine
from ditto_avatar.speech.voices import language_of, voice_for
from ditto_avatar.types import Language, Voice

EN, KO = Language.ENGLISH, Language.KOREAN
ENGINE = EspeakEngine()


@pytest.mark.parametrize(
    ("text", "main", "language"),
    [
        ("안녕하세요", EN, KO),
        ("Hello", KO, EN),
        ("API를 씁니다", KO, KO),
        ('The word "안녕" means hello in Korean.', EN, EN),
        ("저는 API를 좋아합니다", EN, KO),
        ("2024", KO, KO),
        ("2024", EN, EN),
        ("ㅋㅋ", EN, KO),
    ],
)
def test_the_script_decides_and_a_mix_stays_with_the_main_language(
    text: str, main: Language, language: Language
) -> None:
    assert language_of(text, main) is language


def test_the_avatars_own_voice_comes_first() -> None:
    table = {"espeak": {"en": "en+f3"}, "google": {"en": "x"}}
    assert voice_for(ENGINE, "Hello", EN, table).id == "en+f3"
    assert voice_for(ENGINE, "안녕", EN, table).id == "ko+f3"
    assert voice_for(ENGINE, "Hello", EN).id == "en-us+f3"


def test_a_voice_that_is_not_listed_is_passed_on() -> None:
    voice = voice_for(ENGINE, "Hello", EN, {"espeak": {"en": "en-us+m7"}})
    assert voice == Voice("en-us+m7", EN, "espeak", "en-us+m7")


def test_an_engine_without_the_language_is_unavailable() -> None:
    class OnlyEnglish(EspeakEngine):
        def voices(self) -> tuple[Voice, ...]:
            return tuple(voice for voice in super().voices() if voice.language is EN)

    with pytest.raises(Unavailable, match="no voice for 'ko'"):
        voice_for(OnlyEnglish(), "안녕", EN)
