"""Words of one's own are spoken as their owner says."""

from __future__ import annotations

from pathlib import Path

import pytest

from ditto_avatar.assembly import open_speech
from ditto_avatar.errors import InvalidInput
from ditto_avatar.settings import Settings
from ditto_avatar.speech.pronunciations import Pronunciations, read_pronunciations
from ditto_avatar.types import Language

EN, KO = Language.ENGLISH, Language.KOREAN
FILE = """
[en]
"nginx" = "engine x"
"US" = "you ess"
"C++" = "see plus plus"
[ko]
"nginx" = "엔진엑스"
"디토" = "딧또"
"""


@pytest.mark.parametrize(
    ("text", "language", "spoken"),
    [
        ("Nginx and NGINX run.", EN, "engine x and engine x run."),
        ("us and US", EN, "us and you ess"),
        ("C++ code", EN, "see plus plus code"),
        ("nginxes", EN, "nginxes"),
        ("nginx를 켜고 디토를 봐요", KO, "엔진엑스를 켜고 딧또를 봐요"),
        ("디토", EN, "디토"),
    ],
)
def test_words_are_replaced_as_a_whole(
    text: str, language: Language, spoken: str, tmp_path: Path
) -> None:
    file = tmp_path / "words.toml"
    file.write_text(FILE, encoding="utf-8")
    assert read_pronunciations(file).applied(text, language) == spoken


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[fr]\na = 'b'", "expected the tables"),
        ("[en]\na = 1", "no word"),
        ("[en", "cannot be read"),
    ],
)
def test_a_wrong_file_is_named(content: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "words.toml"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(InvalidInput, match=message):
        read_pronunciations(file)


async def test_the_voice_says_the_word_and_the_cache_tells_dictionaries_apart(
    tmp_path: Path,
) -> None:
    file = tmp_path / "words.toml"
    file.write_text("[en]\nqqq = 'hello'", encoding="utf-8")
    plain = open_speech(Settings())
    speech = open_speech(Settings(pronunciations=file))
    try:
        voice = speech.voices()[0]
        said = [chunk async for chunk in speech.speak("qqq", voice)]
        hello = [chunk async for chunk in plain.speak("hello", voice)]
        assert [p.symbol for c in said for p in c.phonemes] == [
            p.symbol for c in hello for p in c.phonemes
        ]
        assert speech.fingerprint != plain.fingerprint
    finally:
        await speech.close()
        await plain.close()


def test_an_empty_dictionary_changes_nothing() -> None:
    assert Pronunciations({}).applied("Hello.", EN) == "Hello."
