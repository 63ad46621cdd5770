"""Hangul is spelt as it sounds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ditto_avatar.speech.korean.sounds import pronounced

RULES = {
    "a coda moves to a vowel": "옷이 오시, 한국어 한구거, 앉아 안자, 값이 갑씨, 닭이 달기",
    "ㅎ disappears before a vowel": "좋아요 조아요, 많이 마니, 싫어요 시러요",
    "ㅎ aspirates its neighbour": "좋고 조코, 입학 이팍, 축하 추카, 못하다 모타다, 그렇죠 그러쵸",
    "ㄷ and ㅌ are palatal before 이": "굳이 구지, 같이 가치, 붙이다 부치다, 닫히다 다치다",
    "stops become nasal": "국민 궁민, 합니다 함니다, 있는 인는, 앞문 암문, 읽는 잉는",
    "ㄹ becomes ㄴ": "대통령 대통녕, 독립 동닙, 심리 심니, 협력 혐녁",
    "ㄴ becomes ㄹ": "신라 실라, 설날 설랄, 연락 열락",
    "a stop makes the next one tense": "학교 학꾜, 국밥 국빱, 없다 업따, 했습니다 핻씀니다",
    "codas are closed": "부엌 부억, 잎 입, 꽃 꼳, 여덟 여덜, 읽고 일꼬",
    "의 has three sounds": "의사 의사, 희망 히망, 주의 주이, 나의 나에, 강의실 강이실",
    "some words have their own": "꽃잎 꼰닙, 맛있어요 마시써요, 서울역 서울력, 인기 인끼",
    "what is plain stays": "안녕하세요 안녕하세요, 나무 나무, 강아지 강아지, 영어 영어",
}


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_of_pronunciation(rule: str) -> None:
    for pair in RULES[rule].split(", "):
        written, spoken = pair.split()
        assert pronounced(written) == spoken


def test_words_do_not_reach_into_each_other_and_signs_stay() -> None:
    assert pronounced("옷 안, GPU 3! 값") == "옫 안, GPU 3! 갑"


@given(st.text(alphabet=st.characters(min_codepoint=0xAC00, max_codepoint=0xD7A3), max_size=8))
def test_any_hangul_keeps_its_number_of_syllables(text: str) -> None:
    spoken = pronounced(text)
    assert len(spoken) == len(text)
    assert all("가" <= character <= "힣" for character in spoken)
