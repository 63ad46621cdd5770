"""Define where the pictures and the sound of a turn go.

The pipeline hands each picture with its 640 samples to one sink. `EncodingSink` encodes once and
shares the result among its outputs: fragments for viewers, the cache, clips. `FileSink` writes
the whole turn into one film, `SeeThroughSink` into one that is transparent beside the presenter.
"""

from __future__ import annotations

from collections.abc import Callable

from ditto_avatar.pipeline.cache import SegmentMedia
from ditto_avatar.pipeline.request import Notify, TurnRequest
from ditto_avatar.pipeline.segment import Segment
from ditto_avatar.types import FloatArray, VideoFrame


class Sink:
    """Take the segments of one turn, one after the other. Belongs to the event loop. The base does
    nothing with them."""

    async def run(self) -> None:
        """Do the work that goes on beside the drawing; return after `finish`. Cancelling is
        safe."""

    def begin(self, segment: Segment) -> None:
        """Expect the pictures of `segment`: its first sound has come."""

    async def add(self, segment: Segment, frame: VideoFrame, samples: FloatArray) -> None:
        """Take the next picture of `segment` and its samples (640,).
        Waits while the sink is behind. A cancelled turn calls `abandon` next."""

    async def end(self, segment: Segment) -> None:
        """Finish `segment`, which is complete."""

    async def replay(self, segment: Segment, media: SegmentMedia) -> None:
        """Take a whole segment from the cache."""

    async def finish(self) -> None:
        """Finish the turn: no more segments will come."""

    def abandon(self) -> None:
        """Free everything that was not finished. Called at the end of every turn."""


SinkChoice = Callable[[TurnRequest, Notify], Sink]
"""Make the sink of one turn; it tells `Notify` what becomes of the segments."""
