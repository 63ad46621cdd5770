from __future__ import annotations

import pytest

from ditto_avatar.errors import RateLimited
from ditto_avatar.session.limits import RateLimit
from tests.fakes.clock import ManualClock


def test_a_burst_is_allowed_then_refused_with_the_time_to_wait() -> None:
    clock = ManualClock()
    limit = RateLimit(6, clock, "messages")
    for _ in range(6):
        limit.take("me")
    with pytest.raises(RateLimited, match="Too many messages; please wait 10 s"):
        limit.take("me")


def test_time_gives_back_what_was_used() -> None:
    clock = ManualClock()
    limit = RateLimit(6, clock, "messages")
    for _ in range(6):
        limit.take("me")
    clock.advance(10.1)
    limit.take("me")
    with pytest.raises(RateLimited):
        limit.take("me")


def test_one_person_does_not_use_up_anothers_allowance() -> None:
    limit = RateLimit(1, ManualClock(), "messages")
    limit.take("me")
    limit.take("you")


def test_many_addresses_do_not_fill_the_memory() -> None:
    limit = RateLimit(1, ManualClock(), "sessions")
    for address in range(10_050):
        limit.take(str(address))
    assert len(limit) == 10_000
