from __future__ import annotations

import json

import pytest

from ditto_avatar.errors import Forbidden, RateLimited, UsedUp
from ditto_avatar.session.grant import Allowance, Grant
from tests.fakes.clock import ManualClock


def test_a_grant_survives_being_stored() -> None:
    for grant in (
        Grant("shop"),
        Grant("shop", ends_at=1.5, avatars=("mina", "james"), turns=3, turns_per_minute=2),
    ):
        assert Grant.of_record(json.loads(json.dumps(grant.as_record()))) == grant
    assert Grant.of_record(None) is None


def test_turns_are_counted_in_all() -> None:
    allowance = Allowance(Grant("shop", turns=2), ManualClock())
    allowance.take_turn(0)
    allowance.take_turn(1)
    with pytest.raises(UsedUp, match="2 messages"):
        allowance.take_turn(2)


def test_turns_are_counted_in_a_minute() -> None:
    clock = ManualClock()
    allowance = Allowance(Grant("shop", turns_per_minute=2), clock)
    allowance.take_turn(0)
    allowance.take_turn(1)
    with pytest.raises(RateLimited):
        allowance.take_turn(2)
    clock.advance(30)
    allowance.take_turn(2)


def test_only_presenters_of_the_grant_can_be_chosen() -> None:
    allowance = Allowance(Grant("shop", avatars=("mina",)), ManualClock())
    allowance.check_avatar("mina")
    with pytest.raises(Forbidden, match="james"):
        allowance.check_avatar("james")


@pytest.mark.parametrize("grant", [None, Grant("shop")])
def test_without_limits_everything_is_allowed(grant: Grant | None) -> None:
    allowance = Allowance(grant, ManualClock())
    for turn in range(1_000):
        allowance.take_turn(turn)
    allowance.check_avatar("james")
