"""Answers from a language model that speaks OpenAI's chat protocol."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Iterable, Sequence
from dataclasses import dataclass

import openai
from openai import AsyncOpenAI, AsyncStream, omit
from openai.types.chat import (
    ChatCompletionAssistantMessageParam,
    ChatCompletionChunk,
    ChatCompletionMessageParam,
    ChatCompletionSystemMessageParam,
    ChatCompletionUserMessageParam,
)

from ditto_avatar.dialogue.base import Prompt
from ditto_avatar.dialogue.prompt import ChatMessage, chat_messages, estimated_tokens
from ditto_avatar.errors import ProviderFailed
from ditto_avatar.providers.budget import Budget, Paid, Spending
from ditto_avatar.providers.openai import check_model, connect, failure, service_name
from ditto_avatar.providers.retry import Retries, before_deadline

log = logging.getLogger(__name__)

# What an answer is thought to take until it is known.
_USUAL_ANSWER_TOKENS = 500


@dataclass(frozen=True, slots=True)
class OpenAIDialogueOptions:
    """How the model is used. `base_url` names a server of one's own (vLLM, Ollama, llama.cpp);
    the deadlines are for the first and for every further token; `history_tokens` is an estimate
    (`dialogue.prompt.estimated_tokens`); the model is asked to stop after `answer_tokens`."""

    model: str = "gpt-4o"
    base_url: str | None = None
    first_token_s: float = 10.0
    next_token_s: float = 10.0
    history_tokens: int = 6_000
    answer_tokens: int = 6_000


class OpenAIDialogue:
    """A `DialogueEngine` over streamed chat completions.

    Failures before the first token are tried again (`retries`), later ones end the answer.
    Everything that goes wrong is raised as `ProviderFailed`, a wrong key as `ProviderRefused`.
    Tokens are counted against `budget` as the server counts them, or estimated where it does not.
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
        self._client: AsyncOpenAI = connect(api_key, self._options.base_url)
        self._who = service_name(self._options.base_url)

    async def reply(self, prompt: Prompt) -> AsyncGenerator[str, None]:
        """Pieces of the answer, tags included. Closing the iterator closes the connection."""
        messages = chat_messages(prompt, self._options.history_tokens)
        seconds = self._options.first_token_s
        answer, piece = await self._retries.run(
            lambda: self._open(messages),
            within_s=seconds,
            late=f"{self._who} did not begin to answer within {seconds:g} s.",
        )
        try:
            while piece is not None:
                yield piece
                piece = await answer.next(self._options.next_token_s)
        finally:
            await answer.close()

    def fixed_texts(self) -> Iterable[str]:
        """None: a model writes every answer for the person who asks."""
        return ()

    async def check(self) -> str:
        """One cheap call: asks for the model by name. Raises like `reply`."""
        options = self._options
        return await check_model(self._client, options.model, options.first_token_s, self._who)

    async def close(self) -> None:
        await self._client.close()

    async def _open(self, messages: Sequence[ChatMessage]) -> tuple[_Answer, str | None]:
        """The stream behind its first piece of text."""
        asked = sum(estimated_tokens(message.content) for message in messages)
        with self._budget.spend(asked + _USUAL_ANSWER_TOKENS) as spending:
            stream = await self._stream([_param(message) for message in messages])
            answer = _Answer(stream, self._who, self._options.model, spending, asked)
            try:
                return answer, await answer.text()
            except BaseException:
                await answer.close()
                raise

    async def _stream(
        self, messages: list[ChatCompletionMessageParam]
    ) -> AsyncStream[ChatCompletionChunk]:
        try:
            if self._plain:
                return await self._create(messages, plain=True)
            try:
                return await self._create(messages, plain=False)
            except (openai.BadRequestError, openai.UnprocessableEntityError):
                stream = await self._create(messages, plain=True)
        except Exception as error:  # the border to the library: see `failure`
            raise failure(error, self._who, self._options.model) from None
        log.info("%s takes no limit of tokens or counts none: it is asked without", self._who)
        self._plain = True
        return stream

    async def _create(
        self, messages: list[ChatCompletionMessageParam], *, plain: bool
    ) -> AsyncStream[ChatCompletionChunk]:
        """Ask for a stream; unless `plain`, also for at most so many tokens and for their number.
        OpenAI's newer models refuse the old name of the limit, other servers know that one."""
        limit = omit if plain else self._options.answer_tokens
        own = self._options.base_url is not None
        return await self._client.chat.completions.create(
            model=self._options.model,
            messages=messages,
            stream=True,
            max_tokens=limit if own else omit,
            max_completion_tokens=omit if own else limit,
            stream_options=omit if plain else {"include_usage": True},
        )


class _Answer:
    """One streamed completion as text."""

    def __init__(
        self,
        stream: AsyncStream[ChatCompletionChunk],
        who: str,
        model: str,
        spending: Spending,
        asked_tokens: int,
    ) -> None:
        self._stream = stream
        self._who = who
        self._model = model
        self._spending = spending
        self._asked_tokens = asked_tokens
        self._pieces: list[str] = []
        self._tokens: int | None = None
        self._ended = False

    async def next(self, seconds: float) -> str | None:
        """The next text within `seconds`, None at the end."""
        late = f"{self._who} stopped in the middle of an answer."
        return await before_deadline(self.text(), seconds, late)

    async def text(self) -> str | None:
        """The next text that is not empty, None at the end."""
        while True:
            chunk = await self._chunk()
            if chunk is None:
                return None
            if chunk.usage is not None:
                self._tokens = chunk.usage.total_tokens
            for choice in chunk.choices:
                self._ended = self._ended or choice.finish_reason is not None
                if choice.delta.content:
                    self._pieces.append(choice.delta.content)
                    return choice.delta.content

    async def _chunk(self) -> ChatCompletionChunk | None:
        try:
            return await anext(self._stream)
        except StopAsyncIteration:
            if self._ended:
                return None
            raise ProviderFailed(f"{self._who} broke off in the middle of an answer.") from None
        except Exception as error:  # the border to the library: see `failure`
            raise failure(error, self._who, self._model) from None

    async def close(self) -> None:
        """Close the connection and count what was used."""
        said = estimated_tokens("".join(self._pieces))
        self._spending.settle(self._tokens or self._asked_tokens + said)
        await self._stream.close()


def _param(message: ChatMessage) -> ChatCompletionMessageParam:
    if message.role == "system":
        return ChatCompletionSystemMessageParam(role="system", content=message.content)
    if message.role == "user":
        return ChatCompletionUserMessageParam(role="user", content=message.content)
    return ChatCompletionAssistantMessageParam(role="assistant", content=message.content)
