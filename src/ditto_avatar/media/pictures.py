"""Single encoded pictures: taken out of fragments, made for an idle loop, and made as a bridge into
the middle of a group."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from fractions import Fraction

import av
from av.bitstream import BitStreamFilterContext
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType, VideoFrame

from ditto_avatar.media.colour import tag_colours
from ditto_avatar.media.encode import VIDEO_OPTIONS, EncodedPicture, level_for
from ditto_avatar.types import FRAME_RATE_HZ, ByteArray

_LOOP_GROUP = 5


def pictures_in(stream: bytes) -> list[EncodedPicture]:
    """Return the pictures of `stream`, a fragmented MP4 with its header, in their order. Nothing is
    encoded again."""
    pictures = []
    with av.open(io.BytesIO(stream), "r", format="mp4") as container:
        video = container.streams.video[0]
        annex_b = BitStreamFilterContext("h264_mp4toannexb", video)
        for packet in container.demux(video):
            if packet.size:
                pictures += [
                    EncodedPicture(bytes(made), made.is_keyframe) for made in annex_b.filter(packet)
                ]
    return pictures


class PictureEncoder:
    """Encode single pictures as the live encoder does, so that they can stand beside its own."""

    def __init__(self, width: int, height: int) -> None:
        codec = av.CodecContext.create("libx264", "w")
        assert isinstance(codec, VideoCodecContext)
        codec.width, codec.height, codec.pix_fmt = width, height, "yuv420p"
        codec.time_base, codec.framerate = Fraction(1, FRAME_RATE_HZ), Fraction(FRAME_RATE_HZ)
        codec.options = {**VIDEO_OPTIONS, "level": str(level_for(width, height))}
        tag_colours(codec)
        self._codec = codec
        self._count = 0

    def encode(self, frame: VideoFrame, *, key: bool) -> EncodedPicture:
        """Encode the next picture; a `key` picture begins a group."""
        frame.pts, frame.time_base = self._count, self._codec.time_base
        frame.pict_type = PictureType.I if key else PictureType.NONE
        self._count += 1
        packets = self._codec.encode(frame)
        return EncodedPicture(b"".join(map(bytes, packets)), any(p.is_keyframe for p in packets))


def encode_loop(pictures: Iterable[ByteArray], width: int, height: int) -> list[EncodedPicture]:
    """Encode I420 pictures (height * 3 / 2, width), in short groups: the loop can be entered
    close to any of its frames."""
    encoder = PictureEncoder(width, height)
    return [
        encoder.encode(
            VideoFrame.from_ndarray(picture, format="yuv420p"), key=index % _LOOP_GROUP == 0
        )
        for index, picture in enumerate(pictures)
    ]


def group_around(pictures: Sequence[EncodedPicture], at: int) -> tuple[int, int]:
    """Return where the group of picture `at` begins, and where the next one does or the pictures
    end."""
    start = next((i for i in range(at, -1, -1) if pictures[i].key), 0)
    end = next((i for i in range(at + 1, len(pictures)) if pictures[i].key), len(pictures))
    return start, end


def bridge(pictures: Sequence[EncodedPicture], at: int) -> dict[int, EncodedPicture]:
    """Make key picture `at` out of a group that has it in its middle, and the pictures after it up
    to the next group, by their number: so a decoder can enter there, and goes on with the pictures
    that there are. Blocks for some 2 ms a picture."""
    start, end = group_around(pictures, at)
    decoder = av.CodecContext.create("h264", "r")
    assert isinstance(decoder, VideoCodecContext)
    decoder.thread_count = 1
    frames: list[VideoFrame] = []
    for picture in pictures[start:end]:
        frames += decoder.decode(Packet(picture.data))
    frames += decoder.decode(None)
    if len(frames) < end - start:
        return {}
    first = frames[at - start]
    encoder = PictureEncoder(first.width, first.height)
    return {
        number: encoder.encode(frames[number - start], key=number == at)
        for number in range(at, end)
    }
