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

import pytest

from ditto_avatar.cluster.directory import Finder, Place
from ditto_avatar.cluster.fleet import KnownWorker
from ditto_avatar.cluster.remote import RemoteEngine
from ditto_avatar.face.avatar import Avatar
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
    def directory(self) -> str:
        return f"cluster://127.0.0.1:{self.port}"

    def command(self, workers: int) -> list[str]:
        run = "from ditto_avatar.cli import app; app()"
        keep = [sys.executable, "-c", run, "cluster", "--workers", str(workers), "--cpus", "0.5"]
        return [*keep, "--ray", f"127.0.0.1:{self.head}", "--port", str(self.port)]

    @contextmanager
    def keeping(self, workers: int = 2) -> Iterator[subprocess.Popen[bytes]]:
        with program(self.command(workers), self.environment) as process:
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
