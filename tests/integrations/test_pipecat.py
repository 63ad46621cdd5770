"""Pipecat's own pipeline, in one process; no transport to people."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pipecat", reason="the extra pipecat is not installed")

from pipecat.frames import frames
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.frame_processor import FrameDirection
from pipecat.tests.utils import QueuedFrameProcessor, run_test
from pipecat.workers.runner import WorkerRunner

from ditto_avatar.assembly import open_puppet
from ditto_avatar.face.avatar import Avatar
from ditto_avatar.integrations.live_avatar import LiveAvatar
from ditto_avatar.integrations.pipecat import AvatarService
from tests.deadlines import TEST_DEADLINE_S


def tone(seconds: float) -> Any:
    samples = (np.sin(np.arange(int(24_000 * seconds)) / 20) * 15_000).astype(np.int16)
    return frames.TTSAudioRawFrame(samples.tobytes(), 24_000, 1)


@contextlib.asynccontextmanager
async def avatar_service(pack: Avatar) -> AsyncIterator[AvatarService]:
    face = open_puppet()
    yield AvatarService(LiveAvatar(pack, face))
    await face.close()


async def test_the_sound_of_a_voice_comes_back_with_pictures(pack: Avatar) -> None:
    async with avatar_service(pack) as service:
        sent = [tone(0.8), frames.TTSStoppedFrame()]
        down, _ = await run_test(service, frames_to_send=sent)
    sounds = [f for f in down if isinstance(f, frames.TTSAudioRawFrame)]
    pictures = [f for f in down if isinstance(f, frames.OutputImageRawFrame)]
    assert len(sounds) == 20, "the pipeline's end waits for the last sound"
    assert {f.sample_rate for f in sounds} == {16_000}
    assert sum(f.sync_with_audio for f in pictures) == 20
    assert len(pictures) > 20, "it shows its idle loop in between"
    assert all(len(f.image) == pack.width * pack.height * 3 for f in pictures)
    assert service.heard_s == pytest.approx(0.8)


async def until(down: asyncio.Queue[Any], kind: type, seen: list[Any]) -> None:
    """Read what comes out of the pipeline until a frame of this kind."""
    async with asyncio.timeout(TEST_DEADLINE_S):
        while not seen or not isinstance(seen[-1], kind):
            seen.append(await down.get())


async def test_an_interruption_stops_it_and_says_how_much_was_heard(pack: Avatar) -> None:
    down: asyncio.Queue[Any] = asyncio.Queue()
    seen: list[Any] = []
    async with avatar_service(pack) as service:
        sink = QueuedFrameProcessor(queue=down, queue_direction=FrameDirection.DOWNSTREAM)
        worker = PipelineWorker(Pipeline([service, sink]))
        runner = WorkerRunner()
        await runner.add_workers(worker)
        running = asyncio.create_task(runner.run())
        await until(down, frames.OutputImageRawFrame, seen)
        await worker.queue_frame(tone(30.0))
        await until(down, frames.TTSAudioRawFrame, seen)
        await worker.queue_frame(frames.InterruptionFrame())
        await until(down, frames.InterruptionFrame, seen)
        seen.append(await down.get())
        await until(down, frames.OutputImageRawFrame, seen)
        await worker.queue_frame(frames.EndFrame())
        await until(down, frames.EndFrame, seen)
        await running
    sounds = [f for f in seen if isinstance(f, frames.TTSAudioRawFrame)]
    assert 0 < len(sounds) < 700
    assert service.heard_s == pytest.approx(len(sounds) * 0.04, abs=0.09)
    after = seen[max(seen.index(f) for f in sounds) + 1 :]
    assert any(isinstance(f, frames.OutputImageRawFrame) for f in after)
