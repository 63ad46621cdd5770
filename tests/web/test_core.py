"""The tests of the page's pure modules, written in JavaScript and run by Node."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.deadlines import TEST_DEADLINE_S

FILES = sorted(Path(__file__).parent.glob("*.test.js"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_core(file: Path) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("no Node: the page's pure modules are not tested")
    command = [node, "--test", "--test-reporter=tap", str(file)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=TEST_DEADLINE_S)
    assert run.returncode == 0, run.stdout + run.stderr
    # A file that registers no test would pass as well.
    assert f"# tests {file.read_text().count(chr(10) + 'test(')}\n" in run.stdout
