"""Encode pictures and sound as fragmented MP4, timed by counting.

One `FragmentEncoder` makes one clip: H.264 and AAC in an MP4 whose fragments can be played while
the rest is still being drawn. `media.clip` turns the finished stream into a plain file.

Two facts shape it. Through Media Source Extensions a fragment must begin at a keyframe, so each
fragment is one closed group of pictures: short ones first (the picture appears soon), longer ones
later (fewer bits). And AAC encoders put 1,024 samples of priming in front of the sound; a
fragmented file cannot say so in a way that every player obeys, so the priming packet is left out:
packet times then are sample counts, and the silence that opens every sentence hides the
decoder's warm-up.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np
import soxr
from av.audio.codeccontext import AudioCodecContext
from av.audio.stream import AudioStream
from av.packet import Packet
from av.video.frame import PictureType
from av.video.stream import VideoStream

from ditto_avatar.media.collected import CollectedBytes
from ditto_avatar.media.colour import tag_colours
from ditto_avatar.media.fragments import Fragment, FragmentSplitter
from ditto_avatar.types import (
    FRAME_RATE_HZ,
    SAMPLE_RATE_HZ,
    SAMPLES_PER_FRAME,
    ByteArray,
    FloatArray,
)

# 48 kHz plays everywhere, and its 21 ms packets let a fragment end close to its last picture.
AUDIO_RATE_HZ = 48_000
AUDIO_BIT_RATE = 64_000

# Levels of H.264, times ten, with their largest picture in macroblocks and their highest rate in
# macroblocks a second (ITU-T H.264, table A-1). Below 3.1 the bit rates would not do for a face.
_LEVELS = (
    (31, 3_600, 108_000),
    (32, 5_120, 216_000),
    (40, 8_192, 245_760),
    (42, 8_704, 522_240),
    (50, 22_080, 589_824),
    (51, 36_864, 983_040),
)
_MACROBLOCK_PX = 16
VIDEO_OPTIONS = {
    "preset": "superfast",
    "tune": "zerolatency",
    "profile": "baseline",
    "crf": "21",
    "forced-idr": "1",
    # Sliced threads would cut every picture into strips for a latency that one thread meets too.
    "x264-params": "threads=1:sliced-threads=0:scenecut=0:keyint=250",
}
"""How x264 encodes pictures, here and in `media.pictures`."""


def fragment_lengths() -> Iterator[int]:
    """Yield the frames of each fragment: 80 ms while the viewer waits, a second once there is a
    cushion. A fragment is shown from its first frame on and complete with its last, so each
    longer one has to be drawn ahead: growing step by step, this takes a fifth more than is played
    for the first three seconds."""
    yield from (2, 3, 5, 5, 5, 5, 10, 10, 10, 15, 15)
    while True:
        yield FRAME_RATE_HZ


def level_for(width: int, height: int) -> int:
    """Return the lowest level of H.264 (times ten, from 31) whose decoders take pictures of this
    size at 25 a second. Raises `ValueError` for a size beyond all of them."""
    blocks = -(-width // _MACROBLOCK_PX) * -(-height // _MACROBLOCK_PX)
    for level, largest, fastest in _LEVELS:
        if blocks <= largest and blocks * FRAME_RATE_HZ <= fastest:
            return level
    raise ValueError(f"{width}x{height} px are more than H.264 has a level for here")


def mime_type(width: int, height: int) -> str:
    """Return the type of a clip of this size, as Media Source Extensions ask for it: constrained
    baseline, the level, AAC."""
    return f'video/mp4; codecs="avc1.42c0{level_for(width, height):02x}, mp4a.40.2"'


@dataclass(frozen=True, slots=True)
class EncodedPicture:
    """One picture as H.264 in Annex B. A `key` picture begins with its parameter sets, so that a
    decoder can start there."""

    data: bytes
    key: bool


class FragmentEncoder:
    """Encode one stream: the fragments of a segment, or of a film. Not thread-safe: one caller at a
    time, blocking, so off the event loop."""

    def __init__(self, width: int, height: int) -> None:
        self._size = (width, height)
        self._written = CollectedBytes()
        self._container = av.open(
            self._written,
            mode="w",
            format="mp4",
            options={"movflags": "frag_keyframe+empty_moov+default_base_moof"},
        )
        self._video = self._add_video(width, height)
        self._audio, self._audio_codec = self._add_audio()
        self._resampler = soxr.ResampleStream(
            SAMPLE_RATE_HZ, AUDIO_RATE_HZ, 1, dtype="float32", quality="HQ"
        )
        self._splitter = FragmentSplitter()
        self._lengths = fragment_lengths()
        self._until_keyframe = 0
        self._frames = 0
        self._samples = 0
        self._samples_out = 0
        self._newest = EncodedPicture(b"", key=False)

    @property
    def frames(self) -> int:
        """Pictures encoded so far."""
        return self._frames

    @property
    def samples(self) -> int:
        """Samples taken so far, at 16 kHz."""
        return self._samples

    @property
    def newest(self) -> EncodedPicture:
        """The picture that `encode` took last, to be sent by itself."""
        return self._newest

    def open(self) -> None:
        """Open the codecs. Without it the first picture waits some 10 ms until they are open."""
        self._container.start_encoding()

    def encode(self, yuv: ByteArray, audio: FloatArray) -> list[Fragment]:
        """Add one I420 picture (height * 3 / 2, width) and samples (n,) at 16 kHz; return the
        fragments that are complete now (mostly none).

        Sound may run ahead of the pictures, and never stays behind: by picture ``i``,
        ``640 (i + 1)`` samples are expected. A fragment waits for the sound of its end, which the
        codec holds back for some 60 ms: two frames ahead make it complete when its pictures are.
        """
        self._samples += len(audio)
        if self._samples < (self._frames + 1) * SAMPLES_PER_FRAME:
            raise ValueError(
                f"a frame has {SAMPLES_PER_FRAME} samples: {self._samples} are too few for "
                f"{self._frames + 1} frames"
            )
        frame = av.VideoFrame.from_ndarray(yuv, format="yuv420p")
        frame.pts = self._frames
        if self._until_keyframe == 0:
            frame.pict_type = PictureType.I
            self._until_keyframe = next(self._lengths)
        self._until_keyframe -= 1
        self._frames += 1
        self._encode_audio(self._resampler.resample_chunk(audio))
        packets = self._video.encode(frame)
        self._newest = self._picture(packets)
        self._container.mux(packets)
        return self._splitter.feed(self._written.take())

    def finish(self) -> list[Fragment]:
        """End the stream; return the fragments that remain. The encoder cannot be used
        afterwards."""
        if self._frames:
            self._encode_audio(self._resampler.resample_chunk(np.zeros(0, np.float32), last=True))
            self._mux_audio(self._audio_codec.encode(None))
            self._container.mux(self._video.encode(None))
        self._container.close()
        return self._splitter.feed(self._written.take(), end=True)

    def abandon(self) -> None:
        """Free the codecs without a usable result."""
        self._container.close()

    def _picture(self, packets: list[Packet[VideoStream]]) -> EncodedPicture:
        data = b"".join(map(bytes, packets))
        key = any(packet.is_keyframe for packet in packets)
        # The container keeps the parameter sets in its header; a stream of packets has none.
        header = self._video.codec_context.extradata or b""
        return EncodedPicture(header + data if key else data, key)

    def _add_video(self, width: int, height: int) -> VideoStream:
        options = {**VIDEO_OPTIONS, "level": str(level_for(width, height))}
        stream = self._container.add_stream("libx264", rate=FRAME_RATE_HZ, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        codec = stream.codec_context
        codec.time_base = Fraction(1, FRAME_RATE_HZ)
        tag_colours(codec)
        return stream

    def _add_audio(self) -> tuple[AudioStream, AudioCodecContext]:
        stream = self._container.add_stream("aac", rate=AUDIO_RATE_HZ, layout="mono")
        stream.bit_rate = AUDIO_BIT_RATE
        return stream, stream.codec_context

    def _encode_audio(self, samples: FloatArray) -> None:
        if not len(samples):
            return
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(samples.reshape(1, -1)), format="fltp", layout="mono"
        )
        frame.sample_rate = AUDIO_RATE_HZ
        frame.time_base = Fraction(1, AUDIO_RATE_HZ)
        frame.pts = self._samples_out
        self._samples_out += len(samples)
        self._mux_audio(self._audio_codec.encode(frame))

    def _mux_audio(self, packets: list[Packet[AudioStream]]) -> None:
        end = self._samples * AUDIO_RATE_HZ // SAMPLE_RATE_HZ
        for packet in packets:
            # pts < 0 is the priming; at or past the last sample there is only padding.
            if packet.pts is not None and 0 <= packet.pts < end:
                packet.stream = self._audio
                self._container.mux(packet)
