"""Reads pictures and videos of people that strangers made: a child process decodes them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from ditto_avatar.errors import InvalidImage
from ditto_avatar.guard.inspector import Check, inspect_blocking
from ditto_avatar.guard.limits import Limits
from ditto_avatar.types import FRAME_RATE_HZ, ByteArray

MAX_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Footage:
    """Frames (h, w, 3) RGB of one even size; `still` for a picture, which has one."""

    frames: tuple[ByteArray, ...]
    still: bool


def load_footage(path: Path, max_size: int, max_frames: int = -1) -> Footage:
    """Read a picture or a video, the longest side at most `max_size` pixels, at most `max_frames`
    frames (-1: all of a minute). Blocks.

    Raises `InvalidImage` with a sentence that says what to do, also for a file that takes too
    much memory or time to decode.
    """
    frames = MAX_SECONDS * FRAME_RATE_HZ if max_frames < 0 else max_frames
    check = footage_check(max_size, frames)
    answer = inspect_blocking(check, path, max_size=max_size, max_frames=frames)
    return Footage(tuple(answer.arrays), bool(answer.value["still"]))


def footage_check(max_size: int, max_frames: int) -> Check:
    """The check for a picture or a video of so many frames with sides of at most `max_size`."""
    returned_mb = math.ceil(max_frames * max_size**2 * 3 / 1_048_576)
    return Check(
        "ditto_avatar.face.ditto.footage_decoder:check_footage",
        InvalidImage,
        # 50 megapixels with transparency take some 2 GB while they are made opaque.
        Limits(memory_mb=3_072, cpu_s=120, wall_s=180, returned_mb=returned_mb),
    )
