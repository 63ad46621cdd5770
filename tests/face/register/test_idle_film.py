from __future__ import annotations

from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from ditto_avatar.face.register.idle_film import IDLE_GROUP, write_idle
from ditto_avatar.types import ByteArray, FloatArray

WIDTH, HEIGHT = 192, 240


def grainy(count: int, waves: int = 1) -> list[ByteArray]:
    """I420 pictures of a surface with the grain of a photo, which sways by less than a pixel and
    comes back to where it was."""
    random = np.random.default_rng(5)
    size = (HEIGHT + 8, WIDTH + 8)
    light = 120 + 6 * random.normal(size=size) + 40 * np.sin(np.arange(size[1]) / 30)
    pictures = []
    for turn in np.arange(count) / count * 2 * np.pi * waves:
        matrix = np.array([[1, 0, -4 + np.sin(turn)], [0, 1, -4 + 0.6 * np.cos(turn)]])
        moved = cv2.warpAffine(light.astype(np.float32), matrix, (WIDTH, HEIGHT))
        picture = np.full((HEIGHT * 3 // 2, WIDTH), 128, np.uint8)
        picture[:HEIGHT] = np.clip(moved + 0.5, 0, 255)
        pictures.append(picture)
    return pictures


def read(path: Path) -> tuple[FloatArray, list[int]]:
    """The light of the pictures (n, h, w), and which of them are keyframes."""
    with av.open(str(path)) as film:
        frames = list(film.decode(video=0))
    keys = [index for index, frame in enumerate(frames) if frame.key_frame]
    assert [round((frame.time or 0) * 25) for frame in frames] == list(range(len(frames)))
    light = [frame.to_ndarray(format="yuv420p")[:HEIGHT] for frame in frames]
    return np.stack(light).astype(np.float32), keys


def test_nothing_is_seen_at_a_keyframe(tmp_path: Path) -> None:
    write_idle(tmp_path / "idle.mp4", iter(grainy(100)))
    light, keys = read(tmp_path / "idle.mp4")
    assert keys == [0, 25, 50, 75]
    # Each step to a picture, the one to the first from the last.
    steps = np.abs(light - np.roll(light, 1, axis=0)).mean(axis=(1, 2))
    others = np.delete(steps, keys)
    # Keyframes that are drawn anew differ by three steps and more, these by less than one.
    assert steps[keys[1:]].max() < 0.9 * np.median(others)
    assert steps[0] < 2.2 * np.median(others)


@pytest.mark.parametrize("count", [1, 7, IDLE_GROUP, IDLE_GROUP + 1, 2 * IDLE_GROUP + 3])
def test_every_picture_is_there_once(tmp_path: Path, count: int) -> None:
    pictures = grainy(count)
    write_idle(tmp_path / "idle.mp4", iter(pictures))
    light, keys = read(tmp_path / "idle.mp4")
    assert len(light) == count
    assert keys == list(range(0, count, IDLE_GROUP))
    away = [
        np.abs(seen - meant[:HEIGHT]).mean() for seen, meant in zip(light, pictures, strict=True)
    ]
    assert max(away) < 3
