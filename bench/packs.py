"""The bundled presenter cut to the size that figures are compared at."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from ditto_avatar.face.avatar import Avatar
from ditto_avatar.face.library import BUNDLED
from ditto_avatar.face.pack import load_avatar
from ditto_avatar.types import ByteArray

SIDE_PX = 512


@contextmanager
def square_pack(name: str = "mina") -> Iterator[Avatar]:
    """The pack cropped to 512x512 around the face, in a temporary folder."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / name
        source = load_avatar(BUNDLED / name)
        shutil.copytree(source.folder, target, ignore=shutil.ignore_patterns("features", "cutout*"))
        centre = source.arrays.neutral_landmarks[:, :2].mean(axis=0)
        left, top = (
            int(np.clip(c - SIDE_PX / 2, 0, size - SIDE_PX)) // 2 * 2
            for c, size in zip(centre, (source.width, source.height), strict=True)
        )
        _crop_idle(source, target / "idle.mp4", left, top)
        _shift_arrays(target / "avatar.npz", left, top)
        yield load_avatar(target)


def _crop_idle(source: Avatar, path: Path, left: int, top: int) -> None:
    with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "18", "bf": "0"})
        stream.width = stream.height = SIDE_PX
        stream.pix_fmt = "yuv420p"
        for index, picture in enumerate(source.idle_frames):
            frame = av.VideoFrame.from_ndarray(_crop(picture, source, left, top), format="yuv420p")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def _crop(picture: ByteArray, source: Avatar, left: int, top: int) -> ByteArray:
    height, width = source.height, source.width
    luma = picture[:height][top : top + SIDE_PX, left : left + SIDE_PX]
    half = SIDE_PX // 2
    chroma = picture[height:].reshape(2, height // 2, width // 2)
    chroma = chroma[:, top // 2 : top // 2 + half, left // 2 : left // 2 + half]
    return np.concatenate((luma, chroma.reshape(half, SIDE_PX)))


def _shift_arrays(path: Path, left: int, top: int) -> None:
    with np.load(path) as file:
        arrays = dict(file)
    offset = np.array([left, top, 0], np.float32)
    for key in ("landmarks", "neutral_landmarks", "atlas_landmarks"):
        if key in arrays:
            arrays[key] = arrays[key] - offset
    if "atlas_box" in arrays:
        arrays["atlas_box"] = arrays["atlas_box"] - np.array([left, top, 0, 0], np.float32)
    np.savez_compressed(path, **arrays)
