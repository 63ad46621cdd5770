"""Answers from a language model that speaks OpenAI's chat protocol."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass

from openai import AsyncOpenAI, AsyncStream
from openai.types.chat import (
    ChatCompletionAssistantMessageParam,
    ChatCompletionChunk,
    ChatCompletionMessageParam,
    ChatCompletionSystemMessageParam,
    ChatCompletionUserMessageParam,
)

from ditto_avatar.dialogue.base import Prompt
from ditto_avatar.dialogue.prompt import ChatMessage, chat_messages
from ditto_avatar.errors import ProviderFailed
from ditto_avatar.providers.openai import check_model, connect, failure, service_name
from ditto_avatar.providers.retry import Retries, before_deadline


@dataclass(frozen=True, slots=True)
class OpenAIDialogueOptions:
    """How the model is used. `base_url` names a server of one's own (vLLM, Ollama, llama.cpp);
    the deadlines are for the first and for every further token; `history_tokens` is an estimate
    (`dialogue.prompt.estimated_tokens`)."""

    model: str = "gpt-4o"
    base_url: str | None = None
    first_token_s: float = 10.0
    next_token_s: float = 10.0
    history_tokens: int = 6_000


class OpenAIDialogue:
    """A `DialogueEngine` over streamed chat completions.

    Failures before the first token are tried again (`retries`), later ones end the answer.
    Everything that goes wrong is raised as `ProviderFailed`, a wrong key as `ProviderRefused`.
    """

    name = "openai"

    def __init__(
        self,
        api_key: str | None,
        options: OpenAIDialogueOptions | None = None,
        *,
        retries: Retries | None = None,
    ) -> None:
        self._options = options or OpenAIDialogueOptions()
        self._retries = retries or Retries()
        self._client: AsyncOpenAI = connect(api_key, self._options.base_url)
        self._who = service_name(self._options.base_url)

    async def reply(self, prompt: Prompt) -> AsyncGenerator[str, None]:
        """Pieces of the answer, tags included. Closing the iterator closes the connection."""
        messages = [_param(m) for m in chat_messages(prompt, self._options.history_tokens)]
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

    async def _open(self, messages: list[ChatCompletionMessageParam]) -> tuple[_Answer, str | None]:
        """The stream behind its first piece of text."""
        try:
            stream = await self._client.chat.completions.create(
                model=self._options.model, messages=messages, stream=True
            )
        except Exception as error:  # the border to the library: see `failure`
            raise failure(error, self._who, self._options.model) from None
        answer = _Answer(stream, self._who, self._options.model)
        try:
            return answer, await answer.text()
        except BaseException:
            await answer.close()
            raise


class _Answer:
    """One streamed completion as text."""

    def __init__(self, stream: AsyncStream[ChatCompletionChunk], who: str, model: str) -> None:
        self._stream = stream
        self._who = who
        self._model = model
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
            for choice in chunk.choices:
                self._ended = self._ended or choice.finish_reason is not None
                if choice.delta.content:
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
        await self._stream.close()


def _param(message: ChatMessage) -> ChatCompletionMessageParam:
    if message.role == "system":
        return ChatCompletionSystemMessageParam(role="system", content=message.content)
    if message.role == "user":
        return ChatCompletionUserMessageParam(role="user", content=message.content)
    return ChatCompletionAssistantMessageParam(role="assistant", content=message.content)
