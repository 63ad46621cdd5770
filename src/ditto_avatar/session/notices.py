"""What people read when something behind the presenter changes."""

from __future__ import annotations

from ditto_avatar.types import Fallback, Language

_PARTS = {
    Language.ENGLISH: {"dialogue": "answers", "speech": "the voice"},
    Language.KOREAN: {"dialogue": "대답을", "speech": "목소리를"},
}
_TAKES_OVER = {
    Language.ENGLISH: "For {part}, {used} takes over for now: {reason}",
    Language.KOREAN: "지금은 {used} 엔진이 {part} 대신 맡아요. ({reason})",
}
_NOBODY = {
    Language.ENGLISH: "Nothing can take over for {part}: {reason}",
    Language.KOREAN: "{part} 대신 맡을 엔진이 없어요. ({reason})",
}


def fallback_text(fallback: Fallback, language: Language) -> str:
    """What the person reads when an engine failed and another one took over."""
    part = _PARTS[language][fallback.part]
    if fallback.used is None:
        return _NOBODY[language].format(part=part, reason=fallback.reason)
    return _TAKES_OVER[language].format(part=part, used=fallback.used, reason=fallback.reason)
