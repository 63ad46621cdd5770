"""Films as phones save them: turned, mirrored, with a high dynamic range."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from ditto_avatar.media.films import read_film
from ditto_avatar.types import ByteArray

_ONE, _TWO = 1 << 16, 1 << 30
# Where right and down of the picture go, as right and down of the screen.
MATRICES = {
    "as it is": (1, 0, 0, 1),
    "mirrored": (-1, 0, 0, 1),
    "upside down": (-1, 0, 0, -1),
    "quarter": (0, 1, -1, 0),
    "quarter back": (0, -1, 1, 0),
    "quarter, mirrored": (0, 1, 1, 0),
}
PQ, HLG = 16, 18


def film(
    path: Path, picture: ByteArray, pixels: str = "yuv420p", transfer: int | None = None
) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "6"})
        stream.height, stream.width = picture.shape[:2]
        stream.pix_fmt = pixels
        if transfer is not None:
            context = stream.codec_context
            context.color_trc, context.color_primaries, context.colorspace = transfer, 9, 9
            context.color_range = 1
        if picture.ndim == 2:
            frame = av.VideoFrame(picture.shape[1], picture.shape[0], pixels)
            for index, plane in enumerate(frame.planes):
                value = picture[0, 0] if index == 0 else 512
                plane.update(np.full(plane.buffer_size // 2, value, np.uint16).tobytes())
        else:
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        frame.pts, frame.time_base = 0, Fraction(1, 25)
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


@pytest.mark.parametrize("name", MATRICES)
def test_a_film_is_turned_and_mirrored_as_it_asks(tmp_path: Path, name: str) -> None:
    a, b, c, d = MATRICES[name]
    path = tmp_path / "film.mp4"
    # A white corner, the top left one.
    picture = np.zeros((64, 96, 3), np.uint8)
    picture[:16, :16] = 255
    film(path, picture)
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 44
    numbers = (a * _ONE, b * _ONE, 0, c * _ONE, d * _ONE, 0, 0, 0, _TWO)
    data[at : at + 36] = struct.pack(">9i", *numbers)
    path.write_bytes(data)
    ((_, _, found),) = read_film(path)
    assert found.shape == ((64, 96, 3) if b == 0 else (96, 64, 3))
    rows, columns = np.nonzero(found[..., 0] > 127)
    right, down = a + c, b + d  # the white corner is opposite to where both axes go
    assert (columns.mean() < found.shape[1] / 2) == (right > 0)
    assert (rows.mean() < found.shape[0] / 2) == (down > 0)


def signal(transfer: int, nits: float) -> float:
    """The share of full signal for grey of `nits` on a screen of 1,000 (ITU-R BT.2100)."""
    if transfer == PQ:
        power = (nits / 10_000) ** 0.1593017578125
        return float(((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375)
    scene = (nits / 1_000) ** (1 / 1.2)
    if scene <= 1 / 12:
        return float(np.sqrt(3 * scene))
    return float(0.17883277 * np.log(12 * scene - 0.28466892) + 0.55991073)


@pytest.mark.parametrize("transfer", [PQ, HLG], ids=["pq", "hlg"])
@pytest.mark.parametrize(
    ("nits", "expected"),
    # Grey below the knee keeps its place: 18 % of white is 118 in sRGB. White keeps room above it.
    [(0.0, 0), (203 * 0.18, 118), (203 * 0.5, 188), (203.0, 236), (1_000.0, 255)],
)
def test_a_high_range_becomes_that_of_a_usual_screen(
    tmp_path: Path, transfer: int, nits: float, expected: int
) -> None:
    path = tmp_path / "film.mp4"
    luma = round(64 + 876 * signal(transfer, nits))
    film(path, np.full((64, 64), luma, np.uint16), "yuv420p10le", transfer)
    ((_, _, found),) = read_film(path)
    assert found.dtype == np.uint8
    assert np.abs(found.reshape(-1, 3).mean(0) - expected).max() < 4
