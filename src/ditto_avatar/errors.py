"""Define one tree of domain errors, and one table that says how each reaches the outside.

Code raises these with a sentence that names what was expected and what came. Their rows of the
table are read where an error leaves: in `server/`, in `cli`, and where a turn tells its viewers.
"""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from pathlib import Path


class DittoAvatarError(Exception):
    """Base of everything this package raises on purpose; the message is meant for people."""


class InvalidInput(DittoAvatarError):
    """Input that cannot be used: empty, too long, malformed."""


class InvalidAudio(InvalidInput):
    """An audio file or stream that cannot be decoded or holds no usable sound."""


class InvalidImage(InvalidInput):
    """A picture or video that cannot be decoded or holds no usable face."""


class InvalidFilm(InvalidInput):
    """A film that cannot be signed or joined, or whose credentials are missing or broken."""


class InvalidAvatar(InvalidInput):
    """An avatar pack that is incomplete or contradicts itself."""


class InvalidCheckpoint(InvalidInput):
    """Weights that are missing, damaged or of another shape than expected."""


class LicenseNotAccepted(InvalidInput):
    """Something whose licence asks for consent, which was not given."""


class NotFound(DittoAvatarError):
    """A session, avatar or clip that does not exist or is not the caller's."""


class SessionEnded(NotFound):
    """A session that does not exist any more, or never did."""


class Unauthorized(DittoAvatarError):
    """The session's token is missing or wrong."""


class JoinNeeded(Unauthorized):
    """A session was asked for without a join token, where one is needed."""


class JoinRefused(Unauthorized):
    """A join token or key that does not open this session."""


class Forbidden(DittoAvatarError):
    """Something that the caller may not do: a page of another origin, or beyond an invitation."""


class UsedUp(DittoAvatarError):
    """Everything that was allowed has been used."""


class Misdirected(DittoAvatarError):
    """The server was asked under a name that is not its own."""


class TooSlow(DittoAvatarError):
    """A request did not arrive in time."""


class TooLarge(DittoAvatarError):
    """A body or message beyond its limit."""


class RateLimited(DittoAvatarError):
    """Too many requests in too short a time."""


class Busy(DittoAvatarError):
    """Every place is taken and the queue is full."""


class ShuttingDown(DittoAvatarError):
    """The server takes no new turns because it stops."""


class SessionMoved(DittoAvatarError):
    """Another server has the session now."""


class NotReady(DittoAvatarError):
    """The server runs and cannot do its work for the moment."""


class StorageFailed(DittoAvatarError):
    """The database does not answer at the moment: it is locked, restarting or unreachable."""


class StorageFull(StorageFailed):
    """Nothing can be written: the disk is full or read-only."""


class Unavailable(DittoAvatarError):
    """Something this installation lacks: an extra, a key, a device."""


class ProviderFailed(DittoAvatarError):
    """A language model or speech service refused, stalled or broke off."""


class SentenceFailed(ProviderFailed):
    """A speech engine could not say one sentence; it goes on with the next one."""


class ProviderRefused(ProviderFailed):
    """A service did not accept the key: trying again is of no use."""


class AnswerEmpty(ProviderFailed):
    """A language model answered without a word for people."""


class AnswerFiltered(ProviderFailed):
    """The filter of a language model's provider withheld an answer, or the rest of it."""


class BudgetUsedUp(ProviderFailed):
    """A budget for a paid service that is used up for the day."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an error leaves: HTTP status, WebSocket close code (None keeps the connection) and a
    stable code for programs. `public` texts go out as they are; others are replaced by `text`."""

    code: str
    status: int
    close: int | None = None
    public: bool = True
    text: str = ""


_LONGEST_TEXT = 1_000

# The first class that matches along an error's own ancestry wins.
OUTCOMES: dict[type[Exception], Outcome] = {
    InvalidAudio: Outcome("invalid_audio", 422),
    InvalidImage: Outcome("invalid_image", 422),
    InvalidFilm: Outcome("invalid_film", 422),
    InvalidAvatar: Outcome("invalid_avatar", 422),
    InvalidCheckpoint: Outcome("invalid_checkpoint", 500),
    LicenseNotAccepted: Outcome("license_not_accepted", 422),
    InvalidInput: Outcome("invalid_input", 422),
    NotFound: Outcome("not_found", 404, close=4404),
    Unauthorized: Outcome("unauthorized", 401, close=4401),
    # A code of their own: to try again is of no use without another token.
    JoinNeeded: Outcome("join_needed", 401, close=4407),
    JoinRefused: Outcome("join_refused", 403, close=4407),
    Forbidden: Outcome("forbidden", 403, close=4403),
    UsedUp: Outcome("used_up", 403),
    TooSlow: Outcome("too_slow", 408),
    TooLarge: Outcome("too_large", 413),
    Misdirected: Outcome("misdirected", 421, close=4403),
    RateLimited: Outcome("rate_limited", 429, close=1013),
    Busy: Outcome("busy", 503, close=1013),
    ShuttingDown: Outcome("shutting_down", 503, close=1012),
    SessionMoved: Outcome("moved", 503, close=1012),
    NotReady: Outcome("not_ready", 503, close=1013),
    StorageFull: Outcome("storage_full", 507, close=1013),
    StorageFailed: Outcome("storage_failed", 503, close=1013),
    Unavailable: Outcome("unavailable", 501),
    BudgetUsedUp: Outcome("budget_used_up", 503),
    ProviderFailed: Outcome("provider_failed", 502),
    DittoAvatarError: Outcome("error", 500),
    Exception: Outcome("internal", 500, public=False, text="Something went wrong on the server."),
}


def outcome_of(error: Exception) -> Outcome:
    """Return the row of `OUTCOMES` for `error`."""
    for ancestor in type(error).__mro__:
        if ancestor in OUTCOMES:
            return OUTCOMES[ancestor]
    return OUTCOMES[Exception]


def public_text(error: Exception) -> str:
    """Return what a person may read of `error`: its own sentence, or a general one. A sentence that
    quotes what was sent is cut, so that an answer is never much larger than its cause."""
    outcome = outcome_of(error)
    return str(error)[:_LONGEST_TEXT] if outcome.public else outcome.text


def where_raised(error: BaseException) -> str:
    """Name the class of an unexpected error and the lines it passed, in one line for the log.
    Its message is left out: it may quote what a visitor wrote."""
    places = [
        f"{Path(frame.filename).name}:{frame.lineno} {frame.name}"
        for frame in traceback.extract_tb(error.__traceback__)
    ]
    return f"{type(error).__name__} at {' > '.join(places) or 'an unknown place'}"
