"""A chain of dialogue engines: when one fails, the next one answers."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import aclosing

from ditto_avatar.dialogue.base import DialogueEngine, Prompt
from ditto_avatar.errors import (
    AnswerEmpty,
    AnswerFiltered,
    BudgetUsedUp,
    DittoAvatarError,
    ProviderFailed,
    Unavailable,
)
from ditto_avatar.providers.health import Health
from ditto_avatar.types import Fallback, Language

_BROKE_OFF = {
    Language.ENGLISH: " … [sad] I am sorry, I lost the thread there. Please ask me again.",
    Language.KOREAN: " … [sad] 죄송해요, 말이 끊어졌어요. 다시 한번 물어봐 주세요.",
}
_NOBODY_ANSWERS = {
    Language.ENGLISH: "[sad] I am sorry, I cannot answer right now. Please try again in a moment.",
    Language.KOREAN: "[sad] 죄송해요, 지금은 대답할 수 없어요. 잠시 뒤에 다시 말씀해 주세요.",
}
_EMPTY = {
    Language.ENGLISH: "[sad] I am sorry, I found no words for that. "
    "[neutral] Could you ask me in another way?",
    Language.KOREAN: "[sad] 죄송해요, 뭐라고 말씀드려야 할지 모르겠어요. "
    "[neutral] 다르게 물어봐 주시겠어요?",
}
_FILTERED = {
    Language.ENGLISH: "[neutral] I am sorry, I cannot answer that. "
    "Let us talk about something else.",
    Language.KOREAN: "[neutral] 죄송해요, 그 질문에는 대답할 수 없어요. 다른 이야기를 해 볼까요?",
}
_CUT_BY_FILTER = {
    Language.ENGLISH: " … [neutral] I am sorry, I cannot say more about that.",
    Language.KOREAN: " … [neutral] 죄송해요, 이 이야기는 더 할 수 없어요.",
}


class FallbackDialogue:
    """Asks `engines` in order until one answers; the last one should be embedded.

    Never raises because of a service: when an answer breaks off, or nobody answers, the
    presenter apologises instead of falling silent. `on_fallback` hears of every failure once; an
    engine that failed is passed over for a while (`Health`). One that has no answer, or may not
    give it, works all the same: it is not passed over, and the presenter says so.
    """

    def __init__(
        self,
        engines: Sequence[DialogueEngine],
        on_fallback: Callable[[Fallback], object] | None = None,
        *,
        health: Health | None = None,
    ) -> None:
        if not engines:
            raise Unavailable("At least one dialogue engine was expected, none was given.")
        self._engines = tuple(engines)
        self._on_fallback = on_fallback
        self._health = health or Health()

    @property
    def name(self) -> str:
        """The name of the engine that would be asked now."""
        return self._order()[0].name

    @property
    def engines(self) -> Sequence[DialogueEngine]:
        """Every engine of the chain, in the order of preference."""
        return self._engines

    def telling(self, on_fallback: Callable[[Fallback], object]) -> FallbackDialogue:
        """The same chain for one session or turn: `on_fallback` is called as well, after the
        callbacks that the chain had before."""
        before = self._on_fallback

        def tell(fallback: Fallback) -> None:
            if before is not None:
                before(fallback)
            on_fallback(fallback)

        return FallbackDialogue(self._engines, tell, health=self._health)

    async def reply(self, prompt: Prompt) -> AsyncGenerator[str, None]:
        order = self._order()
        for engine, following in zip(order, [*order[1:], None], strict=True):
            begun = False
            try:
                async with aclosing(engine.reply(prompt)) as pieces:
                    async for piece in pieces:
                        begun = begun or bool(piece.strip())
                        yield piece
                if not begun:
                    raise AnswerEmpty(f"The engine {engine.name} gave an answer without a word.")
            except (AnswerEmpty, AnswerFiltered) as error:
                self._health.worked(engine.name)
                self._tell(Fallback("answer", engine.name, None, str(error)))
                yield _without_answer(error, begun)[prompt.language]
                return
            except (ProviderFailed, Unavailable) as error:
                self._failed(engine, None if begun else following, error)
                if begun:
                    yield _BROKE_OFF[prompt.language]
                    return
            else:
                self._health.worked(engine.name)
                return
        yield _NOBODY_ANSWERS[prompt.language]

    def fixed_texts(self) -> Iterable[str]:
        """Those of every engine, and the apologies of this chain."""
        for engine in self._engines:
            yield from engine.fixed_texts()
        for texts in (_BROKE_OFF, _NOBODY_ANSWERS, _EMPTY, _FILTERED, _CUT_BY_FILTER):
            yield from texts.values()

    async def close(self) -> None:
        for engine in self._engines:
            await engine.close()

    def _order(self) -> list[DialogueEngine]:
        """Those that rest come last: they are asked when everything else has failed."""
        return sorted(self._engines, key=lambda engine: not self._health.usable(engine.name))

    def _failed(
        self, engine: DialogueEngine, following: DialogueEngine | None, error: DittoAvatarError
    ) -> None:
        self._health.failed(engine.name, error)
        used = following.name if following else None
        used_up = isinstance(error, BudgetUsedUp)
        self._tell(Fallback("dialogue", engine.name, used, str(error), used_up))

    def _tell(self, fallback: Fallback) -> None:
        if self._on_fallback is not None:
            self._on_fallback(fallback)


def _without_answer(error: DittoAvatarError, begun: bool) -> dict[Language, str]:
    if isinstance(error, AnswerFiltered):
        return _CUT_BY_FILTER if begun else _FILTERED
    return _EMPTY
