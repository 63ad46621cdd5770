"""What a language model is told: who it is, how to write for the ear, what was said."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ditto_avatar.dialogue.base import Message, Prompt, Role
from ditto_avatar.types import Emotion, Language

_WRITE_FOR_THE_EAR = f"""\
You are heard, not read: a voice speaks your words and a face acts them, live.
- Speak in short, simple sentences, as in a friendly talk. Two to four sentences are enough \
unless more is asked for.
- Plain sentences only. No markdown, no lists, no headings, no tables, no code, no emoji, no \
addresses of web pages. Say numbers, signs and units the way they are spoken.
- Begin every sentence with exactly one tag in square brackets that says how it feels, chosen \
from these: {", ".join(f"[{emotion}]" for emotion in Emotion)}. Use [neutral] when in doubt. \
Never mention the tags.
- Answer in the language of the last message.\
"""
_LANGUAGE_NAMES = {Language.ENGLISH: "English", Language.KOREAN: "Korean, in polite 해요 style"}
_DEFAULT_PERSONA = {
    Language.ENGLISH: "You are a warm and quick-witted presenter.",
    Language.KOREAN: "당신은 따뜻하고 재치 있는 진행자입니다.",
}
_INTERRUPTED = {
    Language.ENGLISH: "(The person interrupted you here and did not hear the rest.)",
    Language.KOREAN: "(여기서 상대가 말을 끊어서 나머지는 듣지 못했어요.)",
}


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One message of the chat protocol: `system`, `user` or `assistant`, and its text."""

    role: str
    content: str


def chat_messages(prompt: Prompt, history_tokens: int) -> list[ChatMessage]:
    """The system prompt and as much of the history as fits into `history_tokens`.

    The newest messages are kept, the last one always, and the first that is kept is the
    person's. Of an interrupted answer only what was heard is told. Roles alternate, as the
    templates of many models demand: what one side said in a row (questions that were interrupted
    before the first word, texts that a program let the presenter say) becomes one message.
    """
    kept: list[ChatMessage] = []
    left = history_tokens
    for message in reversed(prompt.history):
        text = _told(message, prompt.language)
        left -= estimated_tokens(text)
        if left < 0 and kept:
            break
        if text.strip():
            kept.append(ChatMessage(message.role.value, text))
    while len(kept) > 1 and kept[-1].role != Role.USER.value:
        kept.pop()
    return [ChatMessage("system", system_prompt(prompt)), *_alternating(reversed(kept))]


def without_system(messages: Sequence[ChatMessage]) -> list[ChatMessage]:
    """The same for a model whose template has no system role: it stands before the first
    message."""
    system, first, *rest = messages
    return [ChatMessage(first.role, f"{system.content}\n\n{first.content}"), *rest]


def system_prompt(prompt: Prompt) -> str:
    """The persona, then the rules of speaking."""
    persona = prompt.persona.strip() or _DEFAULT_PERSONA[prompt.language]
    fallback = f"If its language is unclear, answer in {_LANGUAGE_NAMES[prompt.language]}."
    return f"{persona}\n\n{_WRITE_FOR_THE_EAR} {fallback}"


def estimated_tokens(text: str) -> int:
    """An upper estimate without a tokenizer, whose tables would have to be downloaded: a token
    for every three ASCII characters or two bytes of any other, and four around each message."""
    wide = sum(
        len(character.encode(errors="replace")) for character in text if not character.isascii()
    )
    narrow = sum(character.isascii() for character in text)
    return narrow // 3 + wide // 2 + 5


def _alternating(messages: Iterable[ChatMessage]) -> list[ChatMessage]:
    joined: list[ChatMessage] = []
    for message in messages:
        if joined and joined[-1].role == message.role:
            before = joined.pop()
            message = ChatMessage(message.role, f"{before.content}\n\n{message.content}")
        joined.append(message)
    return joined


def _told(message: Message, language: Language) -> str:
    if message.heard is None or message.heard == message.text:
        return message.text
    return f"{message.heard} {_INTERRUPTED[language]}".strip()
