"""The yardstick beside the figures, on a clock that says how long everything takes."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest

from bench import report
from bench.report import Scale, Target
from bench.yardstick import REFERENCE_MS, Yardstick


def slow_machine(times: float) -> Yardstick:
    """A yardstick on whose clock each load takes `times` as long as on the reference machine."""
    taken = itertools.chain.from_iterable(
        (0.0, ms) for ms in itertools.cycle(REFERENCE_MS.values())
    )
    moments = itertools.accumulate(ms * times / 1_000 for ms in taken)
    return Yardstick(lambda: next(moments))


def test_the_yardstick_is_how_many_times_longer_the_loads_take() -> None:
    with slow_machine(2.0) as yardstick:
        yardstick.sample()
        yardstick.sample()
    assert yardstick.value == pytest.approx(2.0)
    assert yardstick.loads_ms == pytest.approx({name: 2 * ms for name, ms in REFERENCE_MS.items()})


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
