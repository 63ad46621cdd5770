"""A segment as single packets, for viewers who take it picture by picture.

One thread adds pictures with their samples, another reads. Everything is made once and shared by
all viewers: the pictures come from the one encoder, and the sound is encoded when the first of
them needs it.
"""

from __future__ import annotations

from collections.abc import Sequence

from ditto_avatar.media.encode import EncodedPicture
from ditto_avatar.media.opus import PACKET_SAMPLES, OpusEncoder
from ditto_avatar.types import SAMPLES_PER_FRAME, FloatArray

SOUNDS_PER_PICTURE = SAMPLES_PER_FRAME // PACKET_SAMPLES


class SegmentPackets:
    """Hold the packets of segment `id`, which grows until it is `complete`."""

    def __init__(self, segment: str) -> None:
        self.segment = segment
        self.complete = False
        """Whether no more pictures will come."""
        self.pictures: list[EncodedPicture] = []
        """The pictures so far."""
        self.last_frame = 0
        """The idle frame of the newest picture."""
        self._samples: list[FloatArray] = []
        self._sounds: list[bytes] = []
        self._opus: OpusEncoder | None = None

    def __len__(self) -> int:
        return len(self.pictures)

    def add(self, picture: EncodedPicture, samples: FloatArray, idle_frame: int = 0) -> None:
        """Add the next picture, its samples (640,) at 16 kHz, and the idle frame that it continues.
        For the thread that writes."""
        self.last_frame = idle_frame
        self._samples.append(samples)
        # Last: a reader counts pictures.
        self.pictures.append(picture)

    def add_all(
        self, pictures: Sequence[EncodedPicture], samples: FloatArray, last_frame: int
    ) -> None:
        """Add pictures, their samples (640 times as many,), and the idle frame of the last one. For
        the thread that writes."""
        for index, picture in enumerate(pictures):
            start = index * SAMPLES_PER_FRAME
            self.add(picture, samples[start : start + SAMPLES_PER_FRAME], last_frame)

    def close(self) -> None:
        """End the segment. For the thread that writes."""
        self.complete = True

    def sound(self, number: int) -> bytes:
        """Return Opus packet `number`: two for each picture. For the thread that reads, and for
        pictures that there are."""
        if self._opus is None:
            self._opus = OpusEncoder()
        while len(self._sounds) <= number:
            picture, half = divmod(len(self._sounds), SOUNDS_PER_PICTURE)
            samples = self._samples[picture][half * PACKET_SAMPLES : (half + 1) * PACKET_SAMPLES]
            self._sounds.append(self._opus.encode(samples))
        return self._sounds[number]
