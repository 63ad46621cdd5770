"""The messages as JSON Schema and as AsyncAPI, out of the models themselves."""

from __future__ import annotations

from typing import Any, get_args

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from ditto_avatar import __version__
from ditto_avatar.server.wire.client_messages import ClientMessage
from ditto_avatar.server.wire.server_messages import AnyServerMessage

JsonObject = dict[str, Any]
Model = type[BaseModel]

_SCHEMA = "https://json-schema.org/draft/2020-12/schema"
_ASYNCAPI = "3.0.0"


def client_models() -> tuple[Model, ...]:
    """List the messages that a page sends, in the order of the reference."""
    return _members(ClientMessage)


def server_models() -> tuple[Model, ...]:
    """List the messages that the server sends, in the order of the reference."""
    return _members(AnyServerMessage)


def type_of(model: Model) -> str:
    """Return the `type` of a message on the wire."""
    name: str = get_args(model.model_fields["type"].annotation)[0]
    return name


def json_schema() -> JsonObject:
    """Describe all messages as one JSON Schema: `#/$defs/ClientMessage` is what a page sends,
    `#/$defs/ServerMessage` what the server sends."""
    definitions = _definitions("#/$defs/")
    for name, models in (("ClientMessage", client_models()), ("ServerMessage", server_models())):
        definitions[name] = {
            "oneOf": [{"$ref": f"#/$defs/{model.__name__}"} for model in models],
            "discriminator": {
                "propertyName": "type",
                "mapping": {type_of(model): f"#/$defs/{model.__name__}" for model in models},
            },
        }
    return {
        "$schema": _SCHEMA,
        "title": "Messages of Ditto Avatar's WebSocket",
        "anyOf": [{"$ref": "#/$defs/ClientMessage"}, {"$ref": "#/$defs/ServerMessage"}],
        "$defs": dict(sorted(definitions.items())),
    }


def asyncapi() -> JsonObject:
    """Describe the WebSocket as an AsyncAPI document."""
    models = {"send": server_models(), "receive": client_models()}
    messages = {
        model.__name__: {
            "name": type_of(model),
            "summary": summary_of(model),
            "contentType": "application/json",
            "payload": {"$ref": f"#/components/schemas/{model.__name__}"},
            "examples": [{"payload": example_of(model)}],
        }
        for group in models.values()
        for model in group
    }
    return {
        "asyncapi": _ASYNCAPI,
        "info": {
            "title": "Ditto Avatar",
            "version": __version__,
            "description": "The WebSocket between page and server. Binary frames are fragments of "
            "media (from the server, each after its segment.data) or samples of the microphone "
            "(from the page, between audio.start and audio.stop).",
        },
        "servers": {"local": {"host": "localhost:7136", "protocol": "ws"}},
        "channels": {
            "conversation": {
                "address": "/ws",
                "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
            }
        },
        "operations": {
            action: {
                "action": action,
                "channel": {"$ref": "#/channels/conversation"},
                "messages": [
                    {"$ref": f"#/channels/conversation/messages/{model.__name__}"}
                    for model in group
                ],
            }
            for action, group in models.items()
        },
        "components": {
            "messages": messages,
            "schemas": dict(sorted(_definitions("#/components/schemas/").items())),
        },
    }


def example_of(model: Model) -> JsonObject:
    """Return the example of a message. Every message has one."""
    extra = model.model_config.get("json_schema_extra")
    assert isinstance(extra, dict), model
    examples = extra["examples"]
    assert isinstance(examples, list), model
    example = examples[0]
    assert isinstance(example, dict), model
    return dict(example)


def summary_of(model: Model) -> str:
    """Return the first sentence of a message's description."""
    return " ".join((model.__doc__ or "").split("\n\n")[0].split())


def _definitions(prefix: str) -> JsonObject:
    models = [(model, "serialization") for model in server_models()]
    models += [(model, "validation") for model in client_models()]
    _, schema = models_json_schema(models, ref_template=prefix + "{model}")  # type: ignore[arg-type]
    definitions: JsonObject = schema["$defs"]
    return definitions


def _members(annotated: Any) -> tuple[Model, ...]:
    union, *_ = get_args(annotated)
    return get_args(union)
