"""What a server decides when it opens."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from ditto_avatar.face.puppet.engine import PuppetEngine
from ditto_avatar.server.engines import places_for
from ditto_avatar.settings import Settings


@dataclass
class Card(PuppetEngine):
    """A face engine that holds so many."""

    max_streams: int | None = None


@pytest.mark.parametrize(
    ("held", "wanted", "places"), [(12, None, 12), (12, 4, 4), (12, 40, 12), (None, 40, 40)]
)
def test_places_are_what_is_set_but_no_more_than_the_engine_holds(
    held: int | None, wanted: int | None, places: int
) -> None:
    assert places_for(Settings(max_speaking=wanted), Card(held)) == places


def test_without_a_limit_there_are_some_places_a_core() -> None:
    assert places_for(Settings(), Card()) >= 2
