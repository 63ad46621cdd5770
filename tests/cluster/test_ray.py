"""Workers in a real Ray cluster of this machine: placed, found, killed and there again.

Ray is not in the lock: without it (`pip install -e '.[ray]'`) these tests are skipped.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from ditto_avatar.cluster.directory import Finder, Place
from ditto_avatar.cluster.fleet import KnownWorker
from ditto_avatar.cluster.ray_workers import Needs, RayWorkers
from ditto_avatar.cluster.remote import RemoteEngine
from ditto_avatar.cluster.scaling import Scaler
from ditto_avatar.face.avatar import Avatar
from ditto_avatar.settings import Settings
from ditto_avatar.worker_cluster import open_in_actor, run_cluster
from tests.cancelling import cancelled_everywhere
from tests.cluster.test_server import free_port
from tests.cluster.test_workers import FRAMES, TOKEN, avatar, packs, speak
from tests.deadlines import TEST_DEADLINE_S

__all__ = ["avatar", "packs"]  # fixtures

pytestmark = pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed")

ROOT = Path(__file__).parents[2]
# Long enough to be killed in.
_FRAMES = 10 * FRAMES
_READY_S = 3 * TEST_DEADLINE_S


@contextmanager
def program(command: list[str], environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run it in a group of its own, all of which is ended afterwards."""
    process = subprocess.Popen(command, env=environment, start_new_session=True)
    try:
        yield process
    finally:
        _signal(process, signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            _signal(process, signal.SIGKILL)
            process.wait()


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)


@dataclass
class Ray:
    """A Ray cluster of one node, and the command that keeps workers in it."""

    head: int
    port: int
    environment: dict[str, str]

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.head}"

    @property
    def directory(self) -> str:
        return f"cluster://127.0.0.1:{self.port}"

    def command(self, workers: int, most: int | None = None) -> list[str]:
        run = "from ditto_avatar.cli import app; app()"
        keep = [sys.executable, "-c", run, "cluster", "--workers", str(workers), "--cpus", "0.5"]
        keep += [] if most is None else ["--most", str(most)]
        return [*keep, "--ray", f"127.0.0.1:{self.head}", "--port", str(self.port)]

    @contextmanager
    def keeping(
        self, workers: int = 2, most: int | None = None
    ) -> Iterator[subprocess.Popen[bytes]]:
        with program(self.command(workers, most), self.environment) as process:
            yield process


@pytest.fixture(scope="module")
def ray(packs: Path) -> Iterator[Ray]:
    port, head = free_port(), free_port()
    with tempfile.TemporaryDirectory(prefix="ray-") as folder:
        environment = os.environ | {
            "PYTHONPATH": str(ROOT / "src"),
            "RAY_USAGE_STATS_ENABLED": "0",
            "DITTO_AVATARS_DIR": str(packs),
            "DITTO_WORKER_TOKEN": TOKEN,
            "DITTO_DATA_DIR": f"{folder}/data",
            "DITTO_MAX_SPEAKING": "4",
        }
        # One store and few processes: this is a node of two cores.
        start = [str(Path(sys.executable).with_name("ray")), "start", "--head", "--block"]
        start += [f"--port={head}", "--node-ip-address=127.0.0.1", f"--temp-dir={folder}"]
        start += ["--num-cpus=2", "--include-dashboard=false", "--object-store-memory=100000000"]
        with program(start, environment), socket.socket() as probe:
            while probe.connect_ex(("127.0.0.1", head)):
                time.sleep(0.1)
            yield Ray(head, port, environment)


async def drawn(engine: RemoteEngine, avatar: Avatar) -> int:
    stream = await engine.open(avatar)
    await speak(stream, FRAMES)
    count = len([frame async for frame in stream])
    await stream.cancel()
    return count


async def both(engine: RemoteEngine) -> list[KnownWorker]:
    """Return both workers, once they speak."""
    async with asyncio.timeout(_READY_S):
        while len(engine.fleet.workers) < 2:
            await engine.fleet.changed()
    return engine.fleet.workers


@pytest.mark.timeout(600)
async def test_ray_starts_workers_again_and_a_sentence_goes_on_meanwhile(
    ray: Ray, avatar: Avatar
) -> None:
    moved: list[float] = []
    loop = asyncio.get_running_loop()
    with ray.keeping():
        engine = await RemoteEngine.connect(
            [ray.directory], TOKEN, lambda: moved.append(loop.time()), first_s=_READY_S
        )
        try:
            first = {worker.address for worker in await both(engine)}
            stream = await engine.open(avatar)
            await speak(stream, _FRAMES)
            indices = []
            async for frame in stream:
                indices.append(frame.index)
                if len(indices) == 5:
                    [drawing] = [w for w in engine.fleet.workers if w.places and w.places.taken]
                    os.kill(listening_at(drawing.address), signal.SIGKILL)
                    killed = loop.time()
            await stream.cancel()
            assert indices == list(range(_FRAMES))
            assert len(moved) == 1
            while drawing.places is not None:
                await engine.fleet.changed()
            again = {worker.address for worker in await both(engine)}
            sys.stderr.write(f"\nthere again after {loop.time() - killed:.1f} s\n")
            assert len(again - first) == 1
        finally:
            await engine.close()


@pytest.mark.timeout(600)
async def test_workers_outlive_the_command_and_are_found_again_until_none_is_wanted(
    ray: Ray, avatar: Avatar
) -> None:
    with ray.keeping() as command:
        engine = await RemoteEngine.connect([ray.directory], TOKEN, lambda: None, first_s=_READY_S)
        before = {worker.address for worker in await both(engine)}
        command.terminate()
        assert await asyncio.to_thread(command.wait, TEST_DEADLINE_S) == 0
    try:
        assert await drawn(engine, avatar) == FRAMES
        place = Place.parse(ray.directory)
        with ray.keeping():
            async with asyncio.timeout(_READY_S):
                finder = Finder([place], TOKEN, None)
                while (found := set(await finder.find())) != before:
                    assert found < before, "another one was started"
        done = await asyncio.to_thread(
            subprocess.run, ray.command(0), env=ray.environment, timeout=_READY_S
        )
        assert done.returncode == 0
        async with asyncio.timeout(TEST_DEADLINE_S):
            while engine.fleet.workers:
                await engine.fleet.changed()
    finally:
        await engine.close()


@pytest.mark.timeout(600)
async def test_a_worker_is_added_while_places_are_taken(ray: Ray, avatar: Avatar) -> None:
    with ray.keeping(1, most=2):
        engine = await RemoteEngine.connect([ray.directory], TOKEN, lambda: None, first_s=_READY_S)
        try:
            assert len(engine.fleet.workers) == 1
            streams = [await engine.open(avatar) for _ in range(4)]  # all of its places
            first, second = await both(engine)
            assert first.address != second.address
            stream = await engine.open(avatar)
            assert second.places is not None
            await stream.cancel()
            for each in streams:
                await each.cancel()
        finally:
            await engine.close()


@pytest.mark.timeout(600)
async def test_a_worker_that_is_not_needed_goes_and_the_last_ones_are_ended(ray: Ray) -> None:
    kept = RayWorkers(open_in_actor, Needs(0.5), Scaler(2, 2))
    await kept.connect(ray.address)
    try:
        await answering(kept, 2)
        fewer = RayWorkers(open_in_actor, Needs(0.5), Scaler(1, 2, remove_after_s=0))
    finally:
        await kept.close()
    await fewer.connect(ray.address)
    try:
        await answering(fewer, 1)
        await fewer.end()
        assert fewer.addresses == []
    finally:
        await fewer.close()
    await none_left(ray)


@pytest.mark.timeout(900)
async def test_keeping_workers_can_be_cancelled_at_every_wait(ray: Ray) -> None:
    before = asyncio.all_tasks()

    async def kept() -> None:
        workers = RayWorkers(open_in_actor, Needs(0.5), Scaler(1, 1))
        await workers.connect(ray.address)
        try:
            await workers.look_after()
            await workers.end()
        finally:
            await workers.close()

    async for _ in cancelled_everywhere(kept):
        assert not ray_of_this_process().is_initialized()
        assert asyncio.all_tasks() == before
    await none_left(ray)


@pytest.mark.timeout(900)
async def test_the_command_can_be_cancelled_at_every_wait(
    ray: Ray,
) -> None:
    before = asyncio.all_tasks()
    settings = Settings(worker_token=TOKEN)
    stopping: list[asyncio.Task[None]] = []

    async def stop() -> None:
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", ray.port)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                if signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:  # or it ends the tests
                    os.kill(os.getpid(), signal.SIGTERM)
                return

    async def run() -> None:
        stopping.append(asyncio.create_task(stop()))
        place = "127.0.0.1", ray.port
        await run_cluster(settings, ray.address, place, Scaler(0, 1), Needs(0.5))

    async for _ in cancelled_everywhere(run):
        stopping[-1].cancel()
        await asyncio.wait(stopping)
        assert not ray_of_this_process().is_initialized()
        assert asyncio.all_tasks() == before
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", ray.port)) != 0


def ray_of_this_process() -> Any:
    import ray

    return ray


async def answering(workers: RayWorkers, count: int) -> None:
    """Return when exactly so many answer and none leaves."""
    async with asyncio.timeout(_READY_S):
        while True:
            await workers.look_after()
            if len(workers.addresses) == count and not workers.leaving:
                return
            await asyncio.sleep(0.2)


async def none_left(ray: Ray) -> None:
    workers = RayWorkers(open_in_actor, Needs(0.5), Scaler(0, 0))
    await workers.connect(ray.address)
    try:
        assert workers.names == []
    finally:
        await workers.close()


def listening_at(address: str) -> int:
    """The process that listens there; both are on this machine."""
    port = f"{int(address.rpartition(':')[2]):04X}"
    tables = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
    rows = [row.split() for table in tables for row in table.read_text().splitlines()[1:]]
    listening = "0A"
    inodes = {f"socket:[{r[9]}]" for r in rows if r[1].endswith(f":{port}") and r[3] == listening}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if any(os.readlink(link) in inodes for link in (folder / "fd").iterdir()):
                return int(folder.name)
        except OSError:
            continue  # it has ended, or is another user's
    raise AssertionError(f"nobody listens at {address}")
