"""Types and rules that the messages and the bodies of REST share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

LONGEST_ID = 64
# What is shown of a name or a value that was sent.
_SHOWN_CHARACTERS = 64
_LONGEST_PROBLEM = 300

Id = Annotated[str, Field(min_length=1, max_length=LONGEST_ID)]
IdleFrame = Annotated[float, Field(ge=0, le=100_000)]
Join = Annotated[str, Field(min_length=1, max_length=16_384)]
Origin = Annotated[str, Field(max_length=256, pattern=r"^https?://[^/\s,@]+$")]


class Incoming(BaseModel):
    """Base of what clients send: unknown fields are an error, so that a typing mistake is seen."""

    # Infinity and NaN are no JSON: they could not be sent back.
    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


class Outgoing(BaseModel):
    """Base of what the server sends."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


def example(**fields: Any) -> ConfigDict:
    """Attach an example to a model: it is in the reference, and a test reads it."""
    return ConfigDict(json_schema_extra={"examples": [fields]})


def first_problem(error: ValidationError) -> str:
    """Tell the first of the problems that pydantic found, in one short line."""
    problem = error.errors(include_url=False, include_input=False, include_context=False)[0]
    place, text = place_of(problem["loc"]), problem["msg"][:_LONGEST_PROBLEM]
    return f"{place}: {text}" if place else text


def place_of(location: Sequence[int | str]) -> str:
    """Name where in a message or a body a problem is; long names, which were sent, are cut."""
    return ".".join(str(part)[:_SHOWN_CHARACTERS] for part in location)


class ServerMessage(Outgoing):
    """Base of all messages from the server."""


class LoggedMessage(ServerMessage):
    """Base of the messages that are numbered, and sent again after a reconnect."""

    seq: int | None = None
    """Counts up by one in a session. Missing where one page alone is told how an old turn of its
    stands."""


class LiveMessage(ServerMessage):
    """Base of the messages that are sent once, and not again after a reconnect."""
