"""The JavaScript client as it is published: built, typed, and against a real server."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
from pathlib import Path

import av
import pytest

from ditto_avatar import __version__
from ditto_avatar.server.keys import new_key
from tests.deadlines import TEST_DEADLINE_S
from tests.server.conftest import packs, serving, small_presenters

__all__ = ["packs", "small_presenters"]

SDK = Path(__file__).parents[2] / "sdk" / "js"
TESTS = Path(__file__).with_name("client.test.js")
KEY, ENTRY = new_key("shop")


@pytest.fixture(scope="session")
def node() -> str:
    found = shutil.which("node")
    if found is None:
        pytest.skip("no Node: the JavaScript client is not tested")
    return found


@pytest.fixture(scope="session")
def built(node: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package as `npm pack` would pack it."""
    folder = tmp_path_factory.mktemp("sdk")
    for file in (SDK / "package.json", SDK / "README.md"):
        shutil.copy(file, folder)
    subprocess.run([node, SDK / "build.js", folder / "dist"], check=True, timeout=TEST_DEADLINE_S)
    return folder


async def test_the_client_talks_to_a_real_server(node: str, built: Path, tmp_path: Path) -> None:
    films = tmp_path / "films"
    films.mkdir()
    async with (
        serving(tmp_path / "open", turns_per_minute=1_000) as server,
        serving(tmp_path / "keyed", api_keys=ENTRY.entry, max_text=10) as keyed,
    ):
        environment = {
            **os.environ,
            "BUILT": (built / "dist").as_uri(),
            "SERVER": f"http://127.0.0.1:{server.port}",
            "KEYED": f"http://127.0.0.1:{keyed.port}",
            "KEY": KEY,
            "FILMS": str(films),
        }
        process = await asyncio.create_subprocess_exec(
            node, "--test", "--test-reporter=tap", TESTS,
            env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        try:
            # A program whose client is closed ends by itself; a line left open would keep it.
            async with asyncio.timeout(TEST_DEADLINE_S):
                output, _ = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    text = output.decode()
    assert process.returncode == 0, text
    assert f"# pass {TESTS.read_text().count(chr(10) + 'test(')}\n" in text
    for file in (films / "0.mp4", films / "1.mp4"):
        with av.open(str(file)) as film:
            assert {stream.type for stream in film.streams} == {"video", "audio"}
            assert sum(1 for _ in film.decode(video=0)) > 5


def test_the_package_names_files_that_it_has(built: Path) -> None:
    package = json.loads((built / "package.json").read_text())
    assert package["version"] == __version__
    for targets in package["exports"].values():
        for target in targets.values():
            assert (built / target).is_file(), target
    assert "dist" in package["files"]
    assert "dependencies" not in package


def test_the_types_agree_with_their_use(built: Path, tmp_path: Path) -> None:
    tsc = shutil.which("tsc")
    if tsc is None:
        pytest.skip("no TypeScript: the types of the JavaScript client are not tested")
    package = tmp_path / "node_modules" / "@ditto-avatar" / "client"
    package.parent.mkdir(parents=True)
    shutil.copytree(built, package)
    shutil.copy(TESTS.with_name("usage.mts"), tmp_path)
    options = "--noEmit --strict --target es2022 --module node16 --moduleResolution node16"
    command = [tsc, *options.split(), "usage.mts"]
    run = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=TEST_DEADLINE_S
    )
    assert run.returncode == 0, run.stdout
