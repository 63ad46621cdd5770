"""How many viewers two cards hold, against one: the product's workers, one on each card.

    PYTHONPATH=src python -m bench.gpus2 --out bench/results/gpus2.json

Stand-in weights and avatar as in `bench.gpu_end_to_end`; sound goes to the workers over gRPC, and
fragments come back. Workers run on the host of the viewers, so they share its cores.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from bench.end_to_end import Played, at_workers, most, play, run, shown
from bench.gpu import say
from bench.gpu_end_to_end import MOST, STEP
from ditto_avatar.cluster.fleet import KnownWorker
from ditto_avatar.cluster.remote import RemoteEngine
from ditto_avatar.errors import Unavailable
from ditto_avatar.face.pack import load_avatar

READY_S = 400.0
# The command, with the drawn avatar in place of the bundled presenters: face models of stand-in
# weights see no face in those. Quality does not give way: after a trial of too many viewers it
# would be low for the next one.
_PROGRAM = """
import sys
from pathlib import Path
from ditto_avatar import assembly
from ditto_avatar.cli import app
from ditto_avatar.face.ditto import engine
from ditto_avatar.face.ditto.load_controller import Quality
assembly.BUNDLED = Path(sys.argv.pop(1))
engine.levels = lambda steps, overlap: (Quality(steps, overlap),)
app()
"""
START = 14


@contextmanager
def worker(folder: Path, card: int) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Run `ditto-avatar worker` on one card; its address and its process."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        **os.environ,
        "CUDA_VISIBLE_DEVICES": str(card),
        "DITTO_CHECKPOINTS": str(folder / "checkpoints"),
        "DITTO_DATA_DIR": str(folder / f"data{card}"),
        "DITTO_MAX_STREAMS": str(MOST),
    }
    command = [sys.executable, "-c", _PROGRAM, str(folder / "packs")]
    command += ["worker", "--host", "127.0.0.1", "--port", str(port)]
    process = subprocess.Popen(command, env=environment)
    try:
        yield f"127.0.0.1:{port}", process
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _steady(worker: KnownWorker) -> bool:
    return worker.places is not None and not worker.places.strained


async def connected(
    addresses: Sequence[str], processes: Sequence[subprocess.Popen[bytes]]
) -> RemoteEngine:
    """The engine of a server that has these workers, all of them ready. Raises `Unavailable` when
    one of them has ended."""
    async with asyncio.timeout(READY_S):
        while True:
            try:
                engine = await RemoteEngine.connect(addresses, None, lambda: None)
            except Unavailable:
                if any(process.poll() is not None for process in processes):
                    raise
                continue
            # Until the backend that stays is there, a worker says that it is strained.
            while sum(_steady(each) for each in engine.fleet.workers) < len(addresses):
                await engine.fleet.changed()
            return engine


async def measure(arguments: argparse.Namespace, folder: Path, figures: dict[str, Any]) -> None:
    """Try one card, then both."""
    avatar, seconds = load_avatar(folder / "packs" / "oval"), arguments.seconds
    with ExitStack() as stack:
        began = time.perf_counter()
        started = [stack.enter_context(worker(folder, card)) for card in range(2)]
        addresses, processes = zip(*started, strict=True)
        for count in (2, 1):
            engine = await connected(addresses[:count], processes)
            if count == 2:
                figures["workers_ready_s"] = round(time.perf_counter() - began, 1)
                say(f"workers ready after {figures['workers_ready_s']} s")
                await _trial(engine, avatar)(8, 2.0)
                await engine.close()
                continue
            viewers, played = await most(
                _trial(engine, avatar), arguments.start or START, STEP, seconds, say
            )
            figures["viewers_one_card"] = viewers
            figures["one_card"] = shown(played) if played else {}
            await engine.close()
        engine = await connected(addresses, processes)
        trial = _trial(engine, avatar)
        # Twice one card's at first, then fewer until they are held.
        count = 2 * viewers + 1
        both = await trial(count, seconds)
        while not both.good and count > 1:
            say(f"{count} viewers on two cards: {100 * both.on_time:.2f} % on time")
            count -= 1
            both = await trial(count, seconds)
        figures["viewers_two_cards"] = count if both.good else 0
        figures["two_cards"] = shown(both)
        figures["ratio"] = round(count / viewers, 3)
        await engine.close()


def _trial(engine: RemoteEngine, avatar: Any) -> Any:
    watch = at_workers(engine, avatar)

    async def tried(count: int, for_s: float) -> Played:
        return await play([watch] * count, for_s, lambda: engine.strained)

    return tried


def main() -> None:
    """Measure, print, and write the file."""
    run(argparse.ArgumentParser(description=__doc__), measure, cards=2)


if __name__ == "__main__":
    main()
