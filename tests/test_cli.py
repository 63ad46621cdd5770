from __future__ import annotations

import subprocess
import sys
import wave
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from ditto_avatar.cli import app
from ditto_avatar.face.pack import load_avatar
from tests.fakes.films import write_film
from tests.fakes.packs import make_pack

run = CliRunner().invoke


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    make_pack(tmp_path / "packs" / "oval")
    monkeypatch.setenv("DITTO_AVATARS_DIR", str(tmp_path / "packs"))
    monkeypatch.setenv("DITTO_SPEECH", "espeak")
    return tmp_path


def record(path: Path, seconds: float) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(44_100)
        tone = 8000 * np.sin(np.arange(int(44_100 * seconds)) * 0.03)
        file.writeframes(np.repeat(tone.astype("<i2"), 2).tobytes())
    return path


def frames_in(path: Path) -> int:
    with av.open(str(path), "r") as file:
        return sum(1 for _ in file.decode(video=0))


def test_render_makes_a_film_from_text_in_both_languages(tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    result = run(
        app, ["render", "--avatar", "oval", "--text", "Hello. 안녕하세요.", "--out", str(out)]
    )
    assert result.exit_code == 0, result.output
    assert frames_in(out) > 25


def test_render_takes_a_pack_by_its_path_and_a_sound_file(tmp_path: Path) -> None:
    sound = record(tmp_path / "speech.wav", 1.0)
    pack = make_pack(tmp_path / "elsewhere" / "egg")
    out = tmp_path / "out.mp4"
    result = run(app, ["render", "--avatar", str(pack), "--audio", str(sound), "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert frames_in(out) == 25


def test_what_is_logged_for_a_collector_stays_on_one_line(own_folder: Path) -> None:
    name = "a" * 120
    (own_folder / "packs" / name).mkdir()
    (own_folder / "packs" / name / "about.json").write_text("{}")
    command = [sys.executable, "-m", "ditto_avatar.cli", "avatars"]
    logged = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    [line] = logged.splitlines()
    assert f"avatar {name} is left out: " in line


def test_a_folder_of_avatars_that_is_not_there_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DITTO_AVATARS_DIR", "/nowhere")
    result = run(app, ["avatars"])
    assert result.exit_code == 1
    assert "DITTO_AVATARS_DIR: expected a folder" in result.output


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "Give --script, or else --text, --audio or both"),
        (["--text", "Hi", "--audio", "x.wav"], "x.wav"),
        (["--text", "Hi", "--motion-in", "missing.csv"], "missing.csv"),
        (["--text", "Hi", "--engine", "ditto"], "DITTO_CHECKPOINTS"),
        (["--text", "Hi", "--engine", "clay"], "no face engine 'clay'"),
        (["--text", "Hi", "--avatar", "nobody"], "There is no avatar named 'nobody'"),
        (["--text", "   "], "nothing to say"),
        (["--text", "Hi", "--background", "green"], "has no cutout.mp4"),
        (["--audio", "missing.wav"], "missing.wav"),
        (["--audio", "packs/oval/about.json"], "about.json"),
    ],
)
def test_bad_input_is_one_sentence_and_no_file(
    tmp_path: Path, arguments: list[str], sentence: str
) -> None:
    out = tmp_path / "out.mp4"
    result = run(app, ["render", "--avatar", "oval", "--out", str(out), *arguments])
    assert result.exit_code == 1
    assert sentence in " ".join(result.output.split())
    assert "Traceback" not in result.output
    assert not out.exists()


def test_avatars_lists_the_presenters() -> None:
    result = run(app, ["avatars"])
    assert result.exit_code == 0
    assert "oval" in result.output
    assert "CC0-1.0" in result.output


def test_the_motion_of_a_film_can_be_written_and_played_again(tmp_path: Path) -> None:
    motion, first, second = (tmp_path / name for name in ("m.csv", "1.mp4", "2.mp4"))
    spoken = ["render", "--avatar", "oval", "--text", "Map, baby, moon."]
    result = run(app, [*spoken, "--motion", str(motion), "--out", str(first)])
    assert result.exit_code == 0, result.output
    rows = motion.read_text(encoding="utf-8").splitlines()
    assert "JawOpen" in rows[0]
    assert len(rows) - 1 == frames_in(first)
    result = run(app, [*spoken, "--motion-in", str(motion), "--out", str(second)])
    assert result.exit_code == 0, result.output
    assert frames_in(second) == frames_in(first)


def test_a_recording_with_its_text_is_drawn(tmp_path: Path) -> None:
    sound = record(tmp_path / "speech.wav", 1.0)
    out = tmp_path / "out.mp4"
    arguments = ["--avatar", "oval", "--audio", str(sound), "--text", "Oh!", "--out", str(out)]
    result = run(app, ["render", *arguments])
    assert result.exit_code == 0, result.output
    assert frames_in(out) == 25


def test_an_unknown_presenter_stops_the_server_with_one_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DITTO_AVATAR", "nobody")
    result = run(app, ["serve", "--port", "0"])
    assert result.exit_code == 1
    assert "There is no avatar named 'nobody'" in " ".join(result.output.split())
    assert "Traceback" not in result.output


@pytest.mark.parametrize("command", ["download", "verify"])
def test_the_commands_about_weights_are_there(command: str) -> None:
    assert run(app, ["checkpoints", command, "--help"]).exit_code == 0


def test_weights_that_are_not_there_are_named_file_by_file(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    result = run(app, ["checkpoints", "verify", str(tmp_path / "none")])
    assert result.exit_code == 1
    assert "missing" in result.output
    assert "Traceback" not in result.output


def test_a_face_becomes_an_avatar_without_checkpoints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    film = write_film(tmp_path / "me.mp4")
    result = run(app, ["register", str(film), "avatars/me", "--license", "own", "--consent", "me"])
    assert result.exit_code == 0, result.output
    assert "DITTO_AVATARS_DIR=avatars" in result.output
    assert load_avatar(tmp_path / "avatars" / "me").about.consent == "me"


def test_a_picture_without_a_face_is_told_so(tmp_path: Path) -> None:
    path = tmp_path / "grey.png"
    cv2.imwrite(str(path), np.full((300, 300, 3), 90, np.uint8))
    result = run(app, ["register", str(path), "--check"])
    assert result.exit_code == 1
    assert "No face was found" in result.output


def test_a_name_that_no_pack_may_have_is_refused_before_the_weights_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DITTO_CHECKPOINTS", str(tmp_path / "no-weights"))
    (tmp_path / "me.jpg").touch()
    arguments = [str(tmp_path / "me.jpg"), "avatars/Me", "--license", "own", "--consent", "mine"]
    result = run(app, ["register", *arguments])
    assert result.exit_code == 1
    assert "'Me' cannot be the name of an avatar" in result.output


def test_a_rendered_film_is_signed_and_verify_reads_it(tmp_path: Path) -> None:
    pytest.importorskip("c2pa")
    out = tmp_path / "out.mp4"
    made = run(app, ["render", "--avatar", "oval", "--text", "Hello.", "--out", str(out)])
    assert made.exit_code == 0, made.output
    read = run(app, ["verify", str(out)])
    assert read.exit_code == 0, read.output
    for said in ("oval", "puppet", "trainedAlgorithmicMedia", "known by name only"):
        assert said in read.output
    assert frames_in(out) > 5
    data = bytearray(out.read_bytes())
    data[-100] ^= 1
    out.write_bytes(data)
    refused = run(app, ["verify", str(out)])
    assert refused.exit_code == 1
    assert "not the film that was signed" in " ".join(refused.output.split())


def test_render_speaks_captions_from_a_file(tmp_path: Path) -> None:
    out, script = tmp_path / "out.mp4", tmp_path / "talk.srt"
    script.write_text("1\n00:00:02,000 --> 00:00:03,000\n[happy] Good morning.\n")
    words = ["render", "--avatar", "oval", "--out", str(out), "--script", str(script)]
    result = run(app, words)
    assert result.exit_code == 0, result.output
    assert frames_in(out) > 60
    both = run(app, [*words, "--text", "Hello."])
    assert both.exit_code == 1
    assert "--script" in both.output
