"""Four viewers on a card of little memory: the product's engine with a limit on what it takes.

    PYTHONPATH=src python -m bench.gpu_small --out bench/results/h100_small.json

The limit is torch's, on the memory it takes for weights, pictures and graphs; the driver's own is
told beside it. Whatever goes beyond fails as on a card of that size.
"""

from __future__ import annotations

import argparse
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch

from bench.end_to_end import drawn_and_encoded, play, run, shown
from bench.gpu import say
from ditto_avatar.face.ditto.engine import DittoEngine
from ditto_avatar.face.ditto.options import DittoOptions
from ditto_avatar.face.pack import load_avatar

VIEWERS = 4


async def measure(arguments: argparse.Namespace, folder: Path, figures: dict[str, Any]) -> None:
    """Load the engine within the limit, and let four look on."""
    began = time.perf_counter()
    figures["limit_mb"] = arguments.limit_mb
    options = DittoOptions(
        folder / "checkpoints",
        max_streams=VIEWERS,
        device_memory_mb=arguments.limit_mb,
        kernel_cache=folder / "kernels",
    )
    engine = await DittoEngine.load(options)
    await engine.prepared()
    figures["backend"] = engine.pipeline.runners.name
    figures["batches"] = list(engine.pipeline.runners.batches)
    avatar = load_avatar(folder / "packs" / "oval")
    await engine.prepare(avatar)
    figures["ready_s"] = round(time.perf_counter() - began, 1)
    say("ready")
    executor = ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="encode")
    watch = drawn_and_encoded(engine, avatar, executor)
    played = await play([watch] * VIEWERS, arguments.seconds, lambda: engine.strained)
    figures |= {"viewers": VIEWERS, "held": played.good, **shown(played)}
    free, total = torch.cuda.mem_get_info()
    figures["taken_mb"] = round(torch.cuda.max_memory_reserved() / 1e6)
    figures["taken_with_driver_mb"] = round((total - free) / 1e6)
    await engine.close()
    executor.shutdown()


def main() -> None:
    """Measure, print, and write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--limit-mb", type=int, default=4_000)
    run(parser, measure)


if __name__ == "__main__":
    main()
