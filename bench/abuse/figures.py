"""All of it, one part after the other."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from bench import report
from bench.abuse import cancelling, fairness, kills, malformed, memory, texts
from bench.report import Scale, Target
from bench.yardstick import Yardstick
from ditto_avatar.memory import allow_open_files
from tests.fakes.fuzz import SECRET

TARGETS = {
    "texts_tried": Target(">= 5000"),
    "process_ends": Target("0"),
    "texts_unanswered": Target("0"),
    "case_texts_lost": Target("0"),
    "case_stall_worst_ms": Target("<= 100", Scale.TIME),
    "malformed_messages": Target(">= 10000"),
    "server_errors": Target("0"),
    "tracebacks": Target("0"),
    "log_lines_with_a_visitors_words": Target("0"),
    "rss_growth_mb": Target("<= 100"),
    "healthz_worst_ms": Target("<= 100", Scale.TIME),
    "honest_first_fragment_ms_p95": Target("", Scale.TIME),
    "honest_first_fragment_ms_undisturbed_p95": Target("", Scale.TIME),
    "honest_ratio_p95": Target("<= 1.5"),
    "places_left_for_others": Target("> 0"),
    "cancel_points_that_spoil": Target("0"),
    "kill9_lost": Target("0"),
    "kill9_tried": Target(">= 50"),
    "kill9_processes_left_behind": Target("0"),
}
TEXTS, MALFORMED, KILLS = 5_000, 10_000, 50
ATTACK_S, ROUNDS, ROUND_S = 12.0, 3, 15.0
# Of the moments at which a command is cancelled, every second one.
MOMENTS = 0.5


@dataclass(frozen=True, slots=True)
class Run:
    """How much of everything is done, where servers log, and where cases are."""

    share: float
    log: Path
    cases: Path | None

    def of(self, whole: int) -> int:
        """Its share of a number, rounded up."""
        return -(-int(whole * self.share * 100) // 100) or 1


Measurement = Callable[[Run], Awaitable[Mapping[str, Any]]]
PARTS: dict[str, Measurement] = {
    "texts": lambda run: texts.speak_all(run.of(TEXTS), run.log, run.cases),
    "stalls": lambda run: texts.watch_stalls(run.log, run.cases),
    "malformed": lambda run: malformed.send_all(run.of(MALFORMED), run.log),
    "memory": lambda run: memory.under_load(
        max(5.0, ATTACK_S * run.share), max(0.1, run.share), run.log
    ),
    "honest": lambda run: fairness.honest_latency(
        run.of(ROUNDS), max(8.0, ROUND_S * run.share), run.log
    ),
    "places": lambda run: fairness.places_left(run.log),
    "cancelling": lambda run: cancelling.cancel_everywhere(run.share * MOMENTS),
    "kills": lambda run: kills.kill_often(run.of(KILLS), run.log),
}


async def measure(
    names: list[str], yardstick: Yardstick, *, share: float, cases: Path | None
) -> dict[str, Any]:
    """The figures of these parts, one after the other."""
    figures: dict[str, Any] = {}
    seconds: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as folder:
        run = Run(share, Path(folder) / "log", cases)
        for name in names:
            yardstick.sample()
            began = time.monotonic()
            figures.update(await PARTS[name](run))
            seconds[name] = round(time.monotonic() - began)
            sys.stderr.write(f"{name}: {seconds[name]} s\n")
        run.log.touch()
        lines = run.log.read_text(encoding="utf-8", errors="replace").splitlines()
    for line in lines:
        if "Traceback" in line or SECRET in line:
            sys.stderr.write(f"log: {line[:300]}\n")
    return {
        **figures,
        "tracebacks": sum("Traceback" in line for line in lines),
        "log_lines_with_a_visitors_words": sum(SECRET in line for line in lines),
        "log_lines": len(lines),
        "seconds": seconds,
    }


def main() -> None:
    """Measure and write results/abuse.json; what is less than everything is only printed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="parts (default: all)")
    parser.add_argument("--quick", action="store_true", help="a tenth of everything, to try it")
    parser.add_argument("--cases", type=Path, help="a folder of JSON files with further texts")
    arguments = parser.parse_args()
    names = arguments.parts or list(PARTS)
    allow_open_files(8_000)
    share = 0.1 if arguments.quick else 1.0
    with Yardstick() as yardstick:
        figures = asyncio.run(measure(names, yardstick, share=share, cases=arguments.cases))
    if names == list(PARTS) and not arguments.quick:
        report.write("abuse", figures, TARGETS, yardstick)
    else:
        Console().print_json(data={"yardstick": yardstick.content(), **figures})
