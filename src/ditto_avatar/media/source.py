"""Open media files for reading, by formats that are named, and from the disk alone.

FFmpeg also knows play lists. Such a file names others, and addresses in the network, which would
be read with it; none is among these formats.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import av
from av.container import InputContainer

MP4 = ("mov",)
FILMS = (*MP4, "matroska", "avi", "mpegts", "ogg", "gif")
SOUNDS = (*FILMS, "wav", "w64", "aiff", "au", "caf", "flac", "mp3", "aac", "amr", "asf", "wv")


def open_media(path: Path, formats: Sequence[str]) -> InputContainer:
    """Open the file at `path` when it has one of these `formats` (names of FFmpeg's demuxers).

    Raises `av.FFmpegError` otherwise. Blocks. Close the container, best by ``with``.
    """
    options = {
        "protocol_whitelist": "file",
        "format_whitelist": ",".join(formats),
    }
    # Absolute: a name such as "http:x" must not be taken for an address.
    return av.open(str(path.absolute()), metadata_errors="replace", options=options)
