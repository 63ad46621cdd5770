"""The idle loop's pictures out of a file, in groups."""

from __future__ import annotations

import gc
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from ditto_avatar.errors import InvalidAvatar
from ditto_avatar.face.idle import IdleFrames, IdleMemory
from ditto_avatar.types import ByteArray

WIDTH, HEIGHT, FRAMES = 64, 48, 25


def film(
    path: Path,
    *,
    group: int,
    b_frames: int = 0,
    frames: int = FRAMES,
    memory: IdleMemory | None = None,
) -> IdleFrames:
    """A loop that gets brighter by 8 with every frame, a keyframe every `group` frames."""
    with av.open(str(path), "w") as container:
        options = {"g": str(group), "keyint_min": str(group), "bf": str(b_frames), "crf": "4"}
        stream = container.add_stream("libx264", rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for index in range(frames):
            picture = np.full((HEIGHT * 3 // 2, WIDTH), 128, np.uint8)
            picture[:HEIGHT] = 16 + 8 * index
            frame = av.VideoFrame.from_ndarray(picture, format="yuv420p")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return IdleFrames(path, FRAMES, WIDTH, HEIGHT, memory)


def order(pictures: list[ByteArray]) -> list[int]:
    """Which frames of the film these are, by their brightness."""
    return [round((float(picture[:HEIGHT].mean()) - 16) / 8) for picture in pictures]


@pytest.mark.parametrize("group", [1, 7, 250])
@pytest.mark.parametrize("b_frames", [0, 2])
def test_every_picture_is_the_one_that_was_filmed(
    tmp_path: Path, group: int, b_frames: int
) -> None:
    idle = film(tmp_path / "idle.mp4", group=group, b_frames=b_frames)
    assert len(idle) == FRAMES
    assert order(list(idle)) == list(range(FRAMES))
    assert order([idle[index] for index in (24, 3, 13, 6, 7, 0)]) == [24, 3, 13, 6, 7, 0]


def test_a_picture_is_read_only_and_has_the_planes_of_i420(tmp_path: Path) -> None:
    picture = film(tmp_path / "idle.mp4", group=7)[9]
    assert picture.shape == (HEIGHT * 3 // 2, WIDTH)
    assert not picture.flags.writeable


def test_who_keeps_a_picture_shares_its_group_with_everybody(tmp_path: Path) -> None:
    idle = film(tmp_path / "idle.mp4", group=7)
    kept = idle[7]
    assert np.shares_memory(idle[7], kept)
    assert idle[13].base is kept.base
    assert idle[14].base is not kept.base


GROUP_BYTES = 7 * HEIGHT * 3 // 2 * WIDTH


def test_what_was_used_last_is_kept_and_the_rest_forgotten(tmp_path: Path) -> None:
    memory = IdleMemory(2 * GROUP_BYTES)
    path = tmp_path / "idle.mp4"
    idle = film(path, group=7, memory=memory)
    for index in (0, 7, 0, 14):
        idle[index]
    gc.collect()
    path.write_bytes(b"no film any more")
    assert order([idle[0], idle[20]]) == [0, 20]
    with pytest.raises(InvalidAvatar, match=r"idle\.mp4: expected H\.264, came"):
        idle[7]


def test_avatars_share_the_memory(tmp_path: Path) -> None:
    memory = IdleMemory(2 * GROUP_BYTES)
    films = [film(tmp_path / f"{name}.mp4", group=7, memory=memory) for name in ("a", "b", "c")]
    for idle in films:
        idle[0]
    gc.collect()
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.mp4").write_bytes(b"no film any more")
    assert order([films[1][6], films[2][6]]) == [6, 6]
    with pytest.raises(InvalidAvatar, match=r"a\.mp4: expected H\.264, came"):
        films[0][6]


def test_a_film_that_is_too_short_says_so(tmp_path: Path) -> None:
    idle = film(tmp_path / "idle.mp4", group=7, frames=FRAMES - 1)
    with pytest.raises(InvalidAvatar, match="expected 25 frames that can be decoded, came 24"):
        idle[0]


@pytest.mark.parametrize("index", [-1, FRAMES])
def test_there_is_nothing_beyond_the_loop(tmp_path: Path, index: int) -> None:
    with pytest.raises(IndexError, match="There are 25 idle frames"):
        film(tmp_path / "idle.mp4", group=7)[index]


def test_keyframes_too_far_apart_are_refused_before_anything_is_decoded(tmp_path: Path) -> None:
    """Pictures between two keyframes are decoded at once: their memory is bounded."""
    with av.open(str(tmp_path / "idle.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"g": "250"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for index in range(30):
            frame = av.VideoFrame(WIDTH, HEIGHT, "yuv420p")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    # The size that a loop of the largest pictures would have.
    idle = IdleFrames(tmp_path / "idle.mp4", 30, 2160, 2160)
    with pytest.raises(InvalidAvatar, match="a keyframe every 28 frames or sooner, came 30"):
        idle[0]
