"""Whether what is configured works, and that nothing else than our own words is told."""

from __future__ import annotations

import logging

import pytest

from ditto_avatar.errors import ProviderRefused
from ditto_avatar.providers.checks import Checked, check_all, warn_of_failures


class Engine:
    """Answers its check with a sentence or an error."""

    name = "engine"

    def __init__(self, answer: str | Exception) -> None:
        self._answer = answer

    async def check(self) -> str:
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


class Silent:
    """Has nothing to check."""

    name = "silent"


async def test_every_engine_that_can_tell_is_asked_in_order() -> None:
    engines = [
        ("dialogue", Engine("it answers")),
        ("dialogue", Silent()),
        ("speech", Engine(ProviderRefused("The key is wrong."))),
    ]
    assert await check_all(engines) == [
        Checked("dialogue", "engine", True, "it answers"),
        Checked("speech", "engine", False, "The key is wrong."),
    ]


async def test_what_a_library_raises_is_not_repeated() -> None:
    [checked] = await check_all([("speech", Engine(ValueError("Bearer sk-secret")))])
    assert not checked.works
    assert "ValueError" in checked.text
    assert "sk-secret" not in checked.text


async def test_only_what_does_not_work_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    await warn_of_failures(
        [("dialogue", Engine("fine")), ("speech", Engine(ProviderRefused("The key is wrong.")))]
    )
    assert [record.getMessage() for record in caplog.records] == [
        "speech by engine does not work: The key is wrong."
    ]
