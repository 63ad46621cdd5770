"""One tree of domain errors and one table that says how each reaches the outside.

Code inside raises these with a sentence that names what was expected and what came; only
`server/` and `cli` look at the table.
"""

from __future__ import annotations

from dataclasses import dataclass


class DittoAvatarError(Exception):
    """Base of everything this package raises on purpose; the message is meant for people."""


class InvalidInput(DittoAvatarError):
    """What was sent cannot be used: empty, too long, malformed."""


class InvalidAudio(InvalidInput):
    """An audio file or stream that cannot be decoded or holds no usable sound."""


class InvalidImage(InvalidInput):
    """A picture or video that cannot be decoded or holds no usable face."""


class InvalidAvatar(InvalidInput):
    """An avatar pack that is incomplete or contradicts itself."""


class InvalidCheckpoint(InvalidInput):
    """Weights that are missing, damaged or of another shape than expected."""


class NotFound(DittoAvatarError):
    """A session, avatar or clip that does not exist or is not the caller's."""


class Unauthorized(DittoAvatarError):
    """The session's token is missing or wrong."""


class TooLarge(DittoAvatarError):
    """A body or message beyond its limit."""


class RateLimited(DittoAvatarError):
    """Too many requests in too short a time."""


class Busy(DittoAvatarError):
    """Every place is taken and the queue is full."""


class ShuttingDown(DittoAvatarError):
    """The server takes no new turns because it stops."""


class StorageFull(DittoAvatarError):
    """Nothing can be written: the disk is full or read-only."""


class Unavailable(DittoAvatarError):
    """Something this installation lacks: an extra, a key, a device."""


class ProviderFailed(DittoAvatarError):
    """A language model or speech service refused, stalled or broke off."""


class ProviderRefused(ProviderFailed):
    """A service did not accept the key: trying again is of no use."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an error is told: HTTP status, WebSocket close code (None keeps the connection) and a
    stable code for programs. `public` texts go out as they are; others are replaced by `text`."""

    code: str
    status: int
    close: int | None = None
    public: bool = True
    text: str = ""


# The first class that matches along an error's own ancestry wins.
OUTCOMES: dict[type[Exception], Outcome] = {
    InvalidAudio: Outcome("invalid_audio", 422),
    InvalidImage: Outcome("invalid_image", 422),
    InvalidAvatar: Outcome("invalid_avatar", 422),
    InvalidCheckpoint: Outcome("invalid_checkpoint", 500),
    InvalidInput: Outcome("invalid_input", 422),
    NotFound: Outcome("not_found", 404),
    Unauthorized: Outcome("unauthorized", 401, close=4401),
    TooLarge: Outcome("too_large", 413),
    RateLimited: Outcome("rate_limited", 429),
    Busy: Outcome("busy", 503),
    ShuttingDown: Outcome("shutting_down", 503, close=1012),
    StorageFull: Outcome("storage_full", 507),
    Unavailable: Outcome("unavailable", 501),
    ProviderFailed: Outcome("provider_failed", 502),
    DittoAvatarError: Outcome("error", 500),
    Exception: Outcome("internal", 500, public=False, text="Something went wrong on the server."),
}


def outcome_of(error: Exception) -> Outcome:
    """The row of `OUTCOMES` for `error`."""
    for ancestor in type(error).__mro__:
        if ancestor in OUTCOMES:
            return OUTCOMES[ancestor]
    return OUTCOMES[Exception]


def public_text(error: Exception) -> str:
    """What the person may read of `error`: its own sentence, or a general one."""
    outcome = outcome_of(error)
    return str(error) if outcome.public else outcome.text
