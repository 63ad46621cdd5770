"""The programs that check deployment files; `scripts/deploy/tools` fetches them."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ditto_avatar.settings import Settings

ROOT = Path(__file__).parents[2]
FETCHED = Path(sys.prefix) / "deploy-tools"


def program(name: str) -> str:
    """Return the path of a program; skips the test where it could not be had."""
    found = shutil.which(name, path=str(FETCHED)) or shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is missing: scripts/deploy/tools {FETCHED}")
    return found


def run(name: str, *arguments: str, **environment: str) -> str:
    """Run a program in the repository's root, with that environment only. Fails with what it
    said."""
    done = subprocess.run(
        [program(name), *arguments], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def variables() -> set[str]:
    """Return the names of all variables that the settings read."""
    names = {name.upper() for name in Settings.model_fields}
    own = {"OPENAI_API_KEY", "TTS_API_KEY"}
    assert own <= names
    return {f"DITTO_{name}" for name in names - own} | own


def unknown_variables(text: str) -> set[str]:
    """Return what in `text` looks like a variable of ours and is no setting."""
    return set(re.findall(r"\bDITTO_[A-Z0-9_]+\b", text)) - variables()
