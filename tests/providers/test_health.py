"""A service that failed is left alone for a while."""

from __future__ import annotations

from ditto_avatar.errors import ProviderFailed, ProviderRefused
from ditto_avatar.providers.health import Health
from tests.fakes.clock import ManualClock


def test_a_failure_rests_an_engine_and_success_wakes_it() -> None:
    clock = ManualClock()
    health = Health(clock, rest_s=30)
    assert health.usable("google")
    health.failed("google", ProviderFailed("x"))
    assert not health.usable("google")
    assert health.usable("openai")
    clock.advance(29)
    assert not health.usable("google")
    clock.advance(1)
    assert health.usable("google")
    health.failed("google", ProviderFailed("x"))
    health.worked("google")
    assert health.usable("google")


def test_a_refused_key_rests_longer() -> None:
    clock = ManualClock()
    health = Health(clock, rest_s=30, refused_rest_s=600)
    health.failed("google", ProviderRefused("x"))
    clock.advance(599)
    assert not health.usable("google")
    clock.advance(1)
    assert health.usable("google")
