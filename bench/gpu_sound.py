"""The audio encoder on a GPU: as modules of ours, and over ONNX Runtime on the CPU beside it.

    PYTHONPATH=src python -m bench.gpu_sound --out bench/results/h100_sound.json

Needs torch, numpy, onnx and ONNX Runtime. The stand-in has the released encoder's sizes.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from bench.gpu import machine, say
from ditto_avatar.face.ditto.audio import PRESENT, OnnxEncoder
from ditto_avatar.face.ditto.runtime.sound.encoder import DeviceEncoder, probe_sound, read_encoder
from ditto_avatar.types import FRAME_RATE_HZ
from tests.face.ditto.hubert import LARGE, write_hubert

RUNS, EXACT_RUNS = 50, 5


def milliseconds(call: Callable[[], object], runs: int) -> float:
    """Measure the median time of a call that waits for its result, after two warm-up calls."""
    times = []
    for _ in range(runs + 2):
        began = time.perf_counter()
        call()
        times.append((time.perf_counter() - began) * 1000)
    return statistics.median(times[2:])


def measure(path: Path) -> dict[str, Any]:
    """Write the stand-in, read it as modules, and time both."""
    device = torch.device("cuda")
    began = time.perf_counter()
    exact = OnnxEncoder(path)
    encoder = read_encoder(path, device, exact)
    assert isinstance(encoder, DeviceEncoder)
    figures: dict[str, Any] = {"sound_ready_s": round(time.perf_counter() - began, 1)}
    for count in encoder.batches:
        windows = (probe_sound() * count)[:count]
        took = milliseconds(lambda w=windows: encoder.begin(w)(), RUNS)  # type: ignore[misc]
        figures[f"sound_ms_batch_{count}"] = round(took, 2)
    # A viewer needs five windows a second.
    largest = encoder.batches[-1]
    windows_s = FRAME_RATE_HZ / PRESENT
    share = figures[f"sound_ms_batch_{largest}"] / largest * windows_s / 1000
    figures["sound_percent_of_card_per_viewer"] = round(100 * share, 3)
    window = probe_sound()[0]
    figures["onnx_cpu_ms_a_window"] = round(milliseconds(lambda: exact(window), EXACT_RUNS), 1)
    figures["sound_memory_mb"] = round(torch.cuda.max_memory_allocated() / 2**20)
    return figures


def main() -> None:
    """Measure, print, and write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--commit", help="what is measured, for the result file")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(write_hubert(Path(folder) / "encoder.onnx", LARGE, opset=17))
    content = {
        "commit": arguments.commit,
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "figures": figures,
    }
    text = json.dumps(content, indent=2) + "\n"
    say(text)
    if arguments.out is not None:
        arguments.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
