"""What a speech server sends in place of raw samples is read, or refused; never played as noise."""

from __future__ import annotations

import io
import json
import struct
import wave
from base64 import b64encode
from collections.abc import Sequence

import av
import numpy as np
import pytest
from av.audio.stream import AudioStream

from ditto_avatar.errors import ProviderFailed
from ditto_avatar.providers.retry import Retries
from ditto_avatar.speech.openai import OpenAISpeech, OpenAISpeechOptions
from ditto_avatar.speech.sound_format import Kind, WavReader, kind_of
from ditto_avatar.types import FloatArray, joined
from tests.fakes.openai_server import Raw, fake_openai


def tone(rate: int, seconds: float = 1.0) -> FloatArray:
    time = np.arange(round(seconds * rate)) / rate
    return (0.5 * np.sin(2 * np.pi * 440 * time)).astype(np.float32)


def in_json(name: str, data: bytes, before: str = "") -> bytes:
    return json.dumps({"id": 1, "data": [{name: before + b64encode(data).decode()}]}).encode()


def samples(rate: int, channels: int = 1) -> bytes:
    return np.repeat((tone(rate) * 32767).astype("<i2"), channels).tobytes()


def chunk(name: bytes, data: bytes) -> bytes:
    return name + struct.pack("<I", len(data)) + data


def wav_of_chunks(rate: int) -> bytes:
    """With chunks before and behind the sound, as encoders write names and credentials."""
    whole = wav(rate)
    credentials = np.random.default_rng(0).bytes(1_798)
    behind = chunk(b"LIST", b"INFOISFT\x02\0\0\0ai") + chunk(b"C2PA", credentials)
    return whole[:12] + chunk(b"JUNK", bytes(28)) + whole[12:] + behind


def wav(rate: int, channels: int = 1, *, endless: bool = False) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(channels)
        writer.setsampwidth(2)
        writer.setframerate(rate)
        writer.writeframes(samples(rate, channels))
    data = bytearray(file.getvalue())
    if endless:
        data[4:8] = data[40:44] = struct.pack("<I", 0xFFFFFFFF)
    return bytes(data)


def compressed(kind: str, codec: str, rate: int) -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format=kind) as container:
        stream = container.add_stream(codec, rate=rate, layout="mono")
        assert isinstance(stream, AudioStream)
        frame = av.AudioFrame.from_ndarray(tone(rate)[None], format="fltp", layout="mono")
        frame.sample_rate = rate
        resampler = av.AudioResampler(stream.format, "mono", rate)
        for converted in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(stream.encode(converted))
        container.mux(stream.encode(None))
    return file.getvalue()


async def said(data: bytes, content_type: str, parts: int = 5_000) -> FloatArray:
    pieces: Sequence[bytes] = [data[at : at + parts] for at in range(0, len(data), parts)]
    async with fake_openai(Raw(pieces, content_type)) as fake:
        options = OpenAISpeechOptions(base_url=fake.base_url)
        engine = OpenAISpeech("k", options, retries=Retries(1))
        try:
            chunks = [c async for c in engine.speak("Hello.", engine.voices()[0])]
        finally:
            await engine.close()
    return joined(chunks).samples


SOUNDS = {
    "raw": (samples(24_000), "application/octet-stream"),
    "rate of the type": (samples(16_000), "audio/L16; rate=16000; channels=1"),
    "pcm with a rate": (samples(48_000, 2), "audio/pcm;rate=48000;channels=2"),
    "wav": (wav(22_050), "audio/wav"),
    "wav under a wrong type": (wav(44_100, 2), "application/octet-stream"),
    "wav without a length": (wav(24_000, endless=True), "audio/x-wav"),
    "wav with chunks around": (wav_of_chunks(24_000), "audio/wav"),
    "mp3": (compressed("mp3", "mp3", 44_100), "audio/mpeg"),
    "mp3 under a wrong type": (compressed("mp3", "mp3", 24_000), "application/octet-stream"),
    "ogg": (compressed("ogg", "libopus", 48_000), "audio/ogg"),
    "flac": (compressed("flac", "flac", 24_000), "audio/flac"),
    "wav in json": (in_json("audio", wav(22_050)), "application/json"),
    "samples in json": (in_json("b64_json", samples(24_000)), "application/octet-stream"),
    "mp3 in json": (in_json("data", compressed("mp3", "mp3", 24_000)), "application/json"),
    "a data URL": (
        in_json("sound", samples(16_000), "data:audio/L16;rate=16000;base64,"),
        "application/json",
    ),
}


@pytest.mark.parametrize("name", SOUNDS)
async def test_every_kind_gives_the_same_tone(name: str) -> None:
    sound = await said(*SOUNDS[name])
    assert 15_500 < len(sound) < 18_000
    spectrum = np.abs(np.fft.rfft(sound[2_000:14_000] * np.hanning(12_000)))
    assert abs(int(spectrum.argmax()) * 16_000 / 12_000 - 440) < 3
    assert 0.4 < float(np.abs(sound).max()) < 0.65


async def test_what_stands_behind_the_sound_of_a_wav_is_not_played() -> None:
    plain = await said(wav(24_000), "audio/wav")
    assert np.array_equal(await said(wav_of_chunks(24_000), "audio/wav"), plain)


@pytest.mark.parametrize(
    ("data", "content_type"),
    [
        (json.dumps({"error": {"message": "no voice"}}).encode(), "application/json"),
        (json.dumps({"detail": "x" * 400}).encode(), "application/octet-stream"),
        (json.dumps({"audio": "no voice! " * 60}).encode(), "application/json"),
        (b'{"audio": "' + b"A" * 500, "application/json"),
        (b'{"a":' * 100_000, "application/json"),
        (b"<!doctype html><html><body>Bad gateway</body></html>", "text/html"),
        (b"Internal server error", "audio/pcm"),
        (b"RIFF\xff\xff\xff\xffWAVEfmt \x10\x00\x00\x00" + b"\x55" * 60, "audio/wav"),
        (b"ID3" + bytes(range(200)) * 3, "audio/mpeg"),
        (b"OggS" + b"\x00" * 300, "audio/ogg"),
    ],
)
async def test_what_is_no_sound_is_a_failure_and_never_noise(
    data: bytes, content_type: str
) -> None:
    with pytest.raises(ProviderFailed):
        await said(data, content_type)


def test_samples_that_look_like_the_beginning_of_an_mp3_are_samples() -> None:
    noise = np.random.default_rng(1).integers(0, 256, 2_000, np.uint8).tobytes()
    assert kind_of("", b"\xff\xfb\x90\x44" + noise, "it") is Kind.SAMPLES
    assert kind_of("", bytes(2_000), "it") is Kind.SAMPLES


@pytest.mark.parametrize("size", [1, 7, 50_000])
def test_a_wav_may_come_in_parts_of_any_size(size: int) -> None:
    data = wav(16_000)
    reader = WavReader("it")
    parts = [reader.push(data[at : at + size]) for at in range(0, len(data), size)]
    assert len(np.concatenate([*parts, reader.finish()])) == 16_000


@pytest.mark.parametrize(("bits", "tag"), [(8, 1), (24, 1), (32, 1), (32, 3)])
def test_every_depth_of_a_wav_is_read(bits: int, tag: int) -> None:
    wave_form = tone(16_000)
    if tag == 3:
        body = wave_form.astype("<f4").tobytes()
    elif bits == 8:
        body = (wave_form * 127 + 128).astype(np.uint8).tobytes()
    else:
        wide = (wave_form.astype(np.float64) * 2147483647).astype("<i4")
        body = wide.view(np.uint8).reshape(-1, 4)[:, 4 - bits // 8 :].tobytes()
    form = struct.pack("<HHIIHH", tag, 1, 16_000, 16_000 * bits // 8, bits // 8, bits)
    data = b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0" + form + b"data" + struct.pack("<I", len(body)) + body
    reader = WavReader("it")
    assert np.abs(reader.push(data) - wave_form).max() < 0.02
