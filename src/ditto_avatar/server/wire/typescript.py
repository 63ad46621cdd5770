"""The messages as types of TypeScript, out of their JSON Schema."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator

from ditto_avatar.server.wire.schema import JsonObject, json_schema

_HEAD = """\
/** Messages of the WebSocket, written by `make protocol` out of docs/protocol.schema.json. */
"""
_PLAIN = {
    "string": "string",
    "integer": "number",
    "number": "number",
    "boolean": "boolean",
    "null": "null",
}
_WIDTH = 96


def declarations() -> str:
    """Write a type for each definition of the schema, in its order."""
    definitions: JsonObject = json_schema()["$defs"]
    parts = [_declaration(name, definition) for name, definition in definitions.items()]
    return "\n".join([_HEAD, *parts])


def _declaration(name: str, definition: JsonObject) -> str:
    lines = list(_comment(definition, ""))
    if "properties" in definition:
        lines.append(f"export interface {name} {{")
        required = definition.get("required", ())
        for field, schema in definition["properties"].items():
            lines.extend(_comment(schema, "  "))
            mark = "" if field in required else "?"
            lines.append(f"  {field}{mark}: {_type(schema)};")
        lines.append("}")
    else:
        lines.append(f"export type {name} = {_type(definition)};")
    return "\n".join(lines) + "\n"


def _comment(schema: JsonObject, indent: str) -> Iterator[str]:
    description = schema.get("description")
    if description is None:
        return
    text = " ".join(description.split())
    wrapped = textwrap.wrap(f"/** {text} */", _WIDTH, subsequent_indent=" * ")
    yield from (indent + line for line in wrapped)


def _type(schema: JsonObject) -> str:
    """Name the type of a value. Raises `KeyError` for what the protocol has not used so far."""
    for union in ("anyOf", "oneOf"):
        if union in schema:
            return " | ".join(_type(part) for part in schema[union])
    if "$ref" in schema:
        name: str = schema["$ref"].rpartition("/")[2]
        return name
    if "enum" in schema:
        return " | ".join(json.dumps(value) for value in schema["enum"])
    if "const" in schema:
        return json.dumps(schema["const"])
    match schema["type"]:
        case "array":
            return f"Array<{_type(schema['items'])}>"
        case "object":
            return f"Record<string, {_type(schema['additionalProperties'])}>"
        case kind:
            return _PLAIN[kind]
