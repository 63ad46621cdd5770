"""No answer goes on for ever, least of all when nobody watches."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ditto_avatar.dialogue.base import Message, Prompt, Role
from ditto_avatar.face.avatar import Avatar
from ditto_avatar.pipeline import progress
from ditto_avatar.pipeline.answer_length import AnswerLength, AnswerLimits, Cut
from ditto_avatar.pipeline.request import TurnRequest
from ditto_avatar.session import turn as t
from ditto_avatar.types import Language
from tests.worlds import World, Worlds

QUESTION = Prompt([Message(Role.USER, "Tell me everything.")], Language.KOREAN)


class Viewers:
    """Watches until `leave` is called."""

    def __init__(self) -> None:
        self.watches = True

    def __call__(self) -> bool:
        return self.watches

    def leave(self) -> None:
        self.watches = False


async def progress_of(
    world: World,
    avatar: Avatar,
    *,
    text: str = "",
    watched: Callable[[], bool] = lambda: True,
    on: Callable[[t.Input], object] = lambda happened: None,
) -> list[t.Input]:
    happened: list[t.Input] = []

    def notify(event: t.Input) -> None:
        happened.append(event)
        on(event)

    prompt = None if text else QUESTION
    request = TurnRequest(
        avatar, Language.KOREAN, text, prompt, lambda: 0, "a session", watched=watched
    )
    await world.services.pipeline.run(request, notify)
    return happened


def seconds(happened: list[t.Input]) -> float:
    return sum(event.seconds for event in happened if isinstance(event, progress.SegmentDrawn))


def notices(happened: list[t.Input]) -> list[str]:
    return [event.message for event in happened if isinstance(event, progress.Noticed)]


@pytest.mark.parametrize("said", [False, True])
async def test_an_endless_answer_ends_with_the_sentence_that_fills_the_limit(
    open_world: Worlds, avatar: Avatar, said: bool
) -> None:
    cuts: list[Cut] = []
    world: World = await open_world(limits=AnswerLimits(5.0, 5.0, cuts.append))
    endless = "One two three. " * 2_000
    world.dialogue.answer = endless
    happened = await progress_of(world, avatar, text=endless if said else "")
    assert 4.0 < seconds(happened) < 6.0
    assert notices(happened) == ["대답이 너무 길어져서 여기서 마칠게요."]
    assert cuts == [Cut.LENGTH]
    assert world.dialogue.open_replies == world.speech.open_sentences == 0
    assert world.face.open_streams == 0


async def test_what_is_shown_is_what_is_said(open_world: Worlds, avatar: Avatar) -> None:
    world: World = await open_world(limits=AnswerLimits(5.0, 5.0))
    world.dialogue.answer = "One two three. " * 2_000
    happened = await progress_of(world, avatar)
    shown = "".join(event.text for event in happened if isinstance(event, progress.TextArrived))
    said = [event.text for event in happened if isinstance(event, progress.SegmentBegan)]
    assert shown.count(".") == len(said)


async def test_an_answer_within_the_limit_is_not_touched(world: World, avatar: Avatar) -> None:
    happened = await progress_of(world, avatar)
    assert notices(happened) == []
    assert len([event for event in happened if isinstance(event, progress.SegmentBegan)]) == 2


async def test_an_answer_that_nobody_watches_ends_earlier(
    open_world: Worlds, avatar: Avatar
) -> None:
    cuts: list[Cut] = []
    world: World = await open_world(limits=AnswerLimits(60.0, 2.0, cuts.append))
    world.dialogue.answer = "One two three. " * 2_000
    audience = Viewers()
    drawn: list[float] = []

    def leave_after_four_seconds(event: t.Input) -> None:
        if isinstance(event, progress.SegmentDrawn):
            drawn.append(event.seconds)
            if sum(drawn) >= 4.0:
                audience.leave()

    happened = await progress_of(world, avatar, watched=audience, on=leave_after_four_seconds)
    assert 6.0 <= seconds(happened) < 9.0
    assert cuts == [Cut.UNWATCHED]
    assert world.dialogue.open_replies == 0


async def test_an_endless_text_with_nothing_to_speak_ends_as_well(
    open_world: Worlds, avatar: Avatar
) -> None:
    world: World = await open_world()
    world.dialogue.answer = "** ** --- " * 5_000
    happened = await progress_of(world, avatar)
    shown = sum(len(event.text) for event in happened if isinstance(event, progress.TextArrived))
    assert shown < 11_000
    assert len(notices(happened)) == 1


def test_a_viewer_who_was_away_for_a_moment_loses_nothing() -> None:
    audience = Viewers()
    length = AnswerLength(AnswerLimits(60.0, 10.0), audience)
    length.queued("Hello.")
    audience.leave()
    length.spoken("Hello.", 9.0)
    audience.watches = True
    length.queued("And so on.")
    length.spoken("And so on.", 9.0)
    assert length.filled is None
    audience.leave()
    assert length.filled is None
    length.spoken("", 1.0)
    assert length.filled is length.over is Cut.UNWATCHED


def test_a_slow_voice_is_cut_although_its_sentences_seemed_short() -> None:
    length = AnswerLength(AnswerLimits(60.0, 60.0), lambda: True)
    length.queued("1234567890")
    length.queued("1234567890")
    assert length.filled is None
    length.spoken("1234567890", 61.0)
    assert length.over is Cut.LENGTH
