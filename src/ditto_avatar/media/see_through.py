"""Write films that are transparent where nobody is, for editors and pages: WebM (VP9, which keeps
its opacity beside the picture) and MOV (ProRes 4444)."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from av.audio.stream import AudioStream
from av.video.stream import VideoStream

from ditto_avatar.media.clip import pcm16
from ditto_avatar.media.colour import tag_colours
from ditto_avatar.types import FRAME_RATE_HZ, SAMPLE_RATE_HZ, ByteArray, FloatArray

SUFFIXES = (".webm", ".mov")
_WEBM = {"crf": "24", "b": "0", "deadline": "good", "cpu-used": "5", "row-mt": "1", "g": "50"}
# 10 bits of colour and 8 of opacity.
_MOV = {"profile": "4444", "alpha_bits": "8", "vendor": "apl0"}


class SeeThroughFilm:
    """Encode packed pictures (colours above, opacity below) with their sound as the film `path`,
    whose suffix is one of `SUFFIXES`. Not thread-safe, blocking; the file is complete after
    `finish`."""

    def __init__(self, path: Path, suffix: str, width: int, height: int) -> None:
        """`width` and `height` are the film's, so half of a packed picture's."""
        self._webm = suffix == ".webm"
        self._size = width, height
        self._frames = 0
        self._samples = 0
        self._container = av.open(str(path), "w", format="webm" if self._webm else "mov")
        self._video = self._add_video(width, height)
        self._audio = self._add_audio()

    @property
    def frames(self) -> int:
        """Pictures encoded so far."""
        return self._frames

    def encode(self, packed: ByteArray, audio: FloatArray) -> None:
        """Add one packed I420 picture (height * 3, width) and its samples (n,) at 16 kHz."""
        frame = self._picture(packed)
        frame.pts, frame.time_base = self._frames, Fraction(1, FRAME_RATE_HZ)
        self._frames += 1
        self._container.mux(self._video.encode(frame))
        self._encode_audio(audio)

    def finish(self) -> None:
        """Write what the codecs hold back, and the index."""
        self._container.mux(self._video.encode(None))
        self._container.mux(self._audio.encode(None))
        self._container.close()

    def abandon(self) -> None:
        """Free the codecs without a usable result."""
        self._container.close()

    def _picture(self, packed: ByteArray) -> av.VideoFrame:
        width, height = self._size
        flat, chroma = packed.reshape(-1), width * height // 4
        first, half = 2 * width * height, (height // 2, width // 2)
        # A luma from 16 to 235 is an opacity from 0 to 255.
        opacity = cv2.convertScaleAbs(
            np.maximum(packed[height : 2 * height], 16), alpha=255 / 219, beta=-16 * 255 / 219
        )
        planes = (
            packed[:height],
            flat[first : first + chroma].reshape(half),
            flat[first + 2 * chroma : first + 3 * chroma].reshape(half),
            np.asarray(opacity, np.uint8),
        )
        frame = av.VideoFrame(width, height, "yuva420p")
        for plane, values in zip(frame.planes, planes, strict=True):
            rows = np.zeros((plane.height, plane.line_size), np.uint8)
            rows[:, : values.shape[1]] = values
            plane.update(rows.tobytes())
        return frame

    def _add_video(self, width: int, height: int) -> VideoStream:
        codec, options = ("libvpx-vp9", _WEBM) if self._webm else ("prores_ks", _MOV)
        stream = self._container.add_stream(codec, rate=FRAME_RATE_HZ, options=options)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height = width, height
        stream.pix_fmt = "yuva420p" if self._webm else "yuva444p10le"
        stream.codec_context.time_base = Fraction(1, FRAME_RATE_HZ)
        tag_colours(stream.codec_context)
        return stream

    def _add_audio(self) -> AudioStream:
        codec = "libopus" if self._webm else "pcm_s16le"
        stream = self._container.add_stream(codec, rate=SAMPLE_RATE_HZ, layout="mono")
        assert isinstance(stream, AudioStream)
        stream.format = "s16"
        return stream

    def _encode_audio(self, samples: FloatArray) -> None:
        if not len(samples):
            return
        pcm = np.frombuffer(pcm16(samples), "<i2").reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(pcm, format="s16", layout="mono")
        frame.sample_rate = SAMPLE_RATE_HZ
        frame.time_base = Fraction(1, SAMPLE_RATE_HZ)
        frame.pts = self._samples
        self._samples += len(samples)
        self._container.mux(self._audio.encode(frame))
