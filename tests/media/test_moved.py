"""Fragments that were encoded anew go on where others ended."""

from __future__ import annotations

import io
from fractions import Fraction
from itertools import pairwise

import av
import numpy as np
import pytest

from ditto_avatar.media.encode import FragmentEncoder
from ditto_avatar.media.moved import FragmentMover
from ditto_avatar.types import SAMPLES_PER_FRAME


def encoded(first: int, count: int) -> list[bytes]:
    """Fragments of `count` pictures, each a little brighter than the one before."""
    encoder = FragmentEncoder(64, 64)
    fragments = []
    for index in range(first, first + count):
        picture = np.full((96, 64), 20 + 5 * index, np.uint8)
        fragments += encoder.encode(picture, np.zeros(SAMPLES_PER_FRAME, np.float32))
    fragments += encoder.finish()
    return [fragment.data for fragment in fragments]


def packet_times(stream: bytes, kind: str) -> list[Fraction]:
    """When each packet of a track is shown or heard, in seconds."""
    times = []
    with av.open(io.BytesIO(stream), mode="r") as container:
        [track] = [one for one in container.streams if one.type == kind]
        for packet in container.demux(track):
            if packet.size:
                assert packet.pts is not None
                times.append(Fraction(packet.pts) * Fraction(packet.time_base or 0))
    return times


def test_two_encoders_make_one_stream() -> None:
    # 15 pictures are four fragments; the second encoder takes over behind them.
    mover = FragmentMover(Fraction(15, 25))
    stream = b"".join(encoded(0, 30)[:4]) + b"".join(map(mover.move, encoded(15, 15)))
    assert stream.count(b"moov") == 1
    assert packet_times(stream, "video") == [Fraction(index, 25) for index in range(30)]
    with av.open(io.BytesIO(stream), mode="r") as container:
        light = [frame.to_ndarray(format="gray").mean() for frame in container.decode(video=0)]
    assert np.all(np.diff(light) > 0)
    sound = packet_times(stream, "audio")
    assert sound[0] == 0
    assert max(b - a for a, b in pairwise(sound)) <= Fraction(1_024, 48_000)
    assert sound[-1] > 1.15


@pytest.mark.parametrize("data", [b"\0\0\0\x10moof", b"\0\0\0\x04moof", b"short"])
def test_what_is_no_box_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"box|bytes"):
        FragmentMover(Fraction(1)).move(data)
