"""Print a result that was stored, by the yardstick as it is weighed today.

    python -m bench.again latency

Repetitions that were divided one by one are not there any more: the whole is divided.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

from bench import report
from bench.yardstick import REFERENCE_MS, times_slower


def show(name: str) -> None:
    """Print ``results/<name>.json`` by the loads that were measured beside it."""
    content = json.loads((report.RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    targets: Mapping[str, report.Target] = importlib.import_module(f"bench.{name}").TARGETS
    loads = content["yardstick"]
    slower = times_slower({load: loads[f"{load}_ms"] for load in REFERENCE_MS})
    title = f"{name} at {content['commit']}, yardstick {slower:.2f}"
    table = Table("figure", "measured", "at yardstick 1", "target", title=title)
    for key, target in targets.items():
        value = content["figures"][key]
        scales = target.scale is not report.Scale.NONE
        scaled = str(report.at_yardstick_one(value, target.scale, slower)) if scales else ""
        table.add_row(key, str(value), scaled, target.text)
    Console().print(table)


if __name__ == "__main__":
    show(sys.argv[1])
