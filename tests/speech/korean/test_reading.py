"""Everything in a Korean sentence is read in Korean."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ditto_avatar.speech.espeak import EspeakEngine
from ditto_avatar.speech.korean.reading import read_korean
from ditto_avatar.speech.utterance import utterance
from ditto_avatar.types import Language, joined
from tests.fakes.korean_sentences import SENTENCES


@pytest.mark.parametrize(("text", "read"), SENTENCES)
def test_thirty_sentences_are_read_as_people_read_them(text: str, read: str) -> None:
    assert read_korean(text) == read


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("14시", "십사 시"),
        ("2:1로 이겼어요", "이 대 일로 이겼어요"),
        ("화면비는 16:9", "화면비는 십육 대 구"),
        ("12시", "열두 시"),
        ("0.5초", "영 점 오초"),
        ("1만 2천 원", "만 이천 원"),
        ("1억", "일억"),
        ("6월 30일", "유월 삼십일"),
        ("3~5개", "세 개에서 다섯 개"),
        ("120개", "백이십 개"),
        ("H.264와 MP3", "에이치 이육사와 엠피쓰리"),
        ("RTX 4090", "알티엑스 사천구십"),
        ("Node.js", "노드제이에스"),
        ("512×512", "오백십이 곱하기 오백십이"),
        ("1588-1234", "일오팔팔, 일이삼사"),
        ("3km로", "삼 킬로미터로"),
        ("25fps는 5ms가", "이십오 프레임은 오 밀리초가"),
        ("버전 2.0.1", "버전 이 점 영 점 일"),
        ("99:99", "구십구 대 구십구"),
        ("2024-13-45", "이천이십사-십삼-사십오"),
        ("Schwarzwald에서", "Schwarzwald에서"),
        ("", ""),
    ],
)
def test_single_expressions(text: str, read: str) -> None:
    assert read_korean(text) == read


@given(st.text(alphabet="0123456789.,:-/~%월일시개번 가나kmGB$°CvVAa", max_size=24))
def test_no_digit_is_left_whatever_comes(text: str) -> None:
    assert not re.search(r"\d", read_korean(text))


async def test_thirty_sentences_become_sound_with_korean_phonemes() -> None:
    async with EspeakEngine() as engine:
        voice = next(v for v in engine.voices() if v.language is Language.KOREAN)
        spoken = [
            joined([chunk async for chunk in utterance(engine, text, voice)])
            for text, _ in SENTENCES
        ]
    for (text, _), speech in zip(SENTENCES, spoken, strict=True):
        assert len(speech.samples) % 640 == 0
        assert 1.0 < len(speech.samples) / 16_000 < 15.0
        assert 0.2 < float(np.abs(speech.samples).max()) < 1.0
        # A syllable has a vowel at least.
        syllables = len(re.findall("[가-힣]", read_korean(text)))
        assert syllables <= len(speech.phonemes) <= 4 * syllables
