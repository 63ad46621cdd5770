"""Short films as people send them."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av

from ditto_avatar.face.library import BUNDLED


def write_film(path: Path, frames: int = 45, rate: int = 30) -> Path:
    """Write a film of Mina, who looks into the camera, at another frame rate than ours."""
    with av.open(str(BUNDLED / "mina" / "idle.mp4")) as read, av.open(str(path), "w") as write:
        stream = write.add_stream("libx264", rate=rate)
        stream.width, stream.height, stream.pix_fmt = 512, 640, "yuv420p"
        for index, picture in enumerate(read.decode(video=0)):
            if index == frames:
                break
            picture.pts, picture.time_base = index, Fraction(1, rate)
            write.mux(stream.encode(picture))
        write.mux(stream.encode(None))
    return path
