"""The reference of the protocol says what the code does."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from ditto_avatar.pipeline.clips import Clip
from ditto_avatar.server.wire.base import LoggedMessage
from ditto_avatar.server.wire.client_messages import CLIENT_MESSAGES
from ditto_avatar.server.wire.reference import pages
from ditto_avatar.server.wire.schema import (
    Model,
    client_models,
    example_of,
    server_models,
    summary_of,
    type_of,
)
from ditto_avatar.server.wire.server_messages import SERVER_MESSAGES
from ditto_avatar.transport import events

REPOSITORY = Path(__file__).parents[2]


def named(model: Model) -> str:
    return type_of(model)


@pytest.mark.parametrize("name", pages())
def test_the_committed_reference_is_that_of_the_code(name: str) -> None:
    assert (REPOSITORY / name).read_text(encoding="utf-8") == pages()[name], "run make protocol"


@pytest.mark.parametrize("model", client_models(), ids=named)
def test_the_server_reads_the_example_of_what_a_page_sends(model: Model) -> None:
    assert isinstance(CLIENT_MESSAGES.validate_python(example_of(model)), model)


@pytest.mark.parametrize("model", server_models(), ids=named)
def test_the_example_of_what_the_server_sends_is_whole(model: Model) -> None:
    example = example_of(model)
    message = SERVER_MESSAGES.validate_python(example)
    assert isinstance(message, model)
    assert example.keys() == message.model_dump().keys()


@pytest.mark.parametrize("model", [*client_models(), *server_models()], ids=named)
def test_every_message_says_what_it_is_for(model: Model) -> None:
    assert summary_of(model).endswith((".", ":"))


@pytest.mark.parametrize(
    "event", [kind for kind in vars(events).values() if hasattr(kind, "type")], ids=repr
)
def test_every_event_has_a_message_with_its_fields(event: type[events.Event]) -> None:
    model = next(model for model in server_models() if type_of(model) == event.type)
    expected = {"type", *(["seq"] if event.logged else [])}
    for field in fields(event):
        if field.type == "bytes":
            expected.add("bytes")
        elif field.type == "Clip":
            expected |= {f.name for f in fields(Clip)} - {"name"} | {"video_url", "audio_url"}
        else:
            expected.add(field.name)
    assert set(model.model_fields) == expected
    assert issubclass(model, LoggedMessage) == event.logged
