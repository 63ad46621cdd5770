"""Keep the sound of a stream until its pictures have come, so that another worker can go on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from ditto_avatar.cluster import worker_pb2 as pb
from ditto_avatar.cluster.messages import Sound
from ditto_avatar.types import SAMPLES_PER_FRAME

Step = Sound | pb.Up
"""What goes up to a worker; sound becomes a message when it is sent."""


@dataclass(slots=True)
class KeptSentence:
    """What was pushed of a sentence, and how many of its pictures have come."""

    sounds: list[Sound] = field(default_factory=list)
    closed: bool = False
    received: int = 0

    def steps(self) -> Iterator[Step]:
        """Yield what brings the pictures that have not come yet."""
        skip = self.received * SAMPLES_PER_FRAME
        for sound in self.sounds:
            if skip < len(sound.samples):
                yield sound.after(skip) if skip else sound
            skip = max(0, skip - len(sound.samples))
        if self.closed:
            yield pb.Up(flush=pb.Flush())
