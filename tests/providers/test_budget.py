"""What paid services may be used for in a day is never exceeded and never forgotten."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date
from pathlib import Path

import pytest

from ditto_avatar.errors import BudgetUsedUp, ProviderFailed
from ditto_avatar.metrics import Metrics
from ditto_avatar.providers.budget import Budget, Budgets, Paid
from tests.fakes.clock import ManualClock


class Calendar:
    def __init__(self) -> None:
        self.day = 1

    def __call__(self) -> date:
        return date(2030, 1, self.day)


LIMITS = {Paid.SPEECH: 100, Paid.TRANSCRIPTION: None, Paid.DIALOGUE: 0}


@asynccontextmanager
async def budgets(
    file: Path, calendar: Calendar | None = None, metrics: Metrics | None = None
) -> AsyncIterator[Budgets]:
    opened = Budgets(
        LIMITS, file, metrics or Metrics(), clock=ManualClock(), today=calendar or Calendar()
    )
    await opened.open()
    try:
        yield opened
    finally:
        await opened.close()


def test_what_is_reserved_counts_before_it_is_used() -> None:
    budget = Budget(Paid.SPEECH, 100)
    budget.reserve(60)
    with pytest.raises(BudgetUsedUp, match="speech characters"):
        budget.reserve(41)


def test_what_was_reserved_too_much_is_given_back() -> None:
    budget = Budget(Paid.DIALOGUE, 1_000)
    spending = budget.reserve(900)
    spending.settle(100)
    spending.settle(900)
    assert budget.used == 100
    budget.reserve(900)


def test_once_used_up_it_stays_so_until_tomorrow_and_is_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    calendar = Calendar()
    refused: list[bool] = []
    budget = Budget(Paid.SPEECH, 100, today=calendar, refused=lambda: refused.append(True))
    with caplog.at_level(logging.WARNING):
        for amount in (101, 1, 1):
            with pytest.raises(BudgetUsedUp):
                budget.reserve(amount)
        assert len(caplog.records) == 1
        assert len(refused) == 3
        calendar.day = 2
        budget.reserve(100)
        with pytest.raises(BudgetUsedUp):
            budget.reserve(1)
        assert len(caplog.records) == 2


def test_what_yesterday_reserved_changes_nothing_today() -> None:
    calendar = Calendar()
    budget = Budget(Paid.DIALOGUE, 100, today=calendar)
    spending = budget.reserve(90)
    calendar.day = 2
    spending.settle(10)
    assert budget.used == 0


def test_a_request_that_was_refused_costs_nothing_and_one_that_was_cut_off_does() -> None:
    budget = Budget(Paid.SPEECH, 100)
    with pytest.raises(ProviderFailed), budget.spend(50):
        raise ProviderFailed("status 500")
    assert budget.used == 0
    with pytest.raises(KeyboardInterrupt), budget.spend(50):
        raise KeyboardInterrupt
    assert budget.used == 50


async def test_a_restart_gives_nothing_back(tmp_path: Path) -> None:
    file = tmp_path / "data" / "budgets.json"
    async with budgets(file) as first:
        first.of(Paid.SPEECH).reserve(70)
        first.of(Paid.TRANSCRIPTION).reserve(2.5)
    async with budgets(file) as second:
        assert second.of(Paid.SPEECH).used == 70
        assert second.of(Paid.TRANSCRIPTION).used == 2.5
        with pytest.raises(BudgetUsedUp):
            second.of(Paid.SPEECH).reserve(31)
    assert [path.name for path in file.parent.iterdir()] == ["budgets.json"]


async def test_another_day_begins_with_nothing_used(tmp_path: Path) -> None:
    calendar = Calendar()
    async with budgets(tmp_path / "budgets.json", calendar) as first:
        first.of(Paid.SPEECH).reserve(100)
    calendar.day = 2
    async with budgets(tmp_path / "budgets.json", calendar) as second:
        assert second.of(Paid.SPEECH).used == 0


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"day": 1}', '{"day": "2030-01-01", "used": {"x": 1}}', "\x00" * 10],
)
async def test_a_damaged_file_does_not_stop_the_server(
    tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "budgets.json"
    file.write_text(text)
    async with budgets(file) as opened:
        opened.of(Paid.SPEECH).reserve(5)
    assert "cannot be read" in caplog.text
    assert json.loads(file.read_text())["used"]["speech_characters"] == 5


async def test_a_file_that_cannot_be_written_is_told_once_and_tried_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    clock, metrics = ManualClock(), Metrics()
    opened = Budgets(LIMITS, blocked / "budgets.json", metrics, clock=clock, today=Calendar())
    await opened.open()
    opened.of(Paid.SPEECH).reserve(5)
    for _ in range(3):
        await clock.until_sleeping(1)
        clock.advance(1)
    await clock.until_sleeping(1)
    await opened.close()
    assert caplog.text.count("cannot be kept") == 1
    assert 'ditto_errors_total{code="budget_not_saved"}' in metrics.exposition().decode()


async def test_what_is_used_is_seen_from_outside(tmp_path: Path) -> None:
    metrics = Metrics()
    async with budgets(tmp_path / "budgets.json", metrics=metrics) as opened:
        opened.of(Paid.SPEECH).reserve(70)
        with pytest.raises(BudgetUsedUp):
            opened.of(Paid.SPEECH).reserve(70)
        seen = metrics.exposition().decode()
    assert 'ditto_budget_used{unit="speech_characters"} 70.0' in seen
    assert 'ditto_budget_limit{unit="speech_characters"} 100.0' in seen
    assert 'ditto_budget_refused_total{unit="speech_characters"} 1.0' in seen
    assert 'ditto_budget_limit{unit="dialogue_tokens"}' not in seen
