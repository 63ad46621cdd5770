"""Reads sound files of strangers: a child process decodes them."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from ditto_avatar.errors import InvalidAudio
from ditto_avatar.guard.inspector import Check, inspect
from ditto_avatar.guard.limits import Limits
from ditto_avatar.types import FloatArray

LONGEST_S = 600
AUDIO_CHECK = Check(
    "ditto_avatar.speech.audio_decoder:check_audio",
    InvalidAudio,
    Limits(memory_mb=512, cpu_s=60, wall_s=90, returned_mb=64),
)


async def read_audio(path: Path, longest_s: int = LONGEST_S) -> FloatArray:
    """Read the sound of `path` as mono float32 samples (n,) in -1..1 at 16 kHz.

    A video file gives its first sound track. Raises `InvalidAudio` for a file that is missing, is
    no audio, is empty, holds values that are not numbers, lasts over `longest_s` seconds (at most
    `LONGEST_S`), or takes too much memory or time to decode. Cancelling is safe.
    """
    answer = await inspect(AUDIO_CHECK, path, longest_s=min(longest_s, LONGEST_S))
    (samples,) = answer.arrays
    return samples


async def decode_bytes(data: bytes, longest_s: int = LONGEST_S) -> FloatArray:
    """The same for a file that is in memory. Cancelling is safe."""
    folder = await asyncio.to_thread(tempfile.TemporaryDirectory, prefix="ditto-sound-")
    try:
        path = Path(folder.name) / "sound"
        await asyncio.to_thread(path.write_bytes, data)
        return await read_audio(path, longest_s)
    finally:
        folder.cleanup()
