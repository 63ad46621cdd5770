"""How many viewers one card holds from speech to fragments, and with one stage left out at a time.

    PYTHONPATH=src python -m bench.gpu_end_to_end --out bench/results/h100_end_to_end.json

The product's engine over a checkpoint folder of stand-in weights in the released sizes, a drawn
avatar of 512 × 640 pixels, and the encoding of a worker: sound pushed at once, fragments taken as a
player takes them. Needs PyAV and soxr besides what `bench.gpu` needs.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch

from bench.end_to_end import Played, Watch, drawn, drawn_and_encoded, most, play, shown
from bench.gpu import machine, say
from ditto_avatar.face.avatar import Avatar
from ditto_avatar.face.ditto.audio import FEATURES, PRESENT
from ditto_avatar.face.ditto.checkpoint_files import place
from ditto_avatar.face.ditto.engine import DittoEngine
from ditto_avatar.face.ditto.layout import MOTION
from ditto_avatar.face.ditto.options import DittoOptions
from ditto_avatar.face.ditto.pipeline import ClipJob, FrameJob
from ditto_avatar.face.ditto.runtime.sound.encoder import DeviceEncoder
from ditto_avatar.face.ditto.windows import CLIP_FRAMES
from ditto_avatar.face.pack import load_avatar
from ditto_avatar.types import ByteArray, FloatArray
from tests.face.ditto.hubert import LARGE, HubertSizes, write_hubert
from tests.face.ditto.standins import write_checkpoints
from tests.fakes.packs import make_pack

MOST = 64
START, STEP = 16, 3


def write_standins(folder: Path, sizes: HubertSizes = LARGE) -> None:
    """Write `folder`/checkpoints and `folder`/packs/oval, unless they are there."""
    checkpoints = folder / "checkpoints"
    if checkpoints.exists():
        return
    write_checkpoints(checkpoints)
    write_hubert(place(checkpoints, "audio_encoder"), sizes, opset=17)
    make_pack(folder / "packs" / "oval", atlas=False, blendshapes=False, enlarged=2)


class _Nothing:
    """Pictures that nobody drew."""

    def __init__(self, pictures: Sequence[ByteArray]) -> None:
        self._pictures = pictures

    def frames(self) -> Sequence[ByteArray]:
        return self._pictures


@contextmanager
def without(stage: str, engine: DittoEngine, avatar: Avatar) -> Iterator[None]:
    """Leave one stage of the engine out: its results are there at once, and the same each time."""
    rows = np.zeros((PRESENT, FEATURES), np.float32)
    motion = 0.01 * np.ones((CLIP_FRAMES, MOTION), np.float32)
    picture = avatar.idle_frames[0]

    def begin(jobs: Sequence[FrameJob]) -> _Nothing:
        return _Nothing([picture] * len(jobs))

    def encode(_: object, windows: Sequence[FloatArray]) -> Callable[[], Sequence[FloatArray]]:
        return lambda: [rows] * len(windows)

    def predict(jobs: Sequence[ClipJob], steps: int | None = None) -> list[FloatArray]:
        return [motion] * len(jobs)

    places: dict[str, tuple[object, str, Callable[..., Any]]] = {
        "sound": (DeviceEncoder, "begin", encode),
        "motion": (engine.pipeline, "predict", predict),
        "frames": (engine.pipeline, "begin", begin),
    }
    owner, name, instead = places[stage]
    with patch.object(owner, name, instead):
        yield


async def measure(folder: Path, seconds: float, start: int, figures: dict[str, Any]) -> None:
    """Load the engine as the product does, and try how many viewers it holds; each figure is put
    into `figures` when it is known, so that an interrupted run keeps what it found."""
    began = time.perf_counter()
    options = DittoOptions(folder / "checkpoints", max_streams=MOST)
    engine = await DittoEngine.load(options)
    avatar = load_avatar(folder / "packs" / "oval")
    await engine.prepare(avatar)
    figures["ready_s"] = round(time.perf_counter() - began, 1)
    capacity = engine._models.capacity
    assert capacity is not None
    figures["backend"] = engine.pipeline.runners.name
    figures["sound_on_device"] = isinstance(engine._models.encode, DeviceEncoder)
    figures["admitted_at_load"] = capacity.streams(CLIP_FRAMES - engine.quality.overlap)
    say(json.dumps(figures))
    executor = ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="encode")
    whole = drawn_and_encoded(engine, avatar, executor)

    def trial(watch: Watch) -> Any:
        async def tried(count: int, for_s: float) -> Played:
            # A new trial begins with full quality.
            engine._load_controller.level = 0
            return await play([watch] * count, for_s, lambda: engine.strained)

        return tried

    await trial(whole)(4, 2.0)
    count, played = await most(trial(whole), start, STEP, seconds, say)
    figures["viewers_end_to_end"] = count
    if played is not None:
        figures |= shown(played)
    left_out: dict[str, int] = {}
    figures["viewers_without"] = left_out
    say("without encoding")
    left_out["encoding"], _ = await most(trial(drawn(engine, avatar)), count, STEP, 0, say)
    for stage in ("sound", "motion", "frames"):
        say(f"without {stage}")
        with without(stage, engine, avatar):
            left_out[stage], _ = await most(trial(whole), count, STEP, 0, say)
    figures["memory_mb"] = round(torch.cuda.max_memory_reserved() / 1e6)
    await engine.close()
    executor.shutdown()


def main() -> None:
    """Measure, print, and write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--commit", help="what is measured, for the result file")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--start", type=int, default=START, help="viewers to try first")
    parser.add_argument("--folder", type=Path, help="where stand-ins are kept for the next run")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        write_standins(folder)
        say("stand-ins written")
        figures: dict[str, Any] = {}
        with suppress(KeyboardInterrupt):
            asyncio.run(measure(folder, arguments.seconds, arguments.start, figures))
    content = {
        "commit": arguments.commit,
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {**machine(), "cores": os.cpu_count()},
        "figures": figures,
    }
    text = json.dumps(content, indent=2) + "\n"
    say(text)
    if arguments.out is not None:
        arguments.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
