"""Write finished clips to disk: a plain MP4 with its index in front, and the sound as WAV.

A clip appears whole or not at all: it is written under a temporary name and renamed. When the
disk is full what was begun is removed and `StorageFull` says so.
"""

from __future__ import annotations

import io
import wave
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np

from ditto_avatar import files
from ditto_avatar.errors import StorageFull
from ditto_avatar.types import SAMPLE_RATE_HZ, FloatArray


def write_mp4(stream: bytes, path: Path) -> None:
    """Rewrite a complete fragmented MP4 (bytes) as a plain file whose index comes first, so that
    it plays while it downloads and answers range requests. Nothing is encoded again."""

    def remux(target: Path) -> None:
        with (
            av.open(io.BytesIO(stream), "r") as source,
            av.open(target, "w", format="mp4", options={"movflags": "faststart"}) as plain,
        ):
            streams = {s.index: plain.add_stream_from_template(s) for s in source.streams}
            for packet in source.demux():
                if packet.dts is not None:
                    packet.stream = streams[packet.stream_index]
                    plain.mux(packet)

    write_whole(path, remux)


def write_wav(samples: FloatArray, path: Path) -> None:
    """Write float32 mono samples (n,) in -1..1 as 16-bit PCM at 16 kHz."""

    def store(target: Path) -> None:
        with wave.open(str(target), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(SAMPLE_RATE_HZ)
            file.writeframes(pcm16(samples))

    write_whole(path, store)


def pcm16(samples: FloatArray) -> bytes:
    """Return the LINEAR16 bytes of float samples; what is beyond -1..1 is clipped."""
    return (np.clip(samples, -1.0, 1.0) * 32767.0).astype("<i2").tobytes()


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file whole or not at all, like `files.write_whole`. Raises `StorageFull`."""
    try:
        files.write_whole(path, write)
    except OSError as error:
        raise StorageFull(f"The clip could not be stored: {error.strerror or error}.") from error
