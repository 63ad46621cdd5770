"""Write the fragments of an answer to files."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

from ditto_avatar.client.messages import Event, Fragment


async def save_segments(answer: AsyncIterator[Event | Fragment], folder: Path) -> list[Path]:
    """Write each sentence of an answer as an MP4 file into `folder` as it comes; returns the files
    in order. Raises what the answer raises, and `OSError`. When cancelled, the files are there as
    far as they came."""
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    files: dict[str, Path] = {}
    async for message in answer:
        if not isinstance(message, Fragment) or not message.data:
            continue
        path = files.setdefault(message.segment, folder / f"{len(files):03d}.mp4")
        await asyncio.to_thread(_append, path, message.data, begin=message.index == 0)
    return list(files.values())


def _append(path: Path, data: bytes, *, begin: bool) -> None:
    with path.open("wb" if begin else "ab") as file:
        file.write(data)
