"""A segment as single packets, for viewers who take it picture by picture.

One thread adds pictures and sound, another reads. Everything is made once and shared by
all viewers: the pictures come from the one encoder, and the sound is encoded when the first of
them needs it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ditto_avatar.media.encode import EncodedPicture
from ditto_avatar.media.opus import PACKET_SAMPLES, OpusEncoder
from ditto_avatar.types import SAMPLES_PER_FRAME, FloatArray

SOUNDS_PER_PICTURE = SAMPLES_PER_FRAME // PACKET_SAMPLES
# Softer than one step of 16 bits is silence.
_SILENT = 1 / 32_768


class SegmentPackets:
    """Hold the packets of segment `id`, which grows until it is `complete`."""

    def __init__(self, segment: str) -> None:
        self.segment = segment
        self.complete = False
        """Whether no more pictures will come."""
        self.sound_complete = False
        """Whether no more sound will come."""
        self.pictures: list[EncodedPicture] = []
        """The pictures so far."""
        self.last_frame = 0
        """The idle frame of the newest picture."""
        self._samples: FloatArray = np.zeros(0, np.float32)
        self._sounds: list[bytes] = []
        self._opus: OpusEncoder | None = None

    def __len__(self) -> int:
        return len(self.pictures)

    @property
    def sounds(self) -> int:
        """How many packets of sound there are, mostly more than two for each picture."""
        return len(self._samples) // PACKET_SAMPLES

    def hear(self, samples: FloatArray, *, complete: bool) -> None:
        """Take all samples (n,) at 16 kHz of the segment so far. For the thread that writes."""
        self._samples = samples
        self.sound_complete = complete

    def add(self, picture: EncodedPicture, idle_frame: int = 0) -> None:
        """Add the next picture, and the idle frame that it continues. Its samples (640,) are there
        already. For the thread that writes."""
        self.last_frame = idle_frame
        # Last: a reader counts pictures.
        self.pictures.append(picture)

    def add_all(self, pictures: Sequence[EncodedPicture], last_frame: int) -> None:
        """Add pictures, and the idle frame of the last one. For the thread that writes."""
        for picture in pictures:
            self.add(picture, last_frame)

    def close(self) -> None:
        """End the segment. For the thread that writes."""
        # In this order: a reader that sees the end of the pictures has all of the sound.
        self.sound_complete = True
        self.complete = True

    def silent(self, most: int) -> int:
        """Return how many packets of silence the sound begins with, `most` at most."""
        head = np.abs(self._samples[: most * PACKET_SAMPLES]) >= _SILENT
        loud = int(head.argmax()) if head.any() else len(head)
        return loud // PACKET_SAMPLES

    def sound(self, number: int) -> bytes:
        """Return Opus packet `number`: two for each picture; what should be there and is not is
        silent. For the thread that reads, in rising order."""
        if self._opus is None:
            self._opus = OpusEncoder()
        while len(self._sounds) <= number:
            start = len(self._sounds) * PACKET_SAMPLES
            samples = self._samples[start : start + PACKET_SAMPLES]
            missing = PACKET_SAMPLES - len(samples)
            self._sounds.append(self._opus.encode(np.pad(samples, (0, missing))))
        return self._sounds[number]
