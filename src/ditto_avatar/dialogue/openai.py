"""Answers from a language model that speaks OpenAI's chat protocol."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import openai
from openai import AsyncAPIResponse, AsyncOpenAI, AsyncStream, omit
from openai.types.chat import (
    ChatCompletionAssistantMessageParam,
    ChatCompletionChunk,
    ChatCompletionMessageParam,
    ChatCompletionSystemMessageParam,
    ChatCompletionUserMessageParam,
)

from ditto_avatar.dialogue.base import Prompt
from ditto_avatar.dialogue.hidden import HiddenFilter
from ditto_avatar.dialogue.openai_stream import Delta, EventReader, read_body, read_event
from ditto_avatar.dialogue.prompt import (
    ChatMessage,
    chat_messages,
    estimated_tokens,
    without_system,
)
from ditto_avatar.errors import AnswerEmpty, AnswerFiltered, ProviderFailed
from ditto_avatar.providers.budget import Budget, Paid, Spending
from ditto_avatar.providers.openai import check_model, connect, failure, service_name
from ditto_avatar.providers.retry import Retries, Transient, before_deadline

_Response = AsyncAPIResponse[AsyncStream[ChatCompletionChunk]]

log = logging.getLogger(__name__)

# What an answer is thought to take until it is known.
_USUAL_ANSWER_TOKENS = 500
# Behind the end of an answer only the number of its tokens may come.
_AFTER_END_S = 1.0
# Statuses by which servers refuse a request for its content; llama.cpp takes 500 for a template.
_NOT_ACCEPTED = frozenset({400, 422})
_ROLES = re.compile(r"\broles?\b|alternat|system message|jinja", re.IGNORECASE)
_FILTERED = frozenset({"content_filter", "safety", "SAFETY", "refusal", "recitation"})


@dataclass(frozen=True, slots=True)
class OpenAIDialogueOptions:
    """How the model is used. `base_url` names a server of one's own (vLLM, Ollama, llama.cpp);
    the deadlines are for the first sign of life and for every further one, `thinking_s` is how
    long thoughts may go on before the first word; `history_tokens` is an estimate
    (`dialogue.prompt.estimated_tokens`); the model is asked to stop after `answer_tokens`; `body`
    is added to every request."""

    model: str = "gpt-4o"
    base_url: str | None = None
    first_token_s: float = 10.0
    next_token_s: float = 10.0
    thinking_s: float = 60.0
    history_tokens: int = 6_000
    answer_tokens: int = 6_000
    body: Mapping[str, object] = field(default_factory=dict)


class OpenAIDialogue:
    """A `DialogueEngine` over streamed chat completions.

    Failures before the first sign of life are tried again (`retries`), later ones end the answer.
    Everything that goes wrong is raised as `ProviderFailed`: a wrong key as `ProviderRefused`, an
    answer without a word as `AnswerEmpty`, one that a filter withheld as `AnswerFiltered`. A
    thought that is streamed is a sign of life, and given to nobody. Tokens are counted against
    `budget` as the server counts them, or estimated where it does not.
    """

    name = "openai"

    def __init__(
        self,
        api_key: str | None,
        options: OpenAIDialogueOptions | None = None,
        *,
        retries: Retries | None = None,
        budget: Budget | None = None,
    ) -> None:
        self._options = options or OpenAIDialogueOptions()
        self._retries = retries or Retries()
        self._budget = budget or Budget(Paid.DIALOGUE)
        # A server that refused what not every server knows is not asked for it again.
        self._plain = False
        self._without_system = False
        # Whether the model's thoughts come without their opening mark: known from one answer on.
        self._unmarked = False
        self._client: AsyncOpenAI = connect(api_key, self._options.base_url)
        self._who = service_name(self._options.base_url)

    async def reply(self, prompt: Prompt) -> AsyncGenerator[str, None]:
        """Pieces of the answer, tags included. Closing the iterator closes the connection."""
        messages = chat_messages(prompt, self._options.history_tokens)
        seconds = self._options.first_token_s
        answer, delta = await self._retries.run(
            lambda: self._open(messages),
            within_s=seconds,
            late=f"{self._who} did not begin to answer within {seconds:g} s.",
        )
        visible = HiddenFilter(unmarked=self._unmarked)
        said = False
        try:
            while delta is not None:
                if shown := visible.feed(delta.text):
                    said = True
                    yield shown
                delta = await answer.next(thinking=not said)
            if shown := visible.flush():
                said = True
                yield shown
        finally:
            self._unmarked = self._unmarked or visible.unmarked
            await answer.close()
        if answer.filtered:
            raise AnswerFiltered(f"{self._who} withheld an answer, or the rest of it.")
        if not said:
            raise AnswerEmpty(f"{self._who} gave an answer without a word.")

    def fixed_texts(self) -> Iterable[str]:
        """None: a model writes every answer for the person who asks."""
        return ()

    async def check(self) -> str:
        """One cheap call: asks for the model by name. Raises like `reply`."""
        options = self._options
        return await check_model(self._client, options.model, options.first_token_s, self._who)

    async def close(self) -> None:
        await self._client.close()

    async def _open(self, messages: Sequence[ChatMessage]) -> tuple[_Answer, Delta | None]:
        """The stream behind its first sign of life."""
        asked = sum(estimated_tokens(message.content) for message in messages)
        with self._budget.spend(asked + _USUAL_ANSWER_TOKENS) as spending:
            response = await self._response(messages)
            answer = _Answer(response, self._who, self._options, spending, asked)
            try:
                return answer, await answer.delta()
            except BaseException:
                await answer.close()
                raise

    async def _response(self, messages: Sequence[ChatMessage]) -> _Response:
        """Ask, and ask again without what the server does not accept."""
        plain, merged = self._plain, self._without_system
        while True:
            told = without_system(messages) if merged else messages
            try:
                response = await self._create([_param(m) for m in told], plain=plain)
            except openai.APIStatusError as error:
                if not merged and _complains_of_roles(error):
                    merged = True
                elif not plain and error.status_code in _NOT_ACCEPTED:
                    plain = True
                else:
                    raise failure(error, self._who, self._options.model) from None
            except Exception as error:  # the border to the library: see `failure`
                raise failure(error, self._who, self._options.model) from None
            else:
                break
        if plain and not self._plain:
            log.info("%s takes no limit of tokens or counts none: it is asked without", self._who)
        if merged and not self._without_system:
            log.info("%s takes no system prompt: it stands before the first message", self._who)
        self._plain, self._without_system = plain, merged
        return response

    async def _create(
        self, messages: list[ChatCompletionMessageParam], *, plain: bool
    ) -> _Response:
        """Ask for a stream; unless `plain`, also for at most so many tokens and for their number.
        OpenAI's newer models refuse the old name of the limit, other servers know that one."""
        limit = omit if plain else self._options.answer_tokens
        own = self._options.base_url is not None
        asking = self._client.chat.completions.with_streaming_response.create(
            model=self._options.model,
            messages=messages,
            stream=True,
            max_tokens=limit if own else omit,
            max_completion_tokens=omit if own else limit,
            stream_options=omit if plain else {"include_usage": True},
            extra_body=dict(self._options.body) or None,
        )
        # Leaving the context closes the response and no more: `_Answer.close` does that.
        return await asking.__aenter__()


class _Answer:
    """One streamed completion, event by event."""

    def __init__(
        self,
        response: _Response,
        who: str,
        options: OpenAIDialogueOptions,
        spending: Spending,
        asked_tokens: int,
    ) -> None:
        self._response = response
        self._events = _events(response)
        self._who = who
        self._options = options
        self._spending = spending
        self._asked_tokens = asked_tokens
        self._written: list[str] = []
        self._tokens: int | None = None
        self._ended = False
        self._thinks_until = asyncio.get_running_loop().time() + options.thinking_s
        self.filtered = False

    async def next(self, *, thinking: bool) -> Delta | None:
        """The next sign of life, None at the end; `thinking` says that no word came so far."""
        seconds, late = self._options.next_token_s, "stopped in the middle of an answer."
        if self._ended:
            with suppress(Transient):
                return await before_deadline(self.delta(), _AFTER_END_S, late)
            return None
        if thinking:
            left = self._thinks_until - asyncio.get_running_loop().time()
            if left < seconds:
                seconds = max(0.0, left)
                late = f"thought for more than {self._options.thinking_s:g} s."
        return await before_deadline(self.delta(), seconds, f"{self._who} {late}")

    async def delta(self) -> Delta | None:
        """The next text or thought that is not empty, None at the end."""
        while True:
            delta = await self._event()
            if delta is None or delta.finish == "done":
                return None
            self._tokens = delta.tokens or self._tokens
            # Words behind a reason to end: it was none.
            self._ended = delta.finish is not None or (self._ended and not delta.text)
            self.filtered = self.filtered or delta.finish in _FILTERED
            self._written.append(delta.text + delta.thought)
            if delta.text or delta.thought:
                return delta

    async def _event(self) -> Delta | None:
        try:
            return await anext(self._events)
        except StopAsyncIteration:
            if self._ended:
                return None
            raise ProviderFailed(f"{self._who} broke off in the middle of an answer.") from None
        except Exception as error:  # the border to the library: see `failure`
            raise failure(error, self._who, self._options.model) from None

    async def close(self) -> None:
        """Close the connection and count what was used."""
        written = estimated_tokens("".join(self._written))
        self._spending.settle(self._tokens or self._asked_tokens + written)
        await self._response.close()


async def _events(response: _Response) -> AsyncIterator[Delta]:
    """Every event of an answer that is streamed, or the one of an answer that came as a whole
    because the server does not stream."""
    if response.headers.get("content-type", "").startswith("application/json"):
        yield read_body(await response.read())
        return
    reader = EventReader()
    async for part in response.iter_bytes():
        for data in reader.feed(part):
            yield read_event(data)
    for data in reader.flush():
        yield read_event(data)


def _complains_of_roles(error: openai.APIStatusError) -> bool:
    """Whether a server's template takes no system prompt, as those of some models do."""
    known = error.status_code in _NOT_ACCEPTED or error.status_code == 500
    return known and _ROLES.search(error.message) is not None


def _param(message: ChatMessage) -> ChatCompletionMessageParam:
    if message.role == "system":
        return ChatCompletionSystemMessageParam(role="system", content=message.content)
    if message.role == "user":
        return ChatCompletionUserMessageParam(role="user", content=message.content)
    return ChatCompletionAssistantMessageParam(role="assistant", content=message.content)
