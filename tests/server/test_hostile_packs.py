"""A folder of hostile packs stops neither the server nor the list of presenters."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.fakes.hostile_packs import HOSTILE_NAMES, write_hostile_packs
from tests.fakes.packs import make_pack
from tests.server.conftest import ServeWith


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Hostile packs, and a good one whose texts look like markup."""
    folder = tmp_path_factory.mktemp("hostile") / "packs"
    folder.mkdir()
    write_hostile_packs(folder)
    make_pack(folder / "oval", frames=4, about={"display_name": {"en": "[/red] Oval [bold"}})
    return folder


async def test_the_server_starts_and_serves_the_good_one(
    serve: ServeWith, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        async with serve(avatars_dir=folder) as server:
            names = {avatar["name"] for avatar in (await server.http.get("/api/avatars")).json()}
            metrics = (await server.http.get("/metrics")).text
    assert names == {"oval", "egg"}
    assert f"ditto_avatars_refused {float(len(HOSTILE_NAMES))}" in metrics
    lines = [r.getMessage() for r in caplog.records if "is left out" in r.getMessage()]
    assert sorted(line.split()[1] for line in lines) == HOSTILE_NAMES


async def test_a_presenter_that_cannot_be_drawn_does_not_stop_the_start(
    serve: ServeWith, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pack = make_pack(tmp_path / "packs" / "dot", frames=4)
    with np.load(pack / "avatar.npz") as file:
        arrays = dict(file)
    arrays["neutral_landmarks"] *= 0.01
    np.savez(pack / "avatar.npz", **arrays)
    with caplog.at_level(logging.ERROR):
        async with serve(avatars_dir=tmp_path / "packs", avatar="dot") as server:
            assert (await server.http.get("/readyz")).status_code == 200
    assert "avatar dot cannot be drawn: " in caplog.text


def test_the_command_lists_the_good_one_and_says_why_the_others_are_left_out(
    folder: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "ditto_avatar.cli", "avatars"]
    environment = {**os.environ, "DITTO_AVATARS_DIR": str(folder), "COLUMNS": "200"}
    ran = subprocess.run(
        command, capture_output=True, text=True, check=False, env=environment, cwd=tmp_path
    )
    assert ran.returncode == 0, ran.stderr
    assert "[/red] Oval [bold" in ran.stdout
    assert "left out" in ran.stdout
    for name in HOSTILE_NAMES:
        assert name in ran.stdout
    assert "Traceback" not in ran.stdout + ran.stderr
