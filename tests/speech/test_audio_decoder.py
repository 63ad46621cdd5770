"""Any audio file becomes 16 kHz mono, and what is none is refused by name."""

from __future__ import annotations

import wave
from pathlib import Path

import av
import numpy as np
import pytest
from av.audio.stream import AudioStream

from ditto_avatar.errors import InvalidAudio
from ditto_avatar.speech.audio_decoder import decode_audio


def tone(seconds: float, rate: int) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    time = np.arange(round(seconds * rate)) / rate
    return (0.5 * np.sin(2 * np.pi * 440 * time)).astype(np.float32)


def write(path: Path, rate: int, layout: str, codec: str, seconds: float = 1.0) -> Path:
    channels = 2 if layout == "stereo" else 1
    samples = np.tile(tone(seconds, rate), (channels, 1))
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, layout=layout)
        assert isinstance(stream, AudioStream)
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout=layout)
        frame.sample_rate = rate
        resampler = av.AudioResampler(stream.format, layout, rate)
        for converted in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(stream.encode(converted))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    ("name", "rate", "layout", "codec"),
    [
        ("a.wav", 16_000, "mono", "pcm_s16le"),
        ("b.wav", 44_100, "stereo", "pcm_s24le"),
        ("c.flac", 48_000, "stereo", "flac"),
        ("d.mp3", 44_100, "mono", "mp3"),
        ("e.m4a", 48_000, "stereo", "aac"),
        ("f.ogg", 48_000, "mono", "libopus"),
        ("g.wav", 8_000, "mono", "pcm_f32le"),
    ],
)
def test_every_kind_of_file_gives_the_same_tone(
    tmp_path: Path, name: str, rate: int, layout: str, codec: str
) -> None:
    samples = decode_audio(write(tmp_path / name, rate, layout, codec), 600)
    assert samples.dtype == np.float32
    assert 15_500 < len(samples) < 18_000
    spectrum = np.abs(np.fft.rfft(samples[2000:14_000] * np.hanning(12_000)))
    assert abs(int(spectrum.argmax()) * 16_000 / 12_000 - 440) < 3
    assert 0.4 < float(np.abs(samples).max()) < 0.75


def test_a_file_that_is_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidAudio, match=r"'none\.wav'.*no such file"):
        decode_audio(tmp_path / "none.wav", 600)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "it is empty"), (b"this is a text and no sound at all" * 9, "cannot be read as audio")],
)
def test_a_file_that_is_no_audio_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "speech.wav"
    path.write_bytes(content)
    with pytest.raises(InvalidAudio, match=message):
        decode_audio(path, 600)


def test_a_file_without_samples_is_refused(tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "empty.wav"), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
    with pytest.raises(InvalidAudio):
        decode_audio(tmp_path / "empty.wav", 600)


def test_samples_that_are_not_numbers_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "nan.wav", 16_000, "mono", "pcm_f32le")
    data = bytearray(path.read_bytes())
    data[-4000:-3996] = np.array([np.nan], "<f4").tobytes()
    path.write_bytes(data)
    with pytest.raises(InvalidAudio, match="not numbers"):
        decode_audio(path, 600)


def test_what_lasts_too_long_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "long.wav", 8_000, "mono", "pcm_s16le", seconds=601)
    with pytest.raises(InvalidAudio, match="longer than 600 seconds"):
        decode_audio(path, 600)


def test_a_video_without_sound_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "silent.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width = stream.height = 16
        for _ in range(2):
            frame = av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8))
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(InvalidAudio, match="no sound track"):
        decode_audio(path, 600)


@pytest.mark.parametrize(("layout", "channels"), [("stereo", 2), ("5.1", 6), ("quad", 4)])
def test_channels_are_mixed_with_weights_that_add_to_one(
    tmp_path: Path, layout: str, channels: int
) -> None:
    path = tmp_path / "loud.wav"
    samples = np.full((channels, 16_000), 0.9, np.float32)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=16_000, layout=layout)
        assert isinstance(stream, AudioStream)
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout=layout)
        frame.sample_rate = 16_000
        for converted in av.AudioResampler("s16", layout, 16_000).resample(frame):
            container.mux(stream.encode(converted))
        container.mux(stream.encode(None))
    assert np.abs(decode_audio(path, 600) - 0.9).max() < 0.001
