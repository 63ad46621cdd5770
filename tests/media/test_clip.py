from __future__ import annotations

import wave
from pathlib import Path

import av
import numpy as np
import pytest

from ditto_avatar.errors import StorageFull
from ditto_avatar.media.clip import pcm16, write_mp4, write_wav
from ditto_avatar.media.encode import FragmentEncoder
from ditto_avatar.types import SAMPLES_PER_FRAME


def stream(frames: int = 12) -> bytes:
    encoder = FragmentEncoder(64, 64)
    made = []
    for _ in range(frames):
        made += encoder.encode(
            np.full((96, 64), 90, np.uint8), np.zeros(SAMPLES_PER_FRAME, np.float32)
        )
    return b"".join(fragment.data for fragment in made + encoder.finish())


def test_the_index_of_a_clip_comes_first_and_every_frame_is_there(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "clip.mp4"
    write_mp4(stream(), path)
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    assert b"moof" not in data
    with av.open(str(path)) as file:
        assert [frame.time for frame in file.decode(video=0)] == pytest.approx(
            [i / 25 for i in range(12)]
        )
        assert file.streams.audio


def test_sound_is_stored_as_16_bit_at_16_khz(tmp_path: Path) -> None:
    path = tmp_path / "clip.wav"
    write_wav(np.array([0.0, 0.5, -1.0, 2.0], np.float32), path)
    with wave.open(str(path)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16_000, 1, 2)
        assert np.frombuffer(file.readframes(4), "<i2").tolist() == [0, 16383, -32767, 32767]


def test_linear16_clips_what_is_too_loud() -> None:
    assert pcm16(np.array([-3.0], np.float32)) == np.array([-32767], "<i2").tobytes()


def test_a_full_disk_is_one_clear_error_and_leaves_nothing(tmp_path: Path) -> None:
    # A file in the folder's place fails as a full or read-only disk does: with an OSError.
    blocked = tmp_path / "clips"
    blocked.write_text("not a folder")
    with pytest.raises(StorageFull, match="could not be stored"):
        write_wav(np.zeros(4, np.float32), blocked / "clip.wav")
    assert [path.name for path in tmp_path.iterdir()] == ["clips"]


def test_what_was_begun_is_removed_when_writing_fails(tmp_path: Path) -> None:
    target = tmp_path / "clip.mp4"
    target.mkdir()
    with pytest.raises(StorageFull):
        write_mp4(stream(), target)
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]
