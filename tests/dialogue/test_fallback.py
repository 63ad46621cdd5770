"""When a model fails, the notes answer; the presenter never falls silent."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable

import pytest

from ditto_avatar.dialogue.base import DialogueEngine, Message, Prompt, Role
from ditto_avatar.dialogue.clauses import sentences, split
from ditto_avatar.dialogue.fallback import FallbackDialogue
from ditto_avatar.dialogue.offline import OfflineEngine
from ditto_avatar.errors import ProviderFailed, Unavailable
from ditto_avatar.providers.health import Health
from ditto_avatar.types import Emotion, Fallback, Language
from tests.fakes.clock import ManualClock


class Scripted:
    """Gives `pieces`, then fails if it is told to."""

    def __init__(self, name: str, *pieces: str, error: Exception | None = None) -> None:
        self.name = name
        self.pieces = pieces
        self.error = error
        self.asked = 0

    async def reply(self, prompt: Prompt) -> AsyncGenerator[str, None]:
        self.asked += 1
        for piece in self.pieces:
            yield piece
        if self.error is not None:
            raise self.error

    def fixed_texts(self) -> Iterable[str]:
        return ()

    async def close(self) -> None:
        self.asked = -1


def prompt(text: str = "Hello!", language: Language = Language.ENGLISH) -> Prompt:
    return Prompt([Message(Role.USER, text)], language)


async def answer(engine: DialogueEngine, asked: Prompt | None = None) -> str:
    return "".join([piece async for piece in engine.reply(asked or prompt())])


async def test_the_next_engine_answers_and_somebody_is_told() -> None:
    told: list[Fallback] = []
    model = Scripted("openai", error=ProviderFailed("OpenAI is down."))
    chain = FallbackDialogue([model, OfflineEngine(stand_in=True)], told.append)
    assert "Hello" in await answer(chain)
    assert told == [Fallback("dialogue", "openai", "offline", "OpenAI is down.")]
    assert chain.name == "offline"


async def test_a_stand_in_does_not_ask_for_the_key_that_is_there() -> None:
    stand_in = OfflineEngine(stand_in=True)
    text = await answer(stand_in, prompt("Tell me a joke"))
    assert "OPENAI_API_KEY" not in text
    assert "cannot reach" in text
    korean = await answer(stand_in, prompt("농담 하나 해줘"))
    assert "OPENAI_API_KEY" not in korean


async def test_an_answer_that_breaks_off_ends_with_an_apology() -> None:
    told: list[Fallback] = []
    model = Scripted("openai", "It is a long", error=ProviderFailed("cut"))
    chain = FallbackDialogue([model, Scripted("b", "Never said.")], told.append)
    spoken = [sentence async for sentence in sentences(chain.reply(prompt()))]
    assert spoken[0].text == "It is a long …"
    assert "sorry" in spoken[1].text
    assert spoken[1].emotion is Emotion.SAD
    assert told[0].used is None


@pytest.mark.parametrize("language", list(Language))
async def test_when_nobody_answers_the_presenter_apologises(language: Language) -> None:
    chain = FallbackDialogue([Scripted("a", error=Unavailable("none"))])
    text = await answer(chain, prompt(language=language))
    assert ("sorry" in text) is (language is Language.ENGLISH)
    assert ("죄송" in text) is (language is Language.KOREAN)


async def test_an_engine_that_failed_is_left_alone_for_a_while() -> None:
    clock = ManualClock()
    model = Scripted("openai", error=ProviderFailed("down"))
    chain = FallbackDialogue([model, Scripted("b", "Yes.")], health=Health(clock, rest_s=30))
    for _ in range(3):
        assert await answer(chain) == "Yes."
    assert model.asked == 1
    clock.advance(31)
    await answer(chain)
    assert model.asked == 2


async def test_a_session_hears_of_its_own_fallbacks_beside_the_server() -> None:
    everything: list[Fallback] = []
    mine: list[Fallback] = []
    chain = FallbackDialogue(
        [Scripted("a", error=ProviderFailed("x")), Scripted("b", "Yes.")], everything.append
    )
    await answer(chain.telling(mine.append))
    assert len(everything) == len(mine) == 1


async def test_a_bug_is_not_hidden() -> None:
    chain = FallbackDialogue([Scripted("a", error=KeyError("bug")), Scripted("b", "Yes.")])
    with pytest.raises(KeyError):
        await answer(chain)


async def test_closing_closes_every_engine() -> None:
    engines = [Scripted("a"), Scripted("b")]
    await FallbackDialogue(engines).close()
    assert [engine.asked for engine in engines] == [-1, -1]


async def test_the_apologies_are_fixed_texts_as_well_as_those_of_every_engine() -> None:
    broken = Scripted("openai", "The answer", error=ProviderFailed("OpenAI is down."))
    chain = FallbackDialogue([broken, OfflineEngine(stand_in=True)])
    fixed = {s.text for text in chain.fixed_texts() for s in split(text)}
    apology = [s.text async for s in sentences(chain.reply(prompt()))][-1]
    assert apology in fixed
    hello = [s.text async for s in sentences(OfflineEngine().reply(prompt()))]
    assert set(hello) <= fixed
    assert "The answer" not in fixed
