"""Run the last stage of a turn: pictures and their sound to the sink, at the viewers' pace."""

from __future__ import annotations

from ditto_avatar.pipeline import progress
from ditto_avatar.pipeline.flow import Flow, Replay, StreamSegments
from ditto_avatar.pipeline.pace import Pace
from ditto_avatar.pipeline.segment import Segment
from ditto_avatar.types import FRAME_RATE_HZ


class Drawing:
    """Hand pictures on, each to the segment whose sound it shows."""

    def __init__(self, flow: Flow, pace: Pace) -> None:
        self._flow = flow
        self._pace = pace
        self._frames = 0

    async def run(self) -> None:
        """Take the streams and replays of `flow.drawings` in order, and finish the sink."""
        while (drawing := await self._flow.drawings.get()) is not None:
            if isinstance(drawing, Replay):
                await self._replay(drawing)
            else:
                await self._draw(drawing)
        await self._flow.sink.finish()

    async def _draw(self, streaming: StreamSegments) -> None:
        flow = self._flow
        segment: Segment | None = None
        async for frame in streaming.stream:
            flow.reached(progress.Milestone.FIRST_FRAME)
            if segment is None or segment.complete:
                segment = await streaming.segments.get()
            await self._keep_pace(1)
            await flow.sink.add(segment, frame, segment.next_samples(frame))
            segment.took()
            await flow.end_if_complete(segment)

    async def _replay(self, replay: Replay) -> None:
        self._flow.reached(progress.Milestone.FIRST_FRAME)
        await self._keep_pace(replay.media.frames)
        await self._flow.sink.replay(replay.segment, replay.media)

    async def _keep_pace(self, frames: int) -> None:
        await self._pace.wait(self._frames / FRAME_RATE_HZ)
        self._frames += frames
