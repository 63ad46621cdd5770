"""The reference of all messages as Markdown, out of the models' own docstrings."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from ditto_avatar.server.wire.base import LoggedMessage
from ditto_avatar.server.wire.schema import (
    JsonObject,
    Model,
    asyncapi,
    client_models,
    example_of,
    json_schema,
    server_models,
    type_of,
)
from ditto_avatar.server.wire.typescript import declarations

_HEAD = """\
# Messages

Every message of the WebSocket, with an example. This page, [`protocol.schema.json`]\
(protocol.schema.json) (JSON Schema) and [`protocol.asyncapi.json`](protocol.asyncapi.json) \
(AsyncAPI) are written by `make protocol` out of the models of the code. How they work together \
is told in [protocol.md](protocol.md).

A message is a JSON object in a text frame; `type` says which. Times are milliseconds where a \
name ends in `_ms`, durations of media are seconds. `turn` and `segment` are opaque ids.
"""
# Types that have a row for each of their fields, below the messages.
_PARTS = ("AvatarOut", "ClipOut", "EntryOut", "NoticeShown", "RtcOut", "IceServerOut")


def pages() -> dict[str, str]:
    """Write all files of the reference: their paths in the repository, and what is in them."""
    return {
        "docs/protocol-messages.md": messages_page(),
        "docs/protocol.schema.json": json.dumps(json_schema(), indent=1, ensure_ascii=False) + "\n",
        "docs/protocol.asyncapi.json": json.dumps(asyncapi(), indent=1, ensure_ascii=False) + "\n",
        "sdk/js/src/protocol.d.ts": declarations(),
    }


def messages_page() -> str:
    """Write the page with every message, its fields and an example."""
    definitions: JsonObject = json_schema()["$defs"]
    lines = [_HEAD]
    for title, models in (("From the page", client_models()), ("From the server", server_models())):
        lines.append(f"## {title}\n")
        for model in models:
            lines.extend(_message(model, definitions))
    lines.append("## What messages are made of\n")
    for name in _PARTS:
        lines.append(f"### {name}\n")
        lines.append(_prose(definitions[name]["description"]) + "\n")
        lines.extend(_table(definitions[name]))
    return "\n".join(lines).rstrip() + "\n"


def _message(model: Model, definitions: JsonObject) -> Iterator[str]:
    definition = definitions[model.__name__]
    yield f"### `{type_of(model)}`\n"
    yield _prose(definition["description"])
    if issubclass(model, LoggedMessage):
        yield "\nNumbered; sent again after a reconnect."
    yield ""
    yield from _table(definition)
    example = json.dumps(example_of(model), ensure_ascii=False, indent=2)
    yield f"```json\n{example}\n```\n"


def _table(definition: JsonObject) -> Iterator[str]:
    fields = {
        name: field for name, field in definition["properties"].items() if name not in _ALWAYS
    }
    if not fields:
        return
    required = definition.get("required", [])
    yield "| field | type | meaning |\n|---|---|---|"
    for name, field in fields.items():
        mark = "" if name in required else "?"
        meaning = _prose(field.get("description", "")).replace("|", "\\|")
        yield f"| `{name}{mark}` | {_type(field)} | {meaning} |"
    yield ""


# In every message, and explained once.
_ALWAYS = frozenset({"type", "seq"})
_RANGES = {"": ("minimum", "maximum"), " characters": ("minLength", "maxLength")}


def _type(field: JsonObject) -> str:
    """Name a field's type in a few words."""
    if "anyOf" in field:
        return " or ".join(_type(part) for part in field["anyOf"])
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    if "const" in field:
        return f"`{field['const']}`"
    if "$ref" in field:
        return _reference(field["$ref"].rpartition("/")[2])
    match field.get("type"):
        case "array":
            return f"list of {_type(field['items'])}"
        case "object":
            return f"object of {_type(field['additionalProperties'])}"
        case kind:
            return f"{kind}{_limits(field)}"


def _reference(name: str) -> str:
    if name in _PARTS:
        return f"[{name}](#{name.lower()})"
    values: list[Any] = json_schema()["$defs"][name]["enum"]
    return ", ".join(f"`{value}`" for value in values)


def _limits(field: JsonObject) -> str:
    for unit, names in _RANGES.items():
        least, most = (field.get(name) for name in names)
        if least is not None and most is not None:
            return f" ({least} to {most}{unit})"
        if least is not None:
            return f" (from {least}{unit})"
        if most is not None:
            return f" (up to {most}{unit})"
    return ""


def _prose(text: str) -> str:
    """Unwrap the lines of a docstring; paragraphs stay."""
    paragraphs = (" ".join(paragraph.split()) for paragraph in text.split("\n\n"))
    return "\n\n".join(paragraphs)
