from __future__ import annotations

import io
from itertools import islice

import av
import numpy as np
import pytest

from ditto_avatar.media.encode import FragmentEncoder, fragment_lengths, mime_type
from ditto_avatar.media.fragments import Fragment
from ditto_avatar.types import SAMPLES_PER_FRAME, FloatArray

WIDTH, HEIGHT = 128, 96


def encode(frames: int, audio: FloatArray | None = None) -> list[Fragment]:
    if audio is None:
        audio = np.zeros(frames * SAMPLES_PER_FRAME, np.float32)
    encoder = FragmentEncoder(WIDTH, HEIGHT)
    fragments = []
    for i in range(frames):
        picture = np.full((HEIGHT * 3 // 2, WIDTH), 128, np.uint8)
        picture[:HEIGHT] = 20 + i % 200
        fragments += encoder.encode(
            picture, audio[i * SAMPLES_PER_FRAME : (i + 1) * SAMPLES_PER_FRAME]
        )
    return fragments + encoder.finish()


def stream_of(fragments: list[Fragment]) -> io.BytesIO:
    return io.BytesIO(b"".join(fragment.data for fragment in fragments))


def decoded_audio(fragments: list[Fragment]) -> tuple[int, FloatArray]:
    with av.open(stream_of(fragments), "r") as file:
        frames = list(file.decode(audio=0))
    samples = np.concatenate([frame.to_ndarray()[0] for frame in frames])
    return int(frames[0].pts or 0), samples


def test_every_frame_is_in_the_stream_at_its_time() -> None:
    with av.open(stream_of(encode(37)), "r") as file:
        times = [frame.time for frame in file.decode(video=0)]
    assert times == pytest.approx([i / 25 for i in range(37)])


def test_sound_stays_on_its_sample() -> None:
    audio = np.zeros(50 * SAMPLES_PER_FRAME, np.float32)
    clicks = [8_000, 20_000, 31_000]
    audio[clicks] = 0.9
    start, samples = decoded_audio(encode(50, audio))
    assert start == 0
    for click in clicks:
        near = samples[click * 3 - 600 : click * 3 + 600]
        assert abs(int(np.argmax(np.abs(near))) - 600) <= 3


def test_sound_is_as_long_as_the_pictures() -> None:
    _, samples = decoded_audio(encode(30))
    assert 0 <= len(samples) / 48_000 - 30 / 25 < 0.022


def test_fragments_are_short_first_and_begin_at_keyframes() -> None:
    fragments = encode(60)
    header = fragments[0].data
    counts = []
    for i, fragment in enumerate(fragments):
        data = fragment.data if i == 0 else _header_of(header) + fragment.data
        with av.open(io.BytesIO(data), "r") as file:
            frames = list(file.decode(video=0))
        assert frames[0].key_frame
        counts.append(len(frames))
    assert counts == [2, 3, 5, 5, 5, 5, 10, 10, 10, 5]


def test_fragments_grow_no_faster_than_a_cushion_can_be_drawn() -> None:
    """The whole of a fragment is wanted when its first frame is shown. Who draws a fifth more than
    is played, and begins five frames ahead, is always in time."""
    begun = 0
    for length in islice(fragment_lengths(), 50):
        assert begun + length <= 1.23 * (begun + 5)
        begun += length


def test_the_first_fragment_leaves_while_later_pictures_are_not_yet_there() -> None:
    encoder = FragmentEncoder(WIDTH, HEIGHT)
    picture = np.full((HEIGHT * 3 // 2, WIDTH), 128, np.uint8)
    silence = np.zeros(SAMPLES_PER_FRAME, np.float32)
    needed = 0
    while not encoder.encode(picture, silence):
        needed += 1
    encoder.abandon()
    assert needed <= 8


@pytest.mark.parametrize(
    ("width", "height", "level"),
    [
        (64, 48, 31),
        (512, 512, 31),
        (1280, 720, 31),
        (1280, 1024, 32),
        (1920, 1080, 40),
        (1088, 2048, 42),
        (2160, 2160, 50),
        (2160, 64, 31),
    ],
)
def test_the_stream_says_what_its_mime_type_promises_and_a_decoder_must_know(
    width: int, height: int, level: int
) -> None:
    encoder = FragmentEncoder(width, height)
    picture = np.full((height * 3 // 2, width), 128, np.uint8)
    made = encoder.encode(picture, np.zeros(SAMPLES_PER_FRAME, np.float32))
    with av.open(stream_of(made + encoder.finish()), "r") as file:
        codec = file.streams.video[0].codec_context
        assert codec.extradata is not None
        profile, compatibility, found = codec.extradata[1:4]
    assert found == level
    assert f"avc1.{profile:02x}{compatibility:02x}{found:02x}" in mime_type(width, height)


def test_a_picture_beyond_all_levels_is_refused() -> None:
    with pytest.raises(ValueError, match="8192x4320"):
        mime_type(8192, 4320)


def test_colours_are_tagged_as_the_idle_loop_is() -> None:
    with av.open(stream_of(encode(5)), "r") as file:
        frame = next(file.decode(video=0))
    assert (frame.colorspace, frame.color_range) == (6, 1)


def test_a_frame_with_the_wrong_amount_of_sound_is_refused() -> None:
    encoder = FragmentEncoder(WIDTH, HEIGHT)
    with pytest.raises(ValueError, match="640"):
        encoder.encode(np.zeros((HEIGHT * 3 // 2, WIDTH), np.uint8), np.zeros(600, np.float32))
    encoder.abandon()


def test_an_encoder_can_be_abandoned_at_any_time() -> None:
    encoder = FragmentEncoder(WIDTH, HEIGHT)
    encoder.abandon()
    assert FragmentEncoder(WIDTH, HEIGHT).finish() is not None


def _header_of(first: bytes) -> bytes:
    return first[: first.index(b"moof") - 4]


def test_single_pictures_are_those_of_the_fragments() -> None:
    encoder = FragmentEncoder(WIDTH, HEIGHT)
    pictures, fragments = [], []
    for index in range(12):
        yuv = np.full((HEIGHT * 3 // 2, WIDTH), 60 + 10 * index, np.uint8)
        fragments += encoder.encode(yuv, np.zeros(SAMPLES_PER_FRAME, np.float32))
        pictures.append(encoder.newest)
    fragments += encoder.finish()
    assert [index for index, picture in enumerate(pictures) if picture.key] == [0, 2, 5, 10]
    with av.open(io.BytesIO(b"".join(f.data for f in fragments)), "r") as film:
        expected = [frame.to_ndarray() for frame in film.decode(video=0)]
    decoder = av.CodecContext.create("h264", "r")
    # A decoder that comes late begins at the second keyframe.
    frames = [
        frame.to_ndarray()
        for picture in pictures[5:]
        for frame in decoder.decode(av.Packet(picture.data))
    ]
    frames += [frame.to_ndarray() for frame in decoder.decode(None)]
    assert len(frames) == 7
    assert all(np.array_equal(a, b) for a, b in zip(frames, expected[5:], strict=True))
