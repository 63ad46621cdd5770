"""Write an idle loop as a film that a browser loops without a seam.

A face at rest hardly moves, so a keyframe that draws it anew would be seen: the grain of the
picture changes at once, once a second. Here a keyframe draws what the frames before it have become
on the screen, and closely; the frames after it go back to the true picture, a little each.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

import av
import numpy as np
from av.codec.context import Flags
from av.video.codeccontext import VideoCodecContext

from ditto_avatar.media.colour import tag_colours
from ditto_avatar.types import FRAME_RATE_HZ, ByteArray

if TYPE_CHECKING:
    Packet = av.Packet[av.VideoStream]

# x264's constant rate factors: pixels of large pictures are shown smaller, and cost more time.
IDLE_QUALITY: Final = 16
LARGE_IDLE_QUALITY: Final = 19
LARGE_WIDTH_PX: Final = 640
IDLE_GROUP: Final = 25  # frames from one keyframe to the next: an engine decodes whole groups
# A keyframe's quantiser is this many times finer than that of the frames that follow it.
_KEYFRAME_FINER: Final = 8.0
# Quantiser of the picture that the next keyframe draws again: coarse, so that it differs from the
# one before by less than others do, and what the keyframe adds of its own is lost in that.
_REPEATED_QUANTISER: Final = 17
# Quantisers of the last frames of all: the first keyframe has none before it to follow, so these
# come to meet it.
_LAST_QUANTISERS: Final = (19, 18, 17, 16, 15, 14, 13, 12)
_X264: Final = (
    "scenecut=0:mbtree=0:no-dct-decimate=1:trellis=0:deadzone-inter=8:deadzone-intra=8:"
    f"ipratio={_KEYFRAME_FINER}"
)
_TIME_BASE: Final = Fraction(1, FRAME_RATE_HZ)


def write_idle(path: Path, frames: Iterable[ByteArray], quality: str | None = None) -> None:
    """Write I420 pictures (h * 3 / 2, w), at least one, as H.264: no frames out of order, a
    keyframe each `IDLE_GROUP` frames, and no pulse there. `quality` is x264's constant rate factor.
    Blocks."""
    pictures = iter(frames)
    first = next(pictures)
    encoding = _Encoding(first.shape[1], first.shape[0] * 2 // 3, quality)
    with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=FRAME_RATE_HZ)
        encoding.prepare(stream.codec_context)
        # The stream's own encoder writes the head of the film and nothing else: each group has an
        # encoder of its own, and the same head.
        container.start_encoding()
        for index, packet in enumerate(_packets(chain([first], pictures), encoding)):
            packet.stream = stream
            packet.pts = packet.dts = index
            packet.time_base = _TIME_BASE
            container.mux(packet)


def _packets(pictures: Iterator[ByteArray], encoding: _Encoding) -> Iterator[Packet]:
    """One for each picture."""
    ahead, shown = list(islice(pictures, 1)), None
    while ahead:
        # With the first picture of the next group.
        group = [*ahead, *islice(pictures, IDLE_GROUP)]
        ahead = group[IDLE_GROUP:]
        if shown is not None:
            group[0] = shown
        codec = encoding.encoder(0 if ahead else len(group))
        packets = _encoded(codec, group)
        yield from packets[:IDLE_GROUP]
        if ahead:
            shown = _last_shown(codec, packets)


@dataclass(frozen=True, slots=True)
class _Encoding:
    width: int
    height: int
    quality: str | None

    def encoder(self, last: int) -> VideoCodecContext:
        """Return an encoder for one group: the last one, if it has `last` frames."""
        codec = VideoCodecContext.create("libx264", "w")
        assert isinstance(codec, VideoCodecContext)
        codec.flags |= Flags.global_header
        codec.framerate, codec.time_base = Fraction(FRAME_RATE_HZ), _TIME_BASE
        self.prepare(codec, last)
        return codec

    def prepare(self, codec: VideoCodecContext, last: int = 0) -> None:
        """Set up `codec`, as for `encoder`."""
        codec.width, codec.height, codec.pix_fmt = self.width, self.height, "yuv420p"
        tag_colours(codec)
        codec.gop_size = 2 * IDLE_GROUP  # a group has one keyframe
        large = self.width >= LARGE_WIDTH_PX
        codec.options = {
            "crf": self.quality or str(LARGE_IDLE_QUALITY if large else IDLE_QUALITY),
            "preset": "veryfast",
            "bf": "0",
            "x264-params": _X264 + _zones(last),
        }


def _zones(last: int) -> str:
    """x264's parameter for quantisers of a group: of the last of its `last` frames, where it is the
    last group, else of the one that the next group repeats. The first frame, a keyframe, keeps its
    own."""
    if not last:
        return f":zones={IDLE_GROUP},{IDLE_GROUP},q={_REPEATED_QUANTISER}"
    begin = max(last - len(_LAST_QUANTISERS), 1)
    chosen = _LAST_QUANTISERS[len(_LAST_QUANTISERS) - max(last - begin, 0) :]
    zones = [f"{begin + index},{begin + index},q={q}" for index, q in enumerate(chosen)]
    return f":zones={'/'.join(zones)}" if zones else ""


def _encoded(codec: VideoCodecContext, pictures: list[ByteArray]) -> list[Packet]:
    packets = []
    for index, picture in enumerate(pictures):
        frame = av.VideoFrame.from_ndarray(picture, format="yuv420p")
        frame.pts, frame.time_base = index, _TIME_BASE
        packets += codec.encode(frame)
    return [*packets, *codec.encode(None)]


def _last_shown(codec: VideoCodecContext, packets: list[Packet]) -> ByteArray:
    """The last picture as a player shows it."""
    decoder = VideoCodecContext.create("h264", "r")
    assert isinstance(decoder, VideoCodecContext)
    decoder.extradata = codec.extradata
    shown = [frame for packet in [*packets, None] for frame in decoder.decode(packet)]
    return np.asarray(shown[-1].to_ndarray(format="yuv420p"), np.uint8)
