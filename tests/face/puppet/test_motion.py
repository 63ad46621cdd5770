"""Motion tracks and their files."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from ditto_avatar.errors import InvalidInput
from ditto_avatar.face.puppet.arkit import INDEX, SHAPES
from ditto_avatar.face.puppet.motion import MotionTrack, read_motion_csv, write_motion_csv


def track(count: int = 60) -> MotionTrack:
    time = np.linspace(0, 4, count, dtype=np.float32)
    weights = np.zeros((count, 52), np.float32)
    weights[:, INDEX["jawOpen"]] = 0.5 + 0.5 * np.sin(time)
    weights[:, INDEX["eyeLookOutLeft"]] = 0.3
    head = np.stack([3 * np.sin(time), 2 * time, -time], axis=1).astype(np.float32)
    return MotionTrack(weights, head)


def edit(path: Path, rows: list[list[str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)


def rows_of(path: Path) -> list[list[str]]:
    return list(csv.reader(path.read_text(encoding="utf-8").splitlines()))


def test_the_columns_are_those_of_live_link_face(tmp_path: Path) -> None:
    write_motion_csv(track(), tmp_path / "out.csv")
    head = rows_of(tmp_path / "out.csv")[0]
    assert head[:4] == ["Timecode", "BlendshapeCount", "EyeBlinkLeft", "EyeLookDownLeft"]
    assert head[2 + 17] == "JawOpen"
    assert head[2 + 51] == "TongueOut"
    assert head[54:57] == ["HeadYaw", "HeadPitch", "HeadRoll"]
    assert head[57:] == [
        *("LeftEyeYaw", "LeftEyePitch", "LeftEyeRoll"),
        *("RightEyeYaw", "RightEyePitch", "RightEyeRoll"),
    ]
    assert len(SHAPES) == 52
    assert rows_of(tmp_path / "out.csv")[27][0] == "00:00:01:01.000"


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    write_motion_csv(track(), tmp_path / "out.csv")
    again = read_motion_csv(tmp_path / "out.csv")
    assert np.allclose(again.weights, track().weights, atol=1e-5)
    assert np.allclose(again.head, track().head, atol=1e-3)


def test_a_recording_at_60_frames_a_second_is_brought_to_25(tmp_path: Path) -> None:
    path = tmp_path / "fast.csv"
    write_motion_csv(track(180), path)
    rows = rows_of(path)
    for index, row in enumerate(rows[1:]):
        row[0] = f"10:20:{30 + index // 60}:{index % 60:02}.123"
    edit(path, rows)
    again = read_motion_csv(path)
    assert len(again) == 75
    assert np.allclose(again.weights[25], track(180).weights[60], atol=1e-3)


def test_the_order_of_the_columns_does_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    write_motion_csv(track(), path)
    edit(path, [row[::-1] for row in rows_of(path)])
    assert np.allclose(read_motion_csv(path).weights, track().weights, atol=1e-5)


def test_missing_columns_are_named(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    write_motion_csv(track(), path)
    edit(path, [row[:19] + row[21:] for row in rows_of(path)])
    with pytest.raises(InvalidInput, match=r"out\.csv: expected the 52 ARKit columns.*jawOpen"):
        read_motion_csv(path)


@pytest.mark.parametrize("cell", ["", "much", "nan", "inf"])
def test_a_wrong_number_is_named_with_its_line(tmp_path: Path, cell: str) -> None:
    path = tmp_path / "out.csv"
    write_motion_csv(track(), path)
    rows = rows_of(path)
    rows[3][20] = cell
    edit(path, rows)
    with pytest.raises(InvalidInput, match="line 4: expected"):
        read_motion_csv(path)


@pytest.mark.parametrize("content", [b"", b"Timecode\n", b"\xff\xfe\x00", b"hello, world\n1, 2"])
def test_a_file_that_is_no_recording_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "none.csv"
    path.write_bytes(content)
    with pytest.raises(InvalidInput, match=r"none\.csv: expected"):
        read_motion_csv(path)


def test_a_recording_without_frames_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    write_motion_csv(track(), path)
    edit(path, rows_of(path)[:1])
    with pytest.raises(InvalidInput, match="came 0"):
        read_motion_csv(path)


def test_tracks_of_the_wrong_shape_are_refused() -> None:
    with pytest.raises(InvalidInput, match=r"\(n, 52\)"):
        MotionTrack(np.zeros((3, 51), np.float32), np.zeros((3, 3), np.float32))
