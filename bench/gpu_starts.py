"""How soon a server draws on a card: with nothing kept from earlier starts, with kernels and
verdicts kept, and with viewers who watch meanwhile.

    PYTHONPATH=src python -m bench.gpu_starts --out bench/results/h100_starts.json

Every start is a process of its own with the product's engine over a checkpoint folder of stand-in
weights in the released sizes. `answers_s` is when the first picture of the first viewer is there,
`start_s` when the quick backend draws and it is known how many streams are admitted, `counted_s`
when that was counted in this start. All from the moment at which Python has its libraries.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.end_to_end import drawn_and_encoded, play, run
from bench.gpu import say
from ditto_avatar.face.avatar import Avatar
from ditto_avatar.face.ditto.engine import DittoEngine
from ditto_avatar.face.ditto.loading import load_models
from ditto_avatar.face.ditto.options import DittoOptions, Precision
from ditto_avatar.face.ditto.runtime.sound.encoder import DeviceEncoder
from ditto_avatar.face.pack import load_avatar
from ditto_avatar.memory import keep_for_good
from ditto_avatar.types import SAMPLES_PER_FRAME

WATCHED_S = 20.0
KERNELS = "kernels"


async def started(
    folder: Path,
    figures: dict[str, Any],
    watched_s: float = 0.0,
    precision: Precision = "half",
) -> tuple[DittoEngine, Avatar]:
    """Load the engine as the product does, and say how long each part takes. Kernels are kept in
    the folder. For `watched_s` as many viewers as are admitted look on while the quick backend is
    prepared."""
    began = time.perf_counter()
    stages: list[tuple[str, float]] = []

    def passed() -> float:
        return round(time.perf_counter() - began, 1)

    options = DittoOptions(
        folder / "checkpoints", kernel_cache=folder / KERNELS, precision=precision
    )
    models = await asyncio.to_thread(
        load_models, options, lambda name: stages.append((name, passed())), interim=True
    )
    figures["loaded_s"] = passed()
    engine = DittoEngine(models, options)
    keep_for_good()  # as a server does before it is asked for anything
    avatar = load_avatar(folder / "packs" / "oval")
    await _first_picture(engine, avatar)
    figures["answers_s"] = passed()
    backends = engine.backends
    figures["answers_with"], figures["prepares"] = backends.draws, backends.prepares
    figures["answers_sound_on_device"] = isinstance(models.encode, DeviceEncoder)
    figures["admitted_at_first"] = engine.max_streams
    if watched_s:
        figures |= await _watched(engine, avatar, watched_s)
    await engine.prepared()
    figures["quick_s"] = passed()
    await engine.prepare(avatar)
    figures["start_s"] = passed()
    figures["admitted"] = engine.max_streams
    if (counting := engine._admission._counting) is not None:
        await asyncio.wait([counting])
    figures["counted_s"] = passed()
    figures["admitted_counted"] = engine.max_streams
    figures["failed"] = engine.backends.failed
    figures["stages_begin_s"] = dict(stages)
    # Not earlier: the compiler asks where its kernels are kept when it is imported.
    from torch._dynamo.utils import counters

    # In this process; what children traced is found.
    figures["graphs_kept"] = len(list((folder / KERNELS).glob("graphs/*/*.graph")))
    figures["graphs_traced"] = counters["stats"]["unique_graphs"]
    figures["graphs_compiled"] = counters["inductor"]["fxgraph_cache_miss"]
    say(json.dumps(figures))
    return engine, avatar


async def _first_picture(engine: DittoEngine, avatar: Avatar) -> None:
    stream = await engine.open(avatar)
    await stream.push(np.zeros(SAMPLES_PER_FRAME, np.float32))
    await stream.finish()
    async for _ in stream:
        pass


async def _watched(engine: DittoEngine, avatar: Avatar, seconds: float) -> dict[str, Any]:
    """What viewers see while the quick backend is prepared."""
    count = engine.max_streams or 1
    with ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="encode") as executor:
        watch = drawn_and_encoded(engine, avatar, executor)
        played = await play([watch] * count, seconds, lambda: False)
    return {
        "watched_by": count,
        "watched_on_time_share": round(played.on_time, 4),
        "watched_late_ms_max": round(1000 * max(played.late_s), 1),
        "watched_first_fragment_ms_max": round(1000 * max(played.first_s), 1),
    }


async def _once(arguments: argparse.Namespace, folder: Path, figures: dict[str, Any]) -> None:
    engine, _ = await started(folder, figures, WATCHED_S if arguments.once == "watched" else 0.0)
    figures["backend"] = engine.pipeline.runners.name
    capacity = engine._renderer.models.capacity
    assert capacity is not None
    figures["frame_ms"] = round(1000 * capacity.frame_s, 3)
    figures["clip_ms"] = round(1000 * capacity.clip_s, 3)
    figures["memory_mb"] = round(torch.cuda.max_memory_reserved() / 1e6)
    figures["memory_after_mb"] = round(torch.cuda.memory_reserved() / 1e6)
    await engine.close()


async def measure(arguments: argparse.Namespace, folder: Path, figures: dict[str, Any]) -> None:
    """Start again and again, each time in a process of its own."""
    if arguments.once:
        await _once(arguments, folder, figures)
        return
    for name in arguments.starts.split(","):
        if name == "cold":
            shutil.rmtree(folder / KERNELS, ignore_errors=True)
        result = folder / f"{name}.json"
        command = [sys.executable, "-m", "bench.gpu_starts", "--folder", str(folder)]
        command += ["--once", name, "--out", str(result)]
        subprocess.run(command, check=True)  # noqa: ASYNC221
        figures[name] = json.loads(result.read_text(encoding="utf-8"))["figures"]


def main() -> None:
    """Measure, print, and write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--starts", default="cold,cached,watched")
    parser.add_argument("--once", help="make one start of that name in this process")
    run(parser, measure)


if __name__ == "__main__":
    main()
