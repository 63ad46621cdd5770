"""Run the image as it is meant to be run, and measure it: `make image-test`.

    python -m bench.image cpu IMAGE DOCKER-COMPOSE
    python -m bench.image cuda IMAGE

First alone: another user than root, a root that is read-only, no capabilities. Then the CPU image
with docker-compose and PostgreSQL against podman, with a restart in between; the CUDA image is
asked whether it can do what it needs a compiler for, which takes no GPU.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import httpx
from websockets.asyncio.client import connect

from bench.report import Scale, Target, write_part
from bench.yardstick import Yardstick

ROOT = Path(__file__).parents[1]
PODMAN = str(ROOT / "scripts/container/podman")
STARTS = 5
_DEADLINE_S = 120.0
_TARGETS = {
    "image_mb": Target("≤ 700"),
    "image_ready_s": Target("≤ 4", Scale.TIME),
    "compose_ready_s": Target("", Scale.TIME),
    "conversation_found_after_restart": Target("True"),
    "triton_compiles": Target("True"),
}
# What Triton does at run time for each kernel that it launches: a C module, built and imported.
_COMPILE = """
import torch, triton.runtime.build as build
source = '#include <Python.h>\\nstatic struct PyModuleDef it = {PyModuleDef_HEAD_INIT, "probe"};' \\
         '\\nPyMODINIT_FUNC PyInit_probe(void) { return PyModule_Create(&it); }'
print(build.compile_module_from_src(source, "probe").__name__, torch.version.cuda)
"""


def main() -> None:
    """Run everything and write the variant's part of ``results/image.json``."""
    variant, image, *compose = sys.argv[1:]
    with Yardstick() as yardstick:
        measured = asyncio.run(_measure(variant, image, compose, yardstick))
    figures = {"image_mb": size_mb(image), **measured}
    targets = _TARGETS if variant == "cpu" else {**_TARGETS, "image_mb": Target("")}
    write_part("image", variant, figures, targets, yardstick)


async def _measure(
    variant: str, image: str, compose: list[str], yardstick: Yardstick
) -> dict[str, Any]:
    ready = []
    figures: dict[str, Any] = {}
    for _ in range(STARTS):
        yardstick.sample()
        async with running(image) as (name, port, ready_s):
            ready.append(ready_s)
            await talk(port)
            if variant == "cuda" and not figures:
                told = _podman("exec", name, "python3", "-c", _COMPILE).split()
                assert told[0] == "probe", told
                figures = {"triton_compiles": True, "cuda": told[1]}
    yardstick.sample()
    figures["image_ready_s"] = round(median(ready), 2)
    figures["image_ready_s_each"] = [round(seconds, 2) for seconds in ready]
    if compose:
        started_s = await with_compose(image, *compose)
        figures["compose_ready_s"] = round(started_s, 1)
        figures["conversation_found_after_restart"] = True
    yardstick.sample()
    return figures


def size_mb(image: str) -> float:
    """Return the size of `image`, unpacked."""
    told = _podman("image", "inspect", "--format", "{{.Size}}", image)
    return round(int(told) / 1e6, 1)


@asynccontextmanager
async def running(image: str) -> AsyncIterator[tuple[str, int, float]]:
    """Run `image` with everything taken from it; yields the container's name, its port and the
    seconds it took to be ready. It has to end by itself when it is asked to."""
    name, port = f"ditto-test-{secrets.token_hex(4)}", _free_port()
    begun = time.monotonic()
    _podman(
        "run", "--detach", "--name", name, "--read-only", "--cap-drop=all",
        "--security-opt=no-new-privileges", "--network=host", "--no-healthcheck",
        "--tmpfs=/tmp", f"--env=DITTO_PORT={port}", "--env=DITTO_HOST=127.0.0.1", image,
    )  # fmt: skip
    try:
        await until_ready(port)
        yield name, port, time.monotonic() - begun
        user = _podman("exec", name, "id", "-u").strip()
        assert user == "10001", f"expected user 10001, runs as {user}"
        _podman("stop", "--time=30", name)
        code = _podman("inspect", "--format", "{{.State.ExitCode}}", name).strip()
        assert code in ("0", "143"), f"expected a stop by SIGTERM, ended with {code}"
    except BaseException:
        print(_podman("logs", name), file=sys.stderr)  # noqa: T201
        raise
    finally:
        _podman("rm", "--force", "--volumes", name)


async def with_compose(image: str, compose: str) -> float:
    """Bring the compose file up, speak, restart the server, and find the conversation again.
    Returns the seconds until it was ready."""
    port, database = _free_port(), _free_port()
    with tempfile.TemporaryDirectory() as folder, engine(Path(folder)) as address:
        environment = {
            **os.environ,
            "DOCKER_HOST": address,
            "DITTO_IMAGE": image,
            "POSTGRES_IMAGE": "localhost/postgres",
            "POSTGRES_PASSWORD": secrets.token_hex(8),
            "APP_PORT": str(port),
            "DB_PORT": str(database),
        }

        async def run(*arguments: str) -> None:
            files = ("-f", "docker-compose.yml", "-f", "deploy/compose/host-network.yml")
            process = await asyncio.create_subprocess_exec(
                compose, "--project-name=ditto-test", *files, *arguments, cwd=ROOT, env=environment
            )
            assert await process.wait() == 0, f"docker-compose {arguments[0]} failed"

        try:
            begun = time.monotonic()
            checks = asyncio.create_task(_check_health("ditto-test-db-1"))
            try:
                await run("up", "--detach", "--no-build", "--pull=never", "app")
            finally:
                checks.cancel()
            await until_ready(port)
            started_s = time.monotonic() - begun
            session, token = await talk(port)
            await run("restart", "--timeout=40", "app")
            await until_ready(port)
            await _find(port, session, token)
            return started_s
        finally:
            await run("down", "--volumes", "--timeout=40")


@contextmanager
def engine(folder: Path) -> Iterator[str]:
    """Serve Docker's API by podman; yields its address."""
    path = folder / "engine.sock"
    environment = {**os.environ, "CONTAINER_CGROUPS": "enabled"}
    command = [PODMAN, "system", "service", "--time=0", f"unix://{path}"]
    process = subprocess.Popen(command, env=environment, start_new_session=True)
    try:
        deadline = time.monotonic() + _DEADLINE_S
        while not _answers(path):
            assert process.poll() is None, "podman's service ended"
            assert time.monotonic() < deadline, "podman's service does not answer"
            time.sleep(0.1)
        yield f"unix://{path}"
    finally:
        os.killpg(process.pid, 15)
        process.wait()


async def until_ready(port: int) -> None:
    """Wait until the server takes turns."""
    async with asyncio.timeout(_DEADLINE_S), httpx.AsyncClient() as client:
        while True:
            try:
                if (await client.get(f"http://127.0.0.1:{port}/readyz")).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.05)


async def talk(port: int) -> tuple[str, str]:
    """Ask something and watch the whole answer. Returns the session and its token."""
    address = f"ws://127.0.0.1:{port}/ws"
    async with asyncio.timeout(_DEADLINE_S), connect(address, max_size=1 << 24) as line:
        await line.send(json.dumps({"type": "hello"}))
        ready = json.loads(await line.recv())
        await line.send(json.dumps({"type": "user.text", "text": "What can you do?", "id": "a1"}))
        media = 0
        async for message in line:
            if isinstance(message, bytes):
                media += len(message)
                continue
            event = json.loads(message)
            assert event["type"] != "error", event
            if event["type"] == "turn.finished":
                break
        assert media > 50_000, f"expected pictures, came {media} bytes"
    return ready["session"], ready["token"]


async def _find(port: int, session: str, token: str) -> None:
    async with connect(f"ws://127.0.0.1:{port}/ws", max_size=1 << 24) as line:
        await line.send(json.dumps({"type": "hello", "session": session, "token": token}))
        ready = json.loads(await line.recv())
    assert ready["resumed"], "the conversation was not found after the restart"
    assert "What can you do?" in json.dumps(ready["history"]), ready["history"]


async def _check_health(name: str) -> None:
    """Do what systemd does where there is one: run the health check of `name` every second."""
    while True:
        process = await asyncio.create_subprocess_exec(
            PODMAN, "healthcheck", "run", name,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env={**os.environ, "CONTAINER_CGROUPS": "enabled"},
        )  # fmt: skip
        await process.wait()
        await asyncio.sleep(1)


def _podman(*arguments: str) -> str:
    done = subprocess.run([PODMAN, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, f"podman {arguments[0]}: {done.stderr}"
    return done.stdout or done.stderr


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return path.exists() and probe.connect_ex(str(path)) == 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


if __name__ == "__main__":
    main()
