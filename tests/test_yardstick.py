"""The yardstick beside the figures, on a clock that says how long everything takes."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from bench import report
from bench.report import Scale, Target
from bench.yardstick import REFERENCE_MS, SHARES, Repetitions, Yardstick


def slow_machine(times: float, loads_ms: Mapping[str, float] = REFERENCE_MS) -> Yardstick:
    """A yardstick on whose clock each load takes `times` as long as in `loads_ms`."""
    return _yardstick(itertools.repeat(times), loads_ms)


def machine_of(*times: float) -> Yardstick:
    """A yardstick on a machine that is `times` slower than the reference, sample by sample."""
    return _yardstick(iter(times), REFERENCE_MS)


def _yardstick(times: Iterator[float], loads_ms: Mapping[str, float]) -> Yardstick:
    taken_ms = (each for slower in times for ms in loads_ms.values() for each in (0, slower * ms))
    moments = itertools.accumulate(ms / 1_000 for ms in taken_ms)
    return Yardstick(lambda: next(moments))


def test_the_yardstick_is_how_many_times_longer_the_loads_take() -> None:
    with slow_machine(2.0) as yardstick:
        yardstick.sample()
        yardstick.sample()
    assert yardstick.value == pytest.approx(2.0)
    assert yardstick.loads_ms == pytest.approx({name: 2 * ms for name, ms in REFERENCE_MS.items()})


def test_a_load_counts_by_its_share_of_an_answer() -> None:
    slow_loopback = {**REFERENCE_MS, "loopback": 5 * REFERENCE_MS["loopback"]}
    with slow_machine(1.0, slow_loopback) as yardstick:
        assert yardstick.sample() == pytest.approx(1 + 4 * SHARES["loopback"])
    assert sum(SHARES.values()) == pytest.approx(1)
    assert SHARES.keys() == REFERENCE_MS.keys()


def test_a_repetition_is_divided_by_what_was_measured_around_it() -> None:
    with machine_of(1.0, 1.0, 3.0, 3.0) as yardstick:
        repetitions = Repetitions(yardstick)
        for _ in range(3):
            repetitions.done()
    assert repetitions.at_yardstick_one([100.0, 200.0, 300.0]) == pytest.approx([100, 100, 100])


def test_results_hold_the_yardstick_and_the_figures_by_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "RESULTS", tmp_path)
    figures = {"wait_ms": 300.0, "pictures_fps": 50.0, "memory_mb": 12.0}
    targets = {
        "wait_ms": Target("<= 160", Scale.TIME),
        "pictures_fps": Target(">= 90", Scale.RATE),
        "memory_mb": Target("<= 20"),
    }
    with slow_machine(2.0) as yardstick:
        yardstick.sample()
    written = json.loads(report.write("some", figures, targets, yardstick).read_text())
    assert written["figures"] == figures
    assert written["yardstick"]["value"] == 2.0
    assert written["figures_at_yardstick_1"] == {"wait_ms": 150.0, "pictures_fps": 100.0}
