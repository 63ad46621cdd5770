"""How many workers there should be: times are handed in."""

from __future__ import annotations

import pytest

from ditto_avatar.cluster.scaling import REMOVE_AFTER_S, Scaler


def test_the_least_are_started_at_once() -> None:
    assert Scaler(3, 9).wanted(0, 0, []) == 3


@pytest.mark.parametrize(
    ("started", "places", "wanted"),
    [
        (2, [(4, 10), (4, 10)], 2),
        (2, [(8, 10), (8, 10)], 3),
        (4, [(10, 10)] * 4, 4),  # no more are allowed
        (3, [(8, 10), (8, 10)], 3),  # one is on its way, and enough
        (3, [(10, 10)], 3),  # two are
        (2, [], 2),  # nobody answers yet
    ],
)
def test_one_is_added_while_too_few_places_are_free(
    started: int, places: list[tuple[int, int]], wanted: int
) -> None:
    assert Scaler(1, 4).wanted(0, started, places) == wanted


def test_one_goes_when_it_was_not_needed_for_long() -> None:
    scaler = Scaler(1, 4)
    quiet, busy = [(0, 10), (1, 10), (0, 10)], [(6, 10), (6, 10), (0, 10)]
    assert scaler.wanted(0, 3, quiet) == 3
    assert scaler.wanted(REMOVE_AFTER_S - 1, 3, quiet) == 3
    assert scaler.wanted(REMOVE_AFTER_S, 3, quiet) == 2
    assert scaler.wanted(REMOVE_AFTER_S + 1, 2, quiet[:2]) == 2
    assert scaler.wanted(2 * REMOVE_AFTER_S, 2, quiet[:2]) == 1
    assert scaler.wanted(4 * REMOVE_AFTER_S, 1, quiet[:1]) == 1
    scaler = Scaler(1, 4)
    scaler.wanted(0, 3, quiet)
    scaler.wanted(1, 3, busy)
    assert scaler.wanted(REMOVE_AFTER_S, 3, quiet) == 3
