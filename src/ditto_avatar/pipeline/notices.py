"""Word the notices that a viewer reads: an engine failed, an answer was cut."""

from __future__ import annotations

from ditto_avatar.pipeline.answer_length import Cut
from ditto_avatar.types import Fallback, Language

# In Korean the word after a name would depend on the name's last sound: "엔진" stands between.
_TAKES_OVER = {
    Language.ENGLISH: {
        "dialogue": "The engine {failed} is not working, so {used} answers for now.",
        "speech": "The engine {failed} is not working, so {used} speaks for now.",
        "sentence": "The engine {failed} could not say a sentence, so {used} says it.",
    },
    Language.KOREAN: {
        "dialogue": "{failed} 엔진에 문제가 생겨서 지금은 {used} 엔진이 대신 대답해요.",
        "speech": "{failed} 엔진에 문제가 생겨서 지금은 {used} 엔진이 대신 말해요.",
        "sentence": "{failed} 엔진이 한 문장을 읽지 못해서 {used} 엔진이 대신 읽어요.",
    },
}
_USED_UP = {
    Language.ENGLISH: {
        "dialogue": "Today's budget for {failed} is used up, so {used} answers until tomorrow.",
        "speech": "Today's budget for {failed} is used up, so {used} speaks until tomorrow.",
    },
    Language.KOREAN: {
        "dialogue": "오늘의 {failed} 사용량을 다 써서 내일까지 {used} 엔진이 대신 대답해요.",
        "speech": "오늘의 {failed} 사용량을 다 써서 내일까지 {used} 엔진이 대신 말해요.",
    },
}
_NOTHING_HEARS = {
    Language.ENGLISH: "Today's budget for understanding speech is used up: please write instead.",
    Language.KOREAN: "오늘의 음성 인식 사용량을 다 썼어요. 글로 써 주세요.",
}
_NOBODY = {
    Language.ENGLISH: {
        "dialogue": "The engine {failed} is not working, and no other can go on with this answer.",
        "speech": "The engine {failed} is not working, and no other can speak for it.",
        "sentence": "The engine {failed} could not say a sentence. It was left out.",
        "answer": "The engine {failed} gave no answer to this.",
    },
    Language.KOREAN: {
        "dialogue": "{failed} 엔진에 문제가 생겼는데, 이 대답을 이어 갈 다른 엔진이 없어요.",
        "speech": "{failed} 엔진에 문제가 생겼는데, 대신 말할 다른 엔진이 없어요.",
        "sentence": "{failed} 엔진이 한 문장을 읽지 못해서 그 문장은 건너뛰었어요.",
        "answer": "{failed} 엔진이 이번에는 대답하지 않았어요.",
    },
}
_CUT = {
    Language.ENGLISH: {
        Cut.LENGTH: "The answer became too long and ends here.",
        Cut.UNWATCHED: "Nobody was watching any more, so the answer ended early.",
    },
    Language.KOREAN: {
        Cut.LENGTH: "대답이 너무 길어져서 여기서 마칠게요.",
        Cut.UNWATCHED: "보는 사람이 없어서 대답을 일찍 마쳤어요.",
    },
}


def cut_text(cut: Cut, language: Language) -> str:
    """Return the notice that an answer ended before its text."""
    return _CUT[language][cut]


def fallback_text(fallback: Fallback, language: Language) -> str:
    """Return the notice that an engine failed and another one took over. The reason stays in the
    log, in one language."""
    texts = _USED_UP if fallback.used_up else _TAKES_OVER
    if fallback.used is None:
        texts = _NOBODY
    return texts[language][fallback.part].format(failed=fallback.failed, used=fallback.used)


def transcription_used_up_text(language: Language) -> str:
    """Return the notice that speech cannot be understood any more today."""
    return _NOTHING_HEARS[language]
