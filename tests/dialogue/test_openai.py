"""A language model over the real protocol, with everything that can go wrong with it."""

from __future__ import annotations

import asyncio
import logging
import random
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager

import pytest

from ditto_avatar.clock import Clock
from ditto_avatar.dialogue.base import Message, Prompt, Role
from ditto_avatar.dialogue.openai import OpenAIDialogue, OpenAIDialogueOptions
from ditto_avatar.errors import BudgetUsedUp, ProviderFailed, ProviderRefused
from ditto_avatar.providers.budget import Budget, Paid
from ditto_avatar.providers.retry import Retries
from ditto_avatar.types import Language
from tests.deadlines import TEST_DEADLINE_S
from tests.fakes.clock import ManualClock
from tests.fakes.openai_server import FakeOpenAI, Refusal, Script, Talk, fake_openai

KEY = "sk-secret-0123456789"
DEADLINE_S = 5
PROMPT = Prompt([Message(Role.USER, "Hello?")], Language.ENGLISH, "You are Mina.")


class NoWaiting:
    """A clock that notes how long it was asked to sleep, and at whose deadlines nobody arrives."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def now(self) -> float:
        return 0.0

    async def sleep_until(self, when: float) -> None:
        if when >= DEADLINE_S:
            await asyncio.Event().wait()
        self.slept.append(when)


@asynccontextmanager
async def talking(
    *script: Script,
    clock: Clock | None = None,
    seconds: float = DEADLINE_S,
    budget: Budget | None = None,
) -> AsyncIterator[tuple[OpenAIDialogue, FakeOpenAI]]:
    """An engine that talks to a server with this script."""
    async with (
        fake_openai(*script) as fake,
        aclosing_engine(engine(fake, clock, seconds, budget)) as one,
    ):
        yield one, fake


@asynccontextmanager
async def aclosing_engine(dialogue: OpenAIDialogue) -> AsyncIterator[OpenAIDialogue]:
    try:
        yield dialogue
    finally:
        await dialogue.close()


def engine(
    fake: FakeOpenAI, clock: Clock | None, seconds: float, budget: Budget | None
) -> OpenAIDialogue:
    options = OpenAIDialogueOptions(
        base_url=fake.base_url, first_token_s=DEADLINE_S, next_token_s=seconds
    )
    retries = Retries(clock=clock or NoWaiting(), chance=random.Random(1))
    return OpenAIDialogue(KEY, options, retries=retries, budget=budget)


async def answer(dialogue: OpenAIDialogue, prompt: Prompt = PROMPT) -> list[str]:
    return [piece async for piece in dialogue.reply(prompt)]


async def test_the_answer_streams_in_the_models_own_pieces() -> None:
    async with talking(Talk(["[happy] Hi", " there", "!"])) as (dialogue, fake):
        assert await answer(dialogue) == ["[happy] Hi", " there", "!"]
        path, headers, _ = fake.requests[0]
        assert path == "/v1/chat/completions"
        assert headers["authorization"] == f"Bearer {KEY}"
        body = fake.bodies[0]
        assert body["model"] == "gpt-4o"
        assert body["stream"] is True


async def test_a_server_of_ones_own_needs_no_key() -> None:
    async with fake_openai(Talk()) as fake:
        options = OpenAIDialogueOptions("llama3", fake.base_url)
        async with aclosing_engine(OpenAIDialogue(None, options)) as dialogue:
            assert await answer(dialogue) == ["Hello", " there."]
        assert fake.bodies[0]["model"] == "llama3"


async def test_a_wrong_key_is_refused_at_once_and_never_repeated() -> None:
    async with talking(Refusal(401, "invalid_api_key")) as (dialogue, fake):
        with pytest.raises(ProviderRefused, match="refused the key") as caught:
            await answer(dialogue)
        assert len(fake.requests) == 1
        assert KEY not in str(caught.value)


async def test_too_many_requests_are_tried_again_after_the_time_asked_for() -> None:
    clock = NoWaiting()
    script = Refusal(429, retry_after="2"), Talk(["Yes."])
    async with talking(*script, clock=clock) as (dialogue, _):
        assert await answer(dialogue) == ["Yes."]
    assert clock.slept == [2.0]


async def test_nobody_waits_a_minute_for_a_service() -> None:
    async with talking(Refusal(429, retry_after="60")) as (dialogue, fake):
        with pytest.raises(ProviderFailed, match="too many requests"):
            await answer(dialogue)
        assert len(fake.requests) == 1


async def test_a_used_up_quota_is_not_tried_again() -> None:
    async with talking(Refusal(429, "insufficient_quota")) as (dialogue, fake):
        with pytest.raises(ProviderFailed, match="quota"):
            await answer(dialogue)
        assert len(fake.requests) == 1


async def test_a_stumbling_server_is_tried_three_times_with_jitter() -> None:
    clock = NoWaiting()
    async with talking(Refusal(500), clock=clock) as (dialogue, fake):
        with pytest.raises(ProviderFailed, match="status 500"):
            await answer(dialogue)
        assert len(fake.requests) == 3
    assert len(clock.slept) == 2
    assert 0 < clock.slept[0] < 0.4
    assert 0 < clock.slept[1] < 0.8


@pytest.mark.parametrize(
    ("talk", "message"),
    [
        (Talk(["One"], "cut"), "broke off"),
        (Talk(["One"], "short"), "broke off"),
        (Talk(["One"], "garbage"), "could not be read"),
        (Talk(["One"], "stall"), "stopped in the middle"),
    ],
)
async def test_what_breaks_after_the_first_word_is_told_and_not_tried_again(
    talk: Talk, message: str
) -> None:
    async with talking(talk, seconds=0.2) as (dialogue, fake):
        stream = dialogue.reply(PROMPT)
        assert await anext(stream) == "One"
        with pytest.raises(ProviderFailed, match=message):
            await anext(stream)
        assert len(fake.requests) == 1


async def test_a_model_that_never_begins_is_given_up_after_one_deadline_in_all() -> None:
    clock = ManualClock()
    async with talking(Talk([], "stall"), clock=clock) as (dialogue, fake):
        task = asyncio.create_task(answer(dialogue))
        await fake.asked.wait()
        clock.advance(DEADLINE_S)
        with pytest.raises(ProviderFailed, match="did not begin to answer within 5 s"):
            await task
        assert len(fake.requests) == 1
        async with asyncio.timeout(TEST_DEADLINE_S):
            await fake.closed.wait()


async def test_a_deadline_counts_from_the_first_attempt() -> None:
    clock = ManualClock()
    async with talking(Refusal(500), Talk([], "stall"), clock=clock) as (dialogue, fake):
        task = asyncio.create_task(answer(dialogue))
        # The deadline sleeps from the beginning, then the wait for the second attempt as well.
        await clock.until_sleeping(2)
        fake.asked.clear()
        clock.advance(DEADLINE_S - 1)
        await fake.asked.wait()
        clock.advance(1)
        with pytest.raises(ProviderFailed, match="did not begin to answer"):
            await task


async def test_a_connection_that_hangs_is_given_up_at_the_deadline() -> None:
    clock = ManualClock()
    with hanging_port() as port:
        options = OpenAIDialogueOptions(
            base_url=f"http://127.0.0.1:{port}/v1", first_token_s=DEADLINE_S
        )
        retries = Retries(clock=clock)
        async with aclosing_engine(OpenAIDialogue(KEY, options, retries=retries)) as dialogue:
            task = asyncio.create_task(answer(dialogue))
            await clock.until_sleeping(1)
            clock.advance(DEADLINE_S)
            with pytest.raises(ProviderFailed, match="did not begin to answer"):
                await task


@contextmanager
def hanging_port() -> Iterator[int]:
    """A port whose line of connections is full: another one is neither taken nor refused."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        port: int = listener.getsockname()[1]
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(("127.0.0.1", port))
        yield port


async def test_a_server_that_is_not_there_is_named() -> None:
    options = OpenAIDialogueOptions(base_url="http://127.0.0.1:9/v1")
    async with aclosing_engine(OpenAIDialogue(KEY, options, retries=Retries(1))) as dialogue:
        with pytest.raises(ProviderFailed, match=r"127\.0\.0\.1:9 cannot be reached"):
            await answer(dialogue)


async def test_leaving_early_closes_the_connection() -> None:
    async with talking(Talk(["One", " two"], "stall")) as (dialogue, fake):
        stream = dialogue.reply(PROMPT)
        assert await anext(stream) == "One"
        await stream.aclose()
        async with asyncio.timeout(TEST_DEADLINE_S):
            await fake.closed.wait()


async def test_cancelling_closes_the_connection() -> None:
    async with talking(Talk([], "stall")) as (dialogue, fake):
        task = asyncio.create_task(answer(dialogue))
        await fake.asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with asyncio.timeout(TEST_DEADLINE_S):
            await fake.closed.wait()


async def test_the_check_asks_for_the_model() -> None:
    async with talking(Talk()) as (dialogue, fake):
        assert "knows the model 'gpt-4o'" in await dialogue.check()
        assert fake.requests[0][0] == "/v1/models/gpt-4o"


async def test_the_check_tells_an_unknown_model_and_a_wrong_key() -> None:
    async with talking(Talk()) as (dialogue, fake):
        fake.models = ()
        with pytest.raises(ProviderFailed, match="does not know the model 'gpt-4o'"):
            await dialogue.check()
    async with talking(Refusal(401)) as (dialogue, _):
        with pytest.raises(ProviderRefused):
            await dialogue.check()


async def test_the_key_appears_in_no_log_and_no_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    for trouble in (Refusal(401), Refusal(500), Refusal(429), Talk(["One"], "garbage")):
        async with talking(trouble) as (dialogue, _):
            try:
                await answer(dialogue)
            except ProviderFailed:
                logging.getLogger("test").exception("a turn failed")
    assert "a turn failed" in caplog.text
    assert KEY not in caplog.text
    assert not any(KEY in repr(record.args) for record in caplog.records)


async def test_a_model_is_asked_to_stop_at_some_time_and_to_count() -> None:
    async with talking(Talk(tokens=41)) as (dialogue, fake):
        await answer(dialogue)
        body = fake.bodies[0]
    assert body["max_tokens"] == 6_000
    assert body["stream_options"] == {"include_usage": True}


@pytest.mark.parametrize("unknown", ["max_tokens", "stream_options"])
async def test_a_server_that_does_not_know_a_parameter_is_asked_once_more_without(
    unknown: str,
) -> None:
    async with talking(Talk(["Yes."])) as (dialogue, fake):
        fake.unknown = frozenset({unknown})
        assert await answer(dialogue) == ["Yes."]
        assert await answer(dialogue) == ["Yes."]
        assert [unknown in body for body in fake.bodies] == [True, False, False]


async def test_a_request_that_is_wrong_in_itself_is_not_asked_for_ever() -> None:
    async with talking(Refusal(400)) as (dialogue, fake):
        with pytest.raises(ProviderFailed, match="did not accept the request"):
            await answer(dialogue)
        assert len(fake.requests) == 2
        fake.script[:] = [Talk()]
        await answer(dialogue)
        assert "max_tokens" in fake.bodies[-1]


async def test_tokens_are_counted_as_the_server_counts_them() -> None:
    budget = Budget(Paid.DIALOGUE)
    async with talking(Talk(tokens=41), budget=budget) as (dialogue, _):
        await answer(dialogue)
    assert budget.used == 41


async def test_tokens_that_nobody_counts_are_estimated() -> None:
    budget = Budget(Paid.DIALOGUE)
    async with talking(Talk(["Hello. " * 300]), budget=budget) as (dialogue, _):
        await answer(dialogue)
        long = budget.used
        assert 700 < long < 2_000


async def test_an_answer_that_was_left_early_counts_as_far_as_it_came() -> None:
    budget = Budget(Paid.DIALOGUE)
    async with talking(Talk(["One", " two \ud83d"], "stall"), budget=budget) as (dialogue, _):
        stream = dialogue.reply(PROMPT)
        await anext(stream)
        assert budget.used > 500
        await anext(stream)
        await stream.aclose()
    assert 100 < budget.used < 500


async def test_a_request_that_was_refused_costs_nothing() -> None:
    budget = Budget(Paid.DIALOGUE)
    async with talking(Refusal(500), budget=budget) as (dialogue, _):
        with pytest.raises(ProviderFailed):
            await answer(dialogue)
    assert budget.used == 0


async def test_beyond_the_budget_nothing_is_asked() -> None:
    async with talking(Talk(), budget=Budget(Paid.DIALOGUE, 100)) as (dialogue, fake):
        with pytest.raises(BudgetUsedUp):
            await answer(dialogue)
        assert fake.requests == []
