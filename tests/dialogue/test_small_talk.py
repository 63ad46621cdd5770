"""Greetings and the like are recognised, and the rest of a sentence is kept."""

from __future__ import annotations

import pytest

from ditto_avatar.dialogue.small_talk import Occasion, remark, reply_to
from ditto_avatar.types import Language

EN, KO = Language.ENGLISH, Language.KOREAN


@pytest.mark.parametrize(
    ("text", "language", "occasion", "rest"),
    [
        ("Hello!", EN, Occasion.GREETING, ""),
        ("hi there, Mina!", EN, Occasion.GREETING, ""),
        ("Good morning. How does it work?", EN, Occasion.GREETING, "How does it work"),
        ("Thanks a lot!", EN, Occasion.THANKS, ""),
        ("See you later", EN, Occasion.FAREWELL, ""),
        ("What's your name?", EN, Occasion.WHO_ARE_YOU, ""),
        ("How are you doing today?", EN, Occasion.HOW_ARE_YOU, ""),
        ("ok", EN, Occasion.AGREEMENT, ""),
        ("안녕하세요, 미나 씨!", KO, Occasion.GREETING, ""),
        ("안녕! 설치는 어떻게 해?", KO, Occasion.GREETING, "설치는 어떻게 해"),
        ("정말 고마워요 ㅎㅎ", KO, Occasion.THANKS, ""),
        ("자기소개 좀 해 주세요", KO, Occasion.WHO_ARE_YOU, ""),
        ("요즘 어떻게 지내요?", KO, Occasion.HOW_ARE_YOU, ""),
        ("다음에 또 봐요~", KO, Occasion.FAREWELL, ""),
        ("너무 멋져요!", KO, Occasion.PRAISE, ""),
    ],
)
def test_an_occasion_is_recognised(
    text: str, language: Language, occasion: Occasion, rest: str
) -> None:
    found = remark(text, language)
    assert found is not None
    assert (found.occasion, found.rest) == (occasion, rest)


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("History is long", EN),
        ("Highlight it", EN),
        ("Okinawa is an island", EN),
        ("네트워크가 뭐예요", KO),
        ("하이브리드 자동차", KO),
    ],
)
def test_a_word_that_only_begins_alike_is_none(text: str, language: Language) -> None:
    assert remark(text, language) is None


@pytest.mark.parametrize("language", list(Language))
@pytest.mark.parametrize("occasion", list(Occasion))
def test_every_occasion_has_replies_that_take_turns(occasion: Occasion, language: Language) -> None:
    replies = {reply_to(occasion, language, turn) for turn in range(6)}
    assert replies
    assert all(reply.startswith("[") for reply in replies)
