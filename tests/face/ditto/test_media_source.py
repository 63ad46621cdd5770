"""Photos and videos as people have them: turned, grey, transparent, huge, broken."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from ditto_avatar.errors import InvalidImage
from ditto_avatar.face.ditto.media_source import load_footage
from ditto_avatar.types import ByteArray


def gradient(width: int = 160, height: int = 240) -> ByteArray:
    """Red grows downwards, green to the right: shows how a picture was turned."""
    rows, columns = np.mgrid[0:height, 0:width]
    red, green = 255 * rows / height, 255 * columns / width
    return np.stack([red, green, np.full_like(red, 40)], axis=-1).astype(np.uint8)


def save(path: Path, picture: ByteArray) -> Path:
    """RGB, RGBA or grey, in the format of the suffix."""
    codes = {3: cv2.COLOR_RGB2BGR, 4: cv2.COLOR_RGBA2BGRA}
    turned = picture if picture.ndim == 2 else cv2.cvtColor(picture, codes[picture.shape[2]])
    assert cv2.imwrite(str(path), turned)
    return path


def save_video(path: Path, pictures: Sequence[ByteArray], rate: int) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for index, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def turn_in_metadata(path: Path) -> None:
    """Ask players to show the video a quarter turn clockwise, as phones held upright do."""
    data = bytearray(path.read_bytes())
    matrix = data.index(b"tkhd") + 44
    one, two = 1 << 16, 1 << 30
    data[matrix : matrix + 36] = struct.pack(">9i", 0, one, 0, -one, 0, 0, 0, 0, two)
    path.write_bytes(data)


def close(found: ByteArray, expected: ByteArray, limit: float = 4) -> bool:
    return float(np.abs(found.astype(int) - expected.astype(int)).mean()) < limit


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp"])
def test_a_photo_is_one_frame(tmp_path: Path, suffix: str) -> None:
    footage = load_footage(save(tmp_path / f"photo.{suffix}", gradient()), 512)
    assert footage.still
    assert len(footage.frames) == 1
    assert close(footage.frames[0], gradient())


def test_a_large_photo_is_made_smaller_with_even_sides(tmp_path: Path) -> None:
    footage = load_footage(save(tmp_path / "photo.png", gradient(1501, 1000)), 512)
    assert footage.frames[0].shape == (340, 512, 3)


def test_a_grey_photo_becomes_rgb(tmp_path: Path) -> None:
    grey = gradient()[..., 0]
    (frame,) = load_footage(save(tmp_path / "grey.png", grey), 512).frames
    assert close(frame, np.repeat(grey[..., None], 3, axis=2), 1)


def test_a_deep_photo_becomes_eight_bits(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "deep.png"), gradient()[..., ::-1].astype(np.uint16) * 257)
    assert close(load_footage(tmp_path / "deep.png", 512).frames[0], gradient(), 1)


def test_what_is_transparent_becomes_grey(tmp_path: Path) -> None:
    alpha = np.full((240, 160, 1), 255, np.uint8)
    alpha[:120] = 0
    picture = np.concatenate([gradient(), alpha], axis=2)
    (frame,) = load_footage(save(tmp_path / "cut_out.png", picture), 512).frames
    assert (frame[:120] == 127).all()
    assert close(frame[120:], gradient()[120:], 1)


def test_a_phone_video_is_upright_and_has_25_frames_a_second(tmp_path: Path) -> None:
    shown = [gradient() // 2 + np.uint8(index // 2) for index in range(240)]
    path = save_video(tmp_path / "phone.mp4", [np.rot90(picture) for picture in shown], 60)
    turn_in_metadata(path)
    footage = load_footage(path, 512)
    assert not footage.still
    assert len(footage.frames) == 100
    for index in (0, 10, 50, 99):
        assert close(footage.frames[index], shown[index * 60 // 25]), index


def test_no_more_frames_are_read_than_asked_for(tmp_path: Path) -> None:
    path = save_video(tmp_path / "long.mp4", [gradient()] * 50, 25)
    assert len(load_footage(path, 512, max_frames=3).frames) == 3


def test_a_slow_video_repeats_its_frames(tmp_path: Path) -> None:
    path = save_video(tmp_path / "slow.mp4", [gradient()] * 10, 10)
    assert len(load_footage(path, 512).frames) in range(23, 26)


def test_a_hundred_megapixels_are_refused_without_reading_them(tmp_path: Path) -> None:
    save(tmp_path / "huge.png", np.zeros((10_000, 10_000), np.uint8))
    with pytest.raises(InvalidImage, match=r"huge\.png has 100 megapixels; use one of at most 50"):
        load_footage(tmp_path / "huge.png", 512)


def test_a_tiny_picture_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidImage, match="40 by 30 pixels"):
        load_footage(save(tmp_path / "tiny.png", gradient(40, 30)), 512)


@pytest.mark.parametrize("kept", [0.0, 0.3, 0.9])
def test_a_video_cut_short_is_refused(tmp_path: Path, kept: float) -> None:
    data = save_video(tmp_path / "whole.mp4", [gradient()] * 30, 25).read_bytes()
    (tmp_path / "cut.mp4").write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(InvalidImage, match=r"cut\.mp4 cannot be read"):
        load_footage(tmp_path / "cut.mp4", 512)


def test_a_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "me.jpg").write_text("this is not a picture")
    with pytest.raises(InvalidImage, match=r"me\.jpg cannot be read"):
        load_footage(tmp_path / "me.jpg", 512)


def test_a_recording_without_pictures_is_refused(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "sound.wav"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=16_000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1600), np.int16), "s16", "mono")
        frame.rate = 16_000
        container.mux(stream.encode(frame))
    with pytest.raises(InvalidImage, match="holds no picture"):
        load_footage(tmp_path / "sound.wav", 512)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidImage, match=r"nobody\.png does not exist"):
        load_footage(tmp_path / "nobody.png", 512)
