"""What a server of OpenAI's chat protocol sends, read without trusting its shape.

Servers leave out what the protocol promises, send null for it, or add events of their own. Nothing
here fails for that: what is not understood is passed over. No I/O.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace

from ditto_avatar.errors import ProviderFailed
from ditto_avatar.providers.retry import Transient

# A longer line is no part of an answer.
_LONGEST_LINE = 4 << 20
_DONE = "[DONE]"
_TEXT_PARTS = frozenset({"text", "output_text", "refusal"})
_THOUGHT_PARTS = frozenset({"thinking", "reasoning", "reasoning.text", "reasoning.summary"})


@dataclass(frozen=True, slots=True)
class Delta:
    """What one event brought: `text` for people, `thought` that is not, and `finish`, the reason
    that the answer ends here, if it does; ``"done"`` where no reason was given. `tokens` is how
    many the request has used, where the server tells."""

    text: str = ""
    thought: str = ""
    finish: str | None = None
    tokens: int | None = None


class EventReader:
    """Feed it bytes of a ``text/event-stream``; it gives back the data of each event that is
    complete. Lines end in LF or CRLF. Raises `ProviderFailed` for an endless line."""

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[str] = []

    def feed(self, part: bytes) -> list[str]:
        """The events that `part` completes."""
        *lines, self._rest = (self._rest + part).split(b"\n")
        if len(self._rest) > _LONGEST_LINE:
            raise ProviderFailed("The model server sent an event that has no end.")
        return [data for line in lines for data in self._line(_decoded(line))]

    def flush(self) -> list[str]:
        """The stream has ended: an event whose closing empty line is missing."""
        rest, self._rest = self._rest, b""
        return [*self._line(_decoded(rest)), *self._line("")]

    def _line(self, line: str) -> Iterator[str]:
        if line.startswith("data:"):
            self._data.append(line[5:].removeprefix(" "))
        elif not line and self._data:
            data, self._data = "\n".join(self._data), []
            if data.strip():
                yield data


def _decoded(line: bytes) -> str:
    # A stream may begin with a byte order mark.
    return line.decode("utf-8", "replace").removeprefix("\ufeff").rstrip("\r")


def read_event(data: str) -> Delta:
    """Read the data of one event. Raises `ProviderFailed` for what is no JSON, and for an error
    that the server reports inside the stream."""
    if data.strip() == _DONE:
        return Delta(finish="done")
    try:
        # "\ud83d" alone is allowed here: the other half may come with the next piece.
        chunk = json.loads(data)
    except (ValueError, RecursionError):
        raise ProviderFailed("The model server sent an answer that could not be read.") from None
    return read_chunk(chunk)


def read_body(body: bytes) -> Delta:
    """Read an answer that came as a whole, which is an end by itself."""
    answer = read_event(body.decode("utf-8", "replace"))
    return replace(answer, finish=answer.finish or "stop")


def read_chunk(chunk: object) -> Delta:
    """Read one chunk of a streamed answer, or an answer that came as a whole."""
    if not isinstance(chunk, dict):
        return Delta()
    if chunk.get("error"):
        raise Transient("The model server reported an error in its answer.")
    text, thought, finish = "", "", None
    choices = chunk.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        # Only the first answer is spoken, should a server give several.
        if not isinstance(choice, dict) or choice.get("index") not in {0, None}:
            continue
        delta = choice.get("delta") or choice.get("message")
        if isinstance(delta, dict):
            text += _text(delta.get("content")) + _text(delta.get("refusal"))
            thought += _thought(delta)
        elif isinstance(choice.get("text"), str):
            text += choice["text"]
        reason = choice.get("finish_reason")
        # Some write the word "null" in place of null.
        finish = reason if isinstance(reason, str) and reason not in {"", "null"} else finish
    return Delta(text, thought, finish, _tokens(chunk.get("usage")))


def _text(content: object) -> str:
    """The text of a message's content: a string, or a list of parts of several kinds."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "".join(_part(part, _TEXT_PARTS) for part in content)
    return ""


def _part(part: object, kinds: frozenset[str]) -> str:
    if isinstance(part, str):
        return part if "text" in kinds else ""
    if not isinstance(part, dict) or part.get("type", "text") not in kinds:
        return ""
    for name in ("text", "refusal", "thinking", "reasoning", "summary"):
        value = part.get(name)
        if isinstance(value, dict):  # {"text": {"value": "Hello"}}
            value = value.get("value")
        if isinstance(value, str):
            return value
        if isinstance(value, list):
            return _text(value)
    return ""


def _thought(delta: dict[str, object]) -> str:
    """What the model thought, under any of the names that servers give it."""
    for name in ("reasoning_content", "reasoning", "thinking", "thought", "reasoning_text"):
        value = delta.get(name)
        if isinstance(value, str) and value:
            return value
    details = delta.get("reasoning_details")
    if isinstance(details, list) and details:
        # Some are encrypted: that there is one counts.
        return "".join(_part(detail, _THOUGHT_PARTS) for detail in details) or "…"
    content = delta.get("content")
    if isinstance(content, list):
        return "".join(_part(part, _THOUGHT_PARTS) for part in content)
    return ""


def _tokens(usage: object) -> int | None:
    total = usage.get("total_tokens") if isinstance(usage, dict) else None
    return total if isinstance(total, int) and not isinstance(total, bool) and total > 0 else None
