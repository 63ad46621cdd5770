"""The command `voices`: listing, downloading from a hub on loopback, trying."""

from __future__ import annotations

import wave
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ditto_avatar.cli import app
from ditto_avatar.models.catalogue import RECEIPT, find_entry
from tests.fakes import model_hub
from tests.fakes.voices import write_piper

run = CliRunner().invoke


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DITTO_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("COLUMNS", "200")


def test_the_list_says_what_is_there_and_what_can_be_had(tmp_path: Path) -> None:
    write_piper(tmp_path / "data" / "voices", "en_US-mine-medium")
    folder = find_entry("whisper-base").folder(tmp_path / "data")
    folder.mkdir(parents=True)
    (folder / RECEIPT).write_text("{}")
    result = run(app, ["voices"])
    assert result.exit_code == 0, result.output
    rows = {line.split()[1]: line for line in result.output.splitlines() if "│" in line}
    assert "speaking" in rows["en_US-kristin-medium"]
    assert "installed" not in rows["en_US-kristin-medium"]
    assert "OpenRAIL-M" in rows["supertonic"]
    assert "installed" in rows["whisper-base"]
    assert "your own voices: en_US-mine-medium" in result.output


def test_a_voice_is_fetched_from_the_mirror(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = find_entry("whisper-base")
    files = {file.path: f"content of {file.path}".encode() for file in entry.files}
    with model_hub.serve(entry.repository, files) as hub:
        monkeypatch.setenv("DITTO_CHECKPOINTS_ENDPOINT", hub.address)
        result = run(app, ["voices", "download", "whisper-base"])
    # The catalogue knows the real file: a mirror cannot give another one.
    assert result.exit_code == 1
    assert "another file than the known one" in " ".join(result.output.split())
    assert not entry.is_installed(tmp_path / "data")


def test_a_licence_that_asks_is_shown_and_not_accepted_for_anybody(tmp_path: Path) -> None:
    result = run(app, ["voices", "download", "supertonic"])
    said = " ".join(result.output.split())
    assert result.exit_code == 1
    assert "https://huggingface.co/Supertone/supertonic-3/blob/main/LICENSE" in said
    assert "It forbids the uses that its appendix lists" in said
    assert "add --accept-license" in said
    assert not (tmp_path / "data").exists()


def test_trying_writes_what_a_voice_says(tmp_path: Path) -> None:
    write_piper(tmp_path / "data" / "voices", "en_US-mine-medium")
    result = run(app, ["voices", "try", "en_US-mine-medium", "Hello there.", "--out", "a.wav"])
    assert result.exit_code == 0, result.output
    assert "a second of sound takes" in " ".join(result.output.split())
    with wave.open("a.wav") as file:
        assert file.getframerate() == 16_000
        assert file.getnframes() > 8_000


def test_a_voice_that_is_not_there_is_named() -> None:
    result = run(app, ["voices", "try", "nobody", "Hello."])
    assert result.exit_code == 1
    assert "'nobody' is not installed" in " ".join(result.output.split())
