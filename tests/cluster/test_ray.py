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
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest

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
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture(scope="module")
def directory(packs: Path) -> Iterator[str]:
    """Where `ditto-avatar cluster` tells of two workers."""
    port, head = free_port(), free_port()
    with tempfile.TemporaryDirectory(prefix="ray-") as folder, ExitStack() as stack:
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
        stack.enter_context(program(start, environment))
        with socket.socket() as probe:
            while probe.connect_ex(("127.0.0.1", head)):
                pass
        run = "from ditto_avatar.cli import app; app()"
        keep = [sys.executable, "-c", run, "cluster", "--workers", "2", "--cpus", "0.5"]
        keep += ["--ray", f"127.0.0.1:{head}", "--port", str(port)]
        stack.enter_context(program(keep, environment))
        yield f"cluster://127.0.0.1:{port}"


async def both(engine: RemoteEngine) -> list[KnownWorker]:
    """Return both workers, once they speak."""
    async with asyncio.timeout(_READY_S):
        while len(engine.fleet.workers) < 2:
            await engine.fleet.changed()
    return engine.fleet.workers


@pytest.mark.timeout(600)
async def test_ray_starts_workers_again_and_a_sentence_goes_on_meanwhile(
    directory: str, avatar: Avatar
) -> None:
    moved: list[float] = []
    loop = asyncio.get_running_loop()
    engine = await RemoteEngine.connect(
        [directory], TOKEN, lambda: moved.append(loop.time()), first_s=_READY_S
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
