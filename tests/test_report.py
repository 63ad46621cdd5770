"""The files of figures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench import report
from bench.report import Scale, Target
from bench.yardstick import Yardstick


def test_a_part_that_is_measured_again_leaves_the_others_as_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "RESULTS", tmp_path)
    targets = {"wait_ms": Target("<= 10", Scale.TIME), "ends": Target("0")}
    with Yardstick() as yardstick:
        yardstick.sample()
        report.write_part("both", "kiosk", {"ends": 0}, targets, yardstick)
        report.write_part("both", "page", {"wait_ms": 8}, targets, yardstick)
        path = report.write_part("both", "page", {"wait_ms": 6}, targets, yardstick)
    parts = json.loads(path.read_text())["parts"]
    assert parts["kiosk"]["figures"] == {"ends": 0}
    assert parts["page"]["figures"] == {"wait_ms": 6}
    assert parts["page"]["figures_at_yardstick_1"].keys() == {"wait_ms"}
    assert all(part["commit"] and part["yardstick"]["samples"] for part in parts.values())
