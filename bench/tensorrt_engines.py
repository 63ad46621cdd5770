"""Engines out of the full-sized graphs, built by TensorRT for RTX without a GPU.

    pip install onnxruntime-ep-nv-tensorrt-rtx-cu12 tensorrt-rtx-cu12-bindings
    PYTHONPATH=src python -m bench.tensorrt_engines

Writes `bench/results/tensorrt.json`: for each graph of stand-in weights the seconds, the size, how
many layers its parts are fused into, and what the library warns of; built for each card alone and
for all of them together. Nothing is run: that needs one of the cards.
"""

from __future__ import annotations

import argparse
import json
import logging
import re
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from bench.gpu import standin_tensors
from bench.report import RESULTS, write
from ditto_avatar.face.ditto import weights
from ditto_avatar.face.ditto.runtime.tensorrt.build import build_engine
from ditto_avatar.face.ditto.runtime.tensorrt.export import export_graphs
from ditto_avatar.face.ditto.runtime.tensorrt.graphs import GraphSpec, specs
from ditto_avatar.face.ditto.runtime.tensorrt.library import VERBOSE, libraries, load_rtx
from ditto_avatar.face.ditto.runtime.tensorrt.library import log as library_log
from ditto_avatar.face.ditto.runtime.tensorrt.plan import BuildJob, Exported, exported_jobs

CARDS = ("sm_80", "sm_86", "sm_89", "sm_120")
FILE = RESULTS / "tensorrt.json"
HOST = torch.device("cpu")
# What the builder says while it makes one layer of many.
_BEFORE = re.compile(r"Original: (\d+) layers")
_AFTER = re.compile(r"After tensor merging: (\d+) layers")
console = Console(stderr=True)


class Messages(logging.Handler):
    """What the library said while a graph was built."""

    def __init__(self) -> None:
        super().__init__(VERBOSE)
        self.warnings: list[str] = []
        self.layers_before = self.layers_after = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Keep warnings, each once, and count layers."""
        text = record.getMessage().removeprefix("TensorRT: ")
        if record.levelno >= logging.WARNING and text not in self.warnings:
            self.warnings.append(text)
        if (found := _BEFORE.search(text)) is not None:
            self.layers_before = max(self.layers_before, int(found[1]))
        if (found := _AFTER.search(text)) is not None:
            self.layers_after = int(found[1])


@contextmanager
def heard() -> Iterator[Messages]:
    """Listen to the library."""
    messages = Messages()
    before, propagates = library_log.level, library_log.propagate
    library_log.setLevel(VERBOSE)
    library_log.propagate = False
    library_log.addHandler(messages)
    try:
        yield messages
    finally:
        library_log.removeHandler(messages)
        library_log.setLevel(before)
        library_log.propagate = propagates


def export(folder: Path, graphs: Sequence[GraphSpec]) -> None:
    """Write the graphs in half precision; tests compare them with the networks."""
    tensors = standin_tensors()
    networks = {name: weights.from_tensors(name, tensors[name]) for name in tensors}
    export_graphs(networks, folder, half=True, graphs=graphs, check=False, tell=console.print)
    Exported("standin", "half").write(folder)


def built(job: BuildJob, folder: Path, targets: Sequence[str]) -> dict[str, Any]:
    """Build one engine, and say how long it took and how large it is."""
    began = time.perf_counter()
    path = build_engine(job, folder, HOST, console.print, targets)
    seconds = time.perf_counter() - began
    megabytes = path.stat().st_size / 1e6
    path.unlink()
    return {"seconds": round(seconds, 1), "mb": round(megabytes, 1)}


def measure(graphs: Path, engines: Path, only: str | None) -> dict[str, Any]:
    """Build every graph, or `only` one, first for all cards together, then for each alone."""
    figures: dict[str, Any] = {}
    for job in exported_jobs(graphs):
        if only not in (None, job.onnx.stem):
            continue
        with heard() as messages:
            together = built(job, engines, CARDS)
        figures[job.onnx.stem] = {
            "graph_mb": round(job.onnx.stat().st_size / 1e6, 1),
            "layers": messages.layers_before,
            "layers_after_fusing": messages.layers_after,
            "warnings": messages.warnings,
            "for_all": together,
            "for_one": {card: built(job, engines, [card]) for card in CARDS},
        }
    return figures


def main() -> None:
    """Export, build, and write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--graphs", type=Path, help="where graphs are kept for the next run")
    parser.add_argument("--only", help="one graph; the others in the file stay as they are")
    arguments = parser.parse_args()
    load_rtx(CARDS)
    (library,) = (each for each in libraries() if each.rtx)
    with tempfile.TemporaryDirectory() as temporary:
        graphs = arguments.graphs or Path(temporary) / "graphs"
        if not graphs.is_dir():
            export(graphs, specs())
        by_graph = measure(graphs, Path(temporary) / "engines", arguments.only)
    if arguments.only is not None and FILE.is_file():
        stored = json.loads(FILE.read_text(encoding="utf-8"))["figures"]["graphs"]
        by_graph = {**stored, **by_graph}
    figures = {
        "library": f"{library.name} {library.api.__version__}",
        "cards": list(CARDS),
        "engines_run": 0,
        "seconds_for_all": round(sum(each["for_all"]["seconds"] for each in by_graph.values()), 1),
        "mb_for_all": round(sum(each["for_all"]["mb"] for each in by_graph.values()), 1),
        "graphs": by_graph,
    }
    write("tensorrt", figures, {})


if __name__ == "__main__":
    main()
