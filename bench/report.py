"""Where figures come from and where they go: machine, commit, JSON under `bench/results/`."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).parent / "results"


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
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", "src", "bench")
    return f"{sha}+changes" if changed else sha


def write(name: str, figures: Mapping[str, Any], targets: Mapping[str, str] | None = None) -> Path:
    """Store figures as ``results/<name>.json`` and print them beside their targets."""
    path = RESULTS / f"{name}.json"
    content = {
        "commit": commit(),
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "figures": dict(figures),
    }
    RESULTS.mkdir(exist_ok=True)
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    table = Table("figure", "measured", "target", title=f"{name} at {content['commit']}")
    for key, value in figures.items():
        if not isinstance(value, (dict, list)):
            table.add_row(key, str(value), (targets or {}).get(key, ""))
    Console().print(table)
    return path


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
