"""What a worker does with its memory once it is loaded."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.cluster.test_server import free_port
from tests.cluster.test_workers import packs
from tests.deadlines import TEST_DEADLINE_S

__all__ = ["packs"]  # fixtures

# Listens, which it does once it is loaded; then it is asked to stop.
PROGRAM = """
import asyncio, gc, os, signal, sys
from ditto_avatar.cluster.fleet import Fleet
from ditto_avatar.settings import Settings
from ditto_avatar.worker import run_worker

async def main(port):
    running = asyncio.create_task(run_worker(Settings(), "127.0.0.1", port))
    fleet = Fleet([f"127.0.0.1:{port}"], None, first_s=60)
    await fleet.open()
    print(gc.get_freeze_count())
    await fleet.close()
    os.kill(os.getpid(), signal.SIGTERM)
    await running

asyncio.run(main(int(sys.argv[1])))
"""


def test_what_a_worker_has_loaded_is_left_out_of_the_collectors_rounds(
    packs: Path, tmp_path: Path
) -> None:
    own = {"DITTO_DATA_DIR": str(tmp_path), "DITTO_AVATARS_DIR": str(packs)}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(free_port())],
        env={**os.environ, **own}, capture_output=True, text=True, timeout=TEST_DEADLINE_S,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 10_000
