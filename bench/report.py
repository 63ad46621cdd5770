"""Where figures come from and where they go: machine, commit, JSON under `bench/results/`."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.yardstick import Yardstick

RESULTS = Path(__file__).parent / "results"
# What the figures depend on; results that were just written change nothing.
_MEASURED = (":/src", ":/bench", ":(top,exclude)bench/results")


class Scale(Enum):
    """How a figure follows the speed of the machine."""

    NONE = "does not"
    TIME = "is divided by the yardstick"
    RATE = "is multiplied by the yardstick"


@dataclass(frozen=True, slots=True)
class Target:
    """What a figure should be; one that follows the machine is held to it by its yardstick."""

    text: str = ""
    scale: Scale = Scale.NONE


def at_yardstick_one(value: float, scale: Scale, yardstick: float) -> float:
    """What the figure would be on the reference machine."""
    return round(value / yardstick if scale is Scale.TIME else value * yardstick, 2)


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }


def commit() -> str:
    """The commit measured, marked when the tree had changes that were not committed."""
    sha = _git("rev-parse", "--short", "HEAD")
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", *_MEASURED)
    return f"{sha}+changes" if changed else sha


def write(
    name: str,
    figures: Mapping[str, Any],
    targets: Mapping[str, Target],
    yardstick: Yardstick | None = None,
    by_repetition: Mapping[str, float] | None = None,
) -> Path:
    """Store figures as ``results/<name>.json`` and print them beside their targets, as they were
    measured and by the `yardstick` that was sampled between the repetitions. Only figures that the
    speed of the machine does not change go without one. Those in `by_repetition` are at yardstick 1
    already, each repetition divided by the yardstick of its moment."""
    content = _content(figures, targets, yardstick)
    _show(name, content, targets)
    return _store(name, content)


def write_part(
    name: str,
    part: str,
    figures: Mapping[str, Any],
    targets: Mapping[str, Target],
    yardstick: Yardstick,
) -> Path:
    """Do what `write` does for one `part` of a bench that runs in parts, each with a commit and a
    yardstick of its own. The other parts in the file stay as they are."""
    path = RESULTS / f"{name}.json"
    stored = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    parts = {**stored.get("parts", {}), part: _content(figures, targets, yardstick)}
    _show(f"{name}, {part}", parts[part], targets)
    return _store(name, {"parts": dict(sorted(parts.items()))})


def _content(
    figures: Mapping[str, Any], targets: Mapping[str, Target], yardstick: Yardstick | None
) -> dict[str, Any]:
    slower = 1.0 if yardstick is None else yardstick.value
    scaled = {
        key: at_yardstick_one(figures[key], target.scale, slower)
        for key, target in targets.items()
        if target.scale is not Scale.NONE and key in figures
    }
    about = {} if yardstick is None else {"yardstick": yardstick.content()}
    by_yardstick = {"figures_at_yardstick_1": scaled} if scaled else {}
    return {
        "commit": commit(),
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        **about,
        "figures": dict(figures),
        **by_yardstick,
    }


def _store(name: str, content: Mapping[str, Any]) -> Path:
    path = RESULTS / f"{name}.json"
    RESULTS.mkdir(exist_ok=True)
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def _show(name: str, content: Mapping[str, Any], targets: Mapping[str, Target]) -> None:
    slower = content.get("yardstick", {}).get("value", 1.0)
    scaled = content.get("figures_at_yardstick_1", {})
    title = f"{name} at {content['commit']}, yardstick {slower:.2f}"
    table = Table("figure", "measured", "at yardstick 1", "target", title=title)
    for key, value in content["figures"].items():
        if not isinstance(value, (dict, list)):
            target = targets.get(key, Target())
            table.add_row(key, str(value), str(scaled.get(key, "")), target.text)
    Console().print(table)


def percentile(values: list[float], percent: float) -> float:
    """The nearest-rank percentile."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def p50(values: list[float]) -> float:
    """The median."""
    return median(values)


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


def _git(*arguments: str) -> str:
    folder = Path(__file__).parent
    result = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True)
    return result.stdout.strip()
