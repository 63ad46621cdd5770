from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest

from ditto_avatar.clock import AgeClock
from ditto_avatar.errors import NotFound, StorageFull
from ditto_avatar.pipeline.clips import ClipFolder
from tests.media.test_clip import stream

SILENCE = np.zeros(7680, np.float32)


def folder(path: Path, *, max_age_s: float = 1000, max_bytes: int = 10**9) -> ClipFolder:
    return ClipFolder(path / "clips", max_age_s=max_age_s, max_bytes=max_bytes)


def test_a_stored_clip_is_found_under_both_its_names(tmp_path: Path) -> None:
    clips = folder(tmp_path)
    clip = clips.store(stream(), SILENCE)
    assert clips.find("video", f"{clip}.mp4").stat().st_size > 0
    assert clips.find("audio", f"{clip}.wav").stat().st_size == 44 + 2 * 7680


@pytest.mark.parametrize(
    "name",
    [
        "../../etc/passwd",
        "..%2f..%2fetc%2fpasswd",
        "AAAAAAAAAAAAAAAAAAAAAA.mp4",
        "short.mp4",
        ".mp4",
        "",
        "x" * 5000,
        "AAAAAAAAAAAAAAAAAAAAAA.wav",
        "\0" * 22 + ".mp4",
    ],
)
def test_anything_but_an_existing_clips_name_is_not_found(tmp_path: Path, name: str) -> None:
    with pytest.raises(NotFound):
        folder(tmp_path).find("video", name)


def test_names_cannot_be_guessed_from_one_another(tmp_path: Path) -> None:
    clips = folder(tmp_path)
    names = {clips.store(stream(), SILENCE) for _ in range(5)}
    assert len(names) == 5
    assert all(len(name) == 22 for name in names)


def test_old_clips_go(tmp_path: Path) -> None:
    clips = folder(tmp_path, max_age_s=60)
    old, new = clips.store(stream(), SILENCE), clips.store(stream(), SILENCE)
    for path in (tmp_path / "clips").glob(f"{old}.*"):
        os.utime(path, (time.time() - 100, time.time() - 100))
    assert clips.sweep() == 2
    assert clips.find("video", f"{new}.mp4")
    with pytest.raises(NotFound):
        clips.find("video", f"{old}.mp4")


def test_beyond_the_total_size_the_oldest_go_first(tmp_path: Path) -> None:
    clips = folder(tmp_path)
    made = [clips.store(stream(), SILENCE) for _ in range(3)]
    for age, clip in zip((30, 20, 10), made, strict=True):
        for path in (tmp_path / "clips").glob(f"{clip}.*"):
            os.utime(path, (time.time() - age, time.time() - age))
    size = sum(p.stat().st_size for p in (tmp_path / "clips").glob(f"{made[0]}.*"))
    assert folder(tmp_path, max_bytes=2 * size).sweep() == 2
    left = {path.stem for path in (tmp_path / "clips").iterdir()}
    assert left == {made[1], made[2]}


@pytest.mark.parametrize("jump_days", [2, -2])
def test_a_clock_that_is_set_anew_removes_nothing_that_is_new(
    tmp_path: Path, jump_days: int
) -> None:
    began, day_s = time.time(), 86_400.0
    wall, passed = began, 0.0
    clips = ClipFolder(
        tmp_path / "clips",
        max_age_s=day_s,
        max_bytes=10**9,
        clock=AgeClock(lambda: wall, lambda: passed),
    )
    before = clips.store(stream(), SILENCE)
    wall += jump_days * day_s
    after = clips.store(stream(), SILENCE)
    for path in (tmp_path / "clips").glob(f"{after}.*"):
        os.utime(path, (wall, wall))  # as the system does when its clock was set
    assert clips.sweep() == 0
    passed += 3 * day_s
    wall += 3 * day_s
    assert clips.sweep() >= 2
    with pytest.raises(NotFound):
        clips.find("video", f"{before if jump_days > 0 else after}.mp4")


def test_a_file_that_cannot_be_removed_does_not_keep_the_others(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clips = folder(tmp_path, max_age_s=60)
    old = clips.store(stream(), SILENCE)
    (tmp_path / "clips" / "a.mp4").mkdir()
    for path in (tmp_path / "clips").iterdir():
        os.utime(path, (time.time() - 100, time.time() - 100))
    assert clips.sweep() == 2
    assert "could not be removed" in caplog.text
    with pytest.raises(NotFound):
        clips.find("video", f"{old}.mp4")


def test_what_a_killed_process_left_is_cleared(tmp_path: Path) -> None:
    clips = folder(tmp_path)
    clips.store(stream(), SILENCE)
    (tmp_path / "clips" / ".half.mp4.part").write_bytes(b"half")
    clips.clear_unfinished()
    assert not list((tmp_path / "clips").glob(".*"))


def test_a_clip_that_cannot_be_stored_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "clips").write_text("a file where the folder should be")
    with pytest.raises(StorageFull):
        folder(tmp_path).store(stream(), SILENCE)
    assert (tmp_path / "clips").is_file()
