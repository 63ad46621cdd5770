"""How many viewers one card holds from speech to fragments, and with one stage left out at a time.

    PYTHONPATH=src python -m bench.gpu_end_to_end --out bench/results/h100_end_to_end.json

`--precision int8` lets it draw with integers of eight bits (h100_end_to_end_int8.json).

The product's engine over a checkpoint folder of stand-in weights in the released sizes, a drawn
avatar of 512 × 640 pixels, and the encoding of a worker: sound pushed at once, fragments taken as a
player takes them. Needs PyAV and soxr besides what `bench.gpu` needs.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args
from unittest.mock import patch

import numpy as np
import torch

from bench.end_to_end import (
    AT_ONCE_S,
    SPREAD_S,
    Played,
    Watch,
    drawn,
    drawn_and_encoded,
    most,
    play,
    run,
    shown,
)
from bench.gpu import say
from bench.gpu_sentences import measure_sentences
from bench.gpu_starts import started
from ditto_avatar.face.avatar import Avatar
from ditto_avatar.face.ditto.audio import FEATURES, PRESENT
from ditto_avatar.face.ditto.engine import DittoEngine
from ditto_avatar.face.ditto.layout import MOTION
from ditto_avatar.face.ditto.options import Precision
from ditto_avatar.face.ditto.pipeline import ClipJob, FrameJob
from ditto_avatar.face.ditto.runtime.sound.encoder import DeviceEncoder
from ditto_avatar.face.ditto.windows import CLIP_FRAMES
from ditto_avatar.types import ByteArray, FloatArray

# Beyond what any trial comes to: nobody is to wait for a place.
MOST = 1_000
STEP = 2


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

    def predict(
        jobs: Sequence[ClipJob], steps: int | None = None
    ) -> Callable[[], list[FloatArray]]:
        return lambda: [motion] * len(jobs)

    places: dict[str, tuple[object, str, Callable[..., Any]]] = {
        "sound": (DeviceEncoder, "begin", encode),
        "motion": (engine.pipeline, "begin_clips", predict),
        "frames": (engine.pipeline, "begin", begin),
    }
    owner, name, instead = places[stage]
    with patch.object(owner, name, instead):
        yield


async def measure(arguments: argparse.Namespace, folder: Path, figures: dict[str, Any]) -> None:
    """Load the engine as the product does, and try how many viewers it holds."""
    engine, avatar = await started(folder, figures, precision=arguments.precision)
    figures["backend"] = engine.pipeline.runners.name
    models = engine._renderer.models
    figures["sound_on_device"] = isinstance(models.encode, DeviceEncoder)
    capacity = models.capacity
    assert capacity is not None
    figures["device_alone"] = capacity.streams(CLIP_FRAMES - engine.quality.overlap)
    if arguments.ready_only:
        await engine.close()
        return
    # More than are admitted are tried, too.
    engine._admission.end()
    engine._admission.places.limit = MOST
    with ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="encode") as executor:
        trials = Trials(engine, avatar, executor, arguments.seconds)
        count: int = arguments.start or figures["admitted"]
        if not arguments.without_only:
            figures |= await measure_sentences(engine, avatar, executor)
            count = await trials.whole(count, figures)
        if not arguments.whole_only:
            await trials.without_each(count, figures)
        figures["memory_mb"] = round(torch.cuda.max_memory_reserved() / 1e6)
        await engine.close()


class Trials:
    """Viewers of one engine, more and fewer of them until it is known how many it holds."""

    def __init__(
        self, engine: DittoEngine, avatar: Avatar, executor: Executor, seconds: float
    ) -> None:
        self._engine, self._avatar, self._seconds = engine, avatar, seconds
        self._whole = drawn_and_encoded(engine, avatar, executor)
        self._batches: dict[str, dict[str, float]] = {}

    async def whole(self, start: int, figures: dict[str, Any]) -> int:
        """With every stage: one after the other, and all at once."""
        count, played = await most(self._trial(self._whole), start, STEP, self._seconds, say)
        figures["viewers_end_to_end"] = count
        if played is not None:
            figures |= shown(played)
        figures["batches"] = dict(self._batches)
        say("all at once")
        together = self._trial(self._whole, AT_ONCE_S)
        figures["viewers_at_once"], _ = await most(together, count, STEP, 0, say)
        say(json.dumps(figures))
        return count

    async def without_each(self, start: int, figures: dict[str, Any]) -> None:
        """With one stage left out at a time; the narrow one is that without which most are held."""
        figures["viewers_without"] = left_out = dict[str, int]()
        say("without encoding")
        plain = self._trial(drawn(self._engine, self._avatar))
        left_out["encoding"], _ = await most(plain, start, STEP, 0, say)
        for stage in ("sound", "motion", "frames"):
            say(f"without {stage}")
            with without(stage, self._engine, self._avatar):
                left_out[stage], _ = await most(self._trial(self._whole), start, STEP, 0, say)

    def _trial(self, watch: Watch, spread_s: float = SPREAD_S) -> Any:
        engine = self._engine

        async def tried(count: int, for_s: float) -> Played:
            # A new trial begins with full quality.
            engine._renderer.load_controller.reset()
            before = _counted(engine)
            played = await play([watch] * count, for_s, lambda: engine.strained, spread_s)
            self._batches = _since(before, _counted(engine), for_s)
            return played

        return tried


def _counted(engine: DittoEngine) -> dict[str, tuple[int, int]]:
    return {kind: (c.batches, c.jobs) for kind, c in engine._batch_runner.counts.items()}


def _since(
    before: dict[str, tuple[int, int]], after: dict[str, tuple[int, int]], seconds: float
) -> dict[str, dict[str, float]]:
    """Batches a second and jobs in each, for every kind of work."""
    result = {}
    for kind, (batches, jobs) in after.items():
        made = batches - before[kind][0]
        size = (jobs - before[kind][1]) / made if made else 0.0
        result[str(kind)] = {"a_second": round(made / seconds, 1), "jobs": round(size, 1)}
    return result


def main() -> None:
    """Measure, print, and write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--whole-only", action="store_true", help="leave no stage out")
    parser.add_argument("--without-only", action="store_true", help="try no whole one")
    parser.add_argument("--precision", choices=get_args(Precision), default="half")
    parser.add_argument("--ready-only", action="store_true", help="stop when it is ready")
    run(parser, measure)


if __name__ == "__main__":
    main()
