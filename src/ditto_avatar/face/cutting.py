"""Make `cutout.mp4` for a pack: its idle loop without what is behind the person."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import av
import cv2
import numpy as np

from ditto_avatar.face import matting
from ditto_avatar.face.avatar import Avatar
from ditto_avatar.face.cutout import FILE, pack_rgb
from ditto_avatar.face.register.idle_film import IDLE_GROUP
from ditto_avatar.media.colour import tag_colours
from ditto_avatar.types import FRAME_RATE_HZ, ByteArray, FloatArray

# Pictures from which the backdrop is found, spread over the loop.
_LOOKS = 10
# The person is found anew in every so many pictures; in between it moves by less than the margin.
_STEP = 10
# The film is made once and sent often. Bits are not moved from the sharp edge of the opacity to
# places where an eye would see more.
_CODING = {
    "crf": "22",
    "preset": "slow",
    "bf": "0",
    "x264-params": "scenecut=0:ipratio=1.0:mbtree=0:aq-mode=0:no-psy=1",
}

Progress = Callable[[int, int], object]


def make_cutout(avatar: Avatar, progress: Progress = lambda done, total: None) -> Path:
    """Find the person in the idle loop of `avatar` and write `cutout.mp4` into its folder; its
    path. Blocks for a minute or two. The file appears when it is complete."""
    count = avatar.frame_count
    looks = [_rgb(avatar, index) for index in range(0, count, max(1, count // _LOOKS))]
    plate = matting.find_plate(looks, _face(avatar, 0))
    return write_cutout(avatar, plate.backdrop, _matted(avatar, plate), progress)


def write_cutout(
    avatar: Avatar,
    backdrop: FloatArray,
    opacities: Iterable[FloatArray],
    progress: Progress = lambda done, total: None,
) -> Path:
    """Write `cutout.mp4` into the folder of `avatar` and return its path. `opacities` has an (h, w)
    from 0 to 1 for each idle frame; `backdrop` (h, w, 3) RGB is what is behind the person. Blocks.
    The file appears when it is complete."""
    path = avatar.folder / FILE
    part = path.with_suffix(".part.mp4")
    try:
        write_packed(part, _packed(avatar, backdrop, opacities, progress))
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    return path


def write_packed(path: Path, frames: Iterable[ByteArray]) -> None:
    """Write packed I420 pictures (h * 3, w) as the H.264 film `path`. Blocks."""
    with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=FRAME_RATE_HZ, options=_CODING)
        stream.pix_fmt = "yuv420p"
        stream.codec_context.gop_size = IDLE_GROUP
        tag_colours(stream.codec_context)
        for index, picture in enumerate(frames):
            if not index:
                stream.width, stream.height = picture.shape[1], picture.shape[0] * 2 // 3
            frame = av.VideoFrame.from_ndarray(picture, format="yuv420p")
            frame.pts, frame.time_base = index, Fraction(1, FRAME_RATE_HZ)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def _packed(
    avatar: Avatar, backdrop: FloatArray, opacities: Iterable[FloatArray], progress: Progress
) -> Iterator[ByteArray]:
    for index, opacity in enumerate(opacities):
        colours = matting.own_colours(_rgb(avatar, index), opacity, backdrop)
        yield pack_rgb(colours, opacity)
        progress(index + 1, avatar.frame_count)


def _matted(avatar: Avatar, plate: matting.Plate) -> Iterator[FloatArray]:
    count = avatar.frame_count
    margin = matting.margin_of(avatar.height)

    @lru_cache(maxsize=2)
    def person(index: int) -> matting.BoolArray:
        return matting.rough_mask(_rgb(avatar, index), _face(avatar, index))

    for index in range(count):
        before = index - index % _STEP
        inside = matting.shrunk(person(before) & person((before + _STEP) % count), margin)
        yield matting.matte(_rgb(avatar, index), plate, inside)


def _rgb(avatar: Avatar, index: int) -> ByteArray:
    picture = avatar.idle_frames[index]
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_YUV2RGB_I420), np.uint8)


def _face(avatar: Avatar, index: int) -> FloatArray:
    """Left, top, right and bottom of the face."""
    return face_box(avatar.arrays.landmarks[index])


def face_box(points: FloatArray) -> FloatArray:
    """Left, top, right and bottom of the face with these points (478, 3)."""
    return np.concatenate([points[:, :2].min(axis=0), points[:, :2].max(axis=0)])
