"""Compile for several batch sizes at once, in processes of their own.

A compiler is busy in Python most of the time, so that one process compiles one size after the
other, and whatever else it does waits meanwhile. Each child compiles for one size and leaves what
it made in the folder of kernels (`kernel_cache`), where the process that draws finds it.

    python -m ditto_avatar.face.ditto.runtime.compiling '{"batch": 4, …}'
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ditto_avatar.cores import usable_cores
from ditto_avatar.face.ditto.checkpoint_files import FILES, place
from ditto_avatar.face.ditto.networks import RELEASED, Sizes
from ditto_avatar.face.ditto.runtime.base import CompilesAhead, on_device
from ditto_avatar.face.ditto.runtime.beside import Beside
from ditto_avatar.face.ditto.runtime.compiled import CompileOptions, compiled_runners
from ditto_avatar.face.ditto.runtime.warming import clip_inputs, frame_inputs, wait_for
from ditto_avatar.face.ditto.weights import load_network

log = logging.getLogger(__name__)

MODULE = "ditto_avatar.face.ditto.runtime.compiling"
# What a child takes: torch and the networks on the host, those and a batch on the device.
HOST_BYTES, DEVICE_BYTES = 4_000_000_000, 4_000_000_000
CORES_EACH = 2
NICE = 10  # whoever is drawn meanwhile goes first


@dataclass(frozen=True, slots=True)
class Part:
    """What one child compiles: frames or clips in batches of one size."""

    kind: str
    batch: int


def parts_of(options: CompileOptions) -> list[Part]:
    """The parts of a backend, in the order in which the longest come first."""
    frames = [Part("frame", batch) for batch in options.batches]
    clips = [Part("clip", batch) for batch in options.clip_batches]
    return [*frames, *clips]


def children_at_once(device: torch.device) -> int:
    """How many children the cores, the host's memory and the device's have room for."""
    room = [usable_cores() // CORES_EACH]
    with suppress(ValueError, OSError, AttributeError):  # systems that do not tell
        room.append(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // HOST_BYTES)
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        room.append(free // DEVICE_BYTES)
    return min(room)


Command = Callable[[Mapping[str, Any]], Sequence[str]]


def command(job: Mapping[str, Any]) -> Sequence[str]:
    """The command line of a child."""
    return [sys.executable, "-m", MODULE, json.dumps(job)]


class Children:
    """Runs jobs in processes, a few at a time. A job that fails costs a line in the log: the
    process that draws compiles it itself. `end` kills what runs and starts no more."""

    def __init__(self, jobs: Sequence[Mapping[str, Any]], at_once: int, made: Command) -> None:
        self._made = made
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._ended = False
        self._threads = ThreadPoolExecutor(at_once, "ditto-compile")
        self.done: list[Future[int | None]] = [self._threads.submit(self._run, job) for job in jobs]

    def end(self) -> None:
        """Kill the children; does not wait."""
        with self._lock:
            self._ended = True
            for process in self._running:
                process.kill()

    def close(self) -> None:
        """Kill the children and wait for their ends."""
        self.end()
        self._threads.shutdown()

    def _run(self, job: Mapping[str, Any]) -> int | None:
        with self._lock:
            if self._ended:
                return None
            # A child reads its end from this pipe, also where this process is killed.
            process = subprocess.Popen(
                self._made(job), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
            )
            self._running.add(process)
        try:
            code = process.wait()
        finally:
            with self._lock:
                self._running.discard(process)
            if process.stdin is not None:
                process.stdin.close()
        if code and not self._ended:
            log.warning("Compiling %s ahead failed with exit code %d.", job, code)
        return code


@contextmanager
def compiling(
    options: CompileOptions,
    checkpoints: Path,
    device: torch.device,
    beside: Beside,
    tell: Callable[[str], None],
    made: Command = command,
) -> Iterator[None]:
    """Compile all parts of a backend in children; what is done inside finds them compiled, as far
    as there was room. Leaves no process behind. Raises `Stopped`."""
    at_once = children_at_once(device)
    if at_once < 1:
        yield
        return
    known = asdict(options)
    known["motion_dtype"] = str(options.motion_dtype).removeprefix("torch.")
    known["kept"] = options.kept and str(options.kept)
    del known["sizes"]  # a checkpoint's
    jobs = [
        {"checkpoints": str(checkpoints), "device": str(device), "options": known, **asdict(part)}
        for part in parts_of(options)
    ]
    tell(f"compiling in {min(at_once, len(jobs))} processes")
    children = Children(jobs, at_once, made)
    try:
        with beside.ended_by(children.end):
            for done in children.done:
                done.result()
        beside.check()
        yield
    finally:
        children.close()


# The child ----------------------------------------------------------------------------------


@torch.inference_mode()
def compile_part(
    job: Mapping[str, Any], networks: Mapping[str, nn.Module], sizes: Sizes = RELEASED
) -> None:
    """Compile one part as the process that draws would."""
    known = dict(job["options"])
    known["motion_dtype"] = getattr(torch, known["motion_dtype"])
    known["batches"], known["clip_batches"] = map(tuple, (known["batches"], known["clip_batches"]))
    known["kept"] = known["kept"] and Path(known["kept"])
    options, device = CompileOptions(**known), torch.device(job["device"])
    dtype = torch.float16 if device.type == "cuda" else torch.float32
    with on_device(device):
        runners = compiled_runners(networks, device, dtype, options)
        frames = job["kind"] == "frame"
        runner = runners.frame if frames else runners.clip
        # How many steps there are is no part of what is compiled.
        make = partial(frame_inputs, sizes=sizes) if frames else partial(clip_inputs, steps=2)
        assert isinstance(runner, CompilesAhead)
        runner.compile_ahead(*make(runners, job["batch"]))
        wait_for(device)


def _end_with_parent() -> None:
    # Not through `sys.stdin`, whose lock would be held while the interpreter ends.
    os.read(0, 1)
    os._exit(1)


def main() -> None:
    """Be a child."""
    job = json.loads(sys.argv[1])
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if hasattr(os, "nice"):
        os.nice(NICE)
    torch.set_num_threads(1)
    from torch._inductor import config

    config.compile_threads = CORES_EACH
    folder = Path(job["checkpoints"])
    networks = {
        entry.network: load_network(entry.network, place(folder, name))
        for name, entry in FILES.items()
        if entry.network is not None
    }
    compile_part(job, networks)


if __name__ == "__main__":
    main()
