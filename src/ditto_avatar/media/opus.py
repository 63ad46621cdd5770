"""Encode sound as Opus packets of 20 ms, as WebRTC carries it."""

from __future__ import annotations

from fractions import Fraction
from functools import cache

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext

from ditto_avatar.media.clip import pcm16
from ditto_avatar.types import SAMPLE_RATE_HZ, FloatArray

PACKET_SAMPLES = SAMPLE_RATE_HZ // 50
"""Samples of one packet at 16 kHz: 20 ms."""

_OPTIONS = {
    "application": "voip",
    "frame_duration": "20",
    "vbr": "on",
    # Each packet repeats the one before it in short, so that a lost packet is hardly heard.
    "fec": "1",
    "packet_loss": "10",
}
_BIT_RATE = 32_000


class OpusEncoder:
    """Encode one stream of sound. Opus takes 16 kHz as it is; its RTP clock is 48 kHz all the same.
    Some 0.3 ms a packet. Not thread-safe."""

    def __init__(self) -> None:
        codec = av.CodecContext.create("libopus", "w")
        assert isinstance(codec, AudioCodecContext)
        codec.bit_rate = _BIT_RATE
        codec.format, codec.layout, codec.sample_rate = "s16", "mono", SAMPLE_RATE_HZ
        codec.time_base = Fraction(1, SAMPLE_RATE_HZ)
        codec.options = dict(_OPTIONS)
        self._codec = codec
        self._samples = 0

    def encode(self, samples: FloatArray) -> bytes:
        """Encode the next samples (320,) at 16 kHz as one packet."""
        pcm = np.frombuffer(pcm16(samples), "<i2").reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(pcm, format="s16", layout="mono")
        frame.sample_rate = SAMPLE_RATE_HZ
        frame.pts = self._samples
        self._samples += len(samples)
        return b"".join(map(bytes, self._codec.encode(frame)))


@cache
def silent_packet() -> bytes:
    """Return a packet of silence that a decoder takes at any moment."""
    encoder = OpusEncoder()
    nothing = np.zeros(PACKET_SAMPLES, np.float32)
    return [encoder.encode(nothing) for _ in range(10)][-1]
