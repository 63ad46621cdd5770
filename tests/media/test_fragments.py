from __future__ import annotations

import struct
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ditto_avatar.media.fragments import Fragment, FragmentSplitter


def box(kind: bytes, size: int) -> bytes:
    return struct.pack(">I4s", size + 8, kind) + bytes(size)


STREAM = (
    box(b"ftyp", 16) + box(b"moov", 100) + box(b"moof", 40) + box(b"mdat", 300)
    + box(b"moof", 41) + box(b"mdat", 200) + box(b"mfra", 12)
)  # fmt: skip
FIRST = STREAM[: 24 + 108 + 48 + 308]
SECOND = STREAM[len(FIRST) : len(FIRST) + 49 + 208]


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_any_chunking_gives_the_same_fragments(cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(STREAM)]
    splitter = FragmentSplitter()
    fragments: list[Fragment] = []
    for start, end in pairwise(places):
        fragments += splitter.feed(STREAM[start:end])
    fragments += splitter.feed(b"", end=True)
    assert fragments == [Fragment(0, FIRST), Fragment(1, SECOND)]


def test_a_stream_that_breaks_off_is_an_error() -> None:
    with pytest.raises(ValueError, match="within a box"):
        FragmentSplitter().feed(STREAM[:-3], end=True)


def test_a_box_of_impossible_size_is_an_error() -> None:
    with pytest.raises(ValueError, match="size 1"):
        FragmentSplitter().feed(struct.pack(">I4s", 1, b"mdat") + bytes(16))
