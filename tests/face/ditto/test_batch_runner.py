"""The device as the streams see it."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch

from ditto_avatar.face.avatar import Avatar
from ditto_avatar.face.ditto.batch_runner import BatchRunner, FrameWork, PictureJob
from ditto_avatar.face.ditto.load_controller import LoadController, levels
from ditto_avatar.face.ditto.models import DittoModels
from ditto_avatar.face.ditto.pipeline import Pipeline
from ditto_avatar.face.ditto.registration import Registration, registered
from ditto_avatar.face.ditto.source_frames import Cutout, SourceFrames
from ditto_avatar.types import FloatArray
from tests.fakes.clock import ManualClock


class SlowAlbum(SourceFrames):
    """Takes three seconds to cut out its frames, and says on which threads it did."""

    def __init__(self, avatar: Avatar, registration: Registration, clock: ManualClock) -> None:
        super().__init__(avatar, registration)
        self.clock = clock
        self.cuts: list[tuple[str, list[int]]] = []

    def cut(self, frames: Sequence[int]) -> list[Cutout]:
        self.clock.advance(3)
        self.cuts.append((threading.current_thread().name, list(frames)))
        return super().cut(frames)


class BrokenAlbum(SourceFrames):
    """Cuts out pictures without colour, which no network reads."""

    def cut(self, frames: Sequence[int]) -> list[Cutout]:
        return [replace(cutout, face=cutout.face[..., :1]) for cutout in super().cut(frames)]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def load_controller() -> LoadController:
    return LoadController(levels(10, 70))


@pytest.fixture
async def batch_runner(
    models: DittoModels, clock: ManualClock, load_controller: LoadController
) -> AsyncIterator[BatchRunner]:
    batch_runner = BatchRunner(
        Pipeline(models.runners, 1), 1 << 30, load_controller, clock.now, models.encode
    )
    yield batch_runner
    await batch_runner.close()


def jobs(frames: Sequence[int]) -> list[PictureJob]:
    points: FloatArray = np.random.default_rng(0).uniform(-0.5, 0.5, (21, 3)).astype(np.float32)
    return [PictureJob(frame, points, points) for frame in frames]


@pytest.mark.parametrize(("device", "current"), [("cuda:1", 1), ("cpu", None)])
async def test_every_thread_works_on_the_chosen_device(
    models: DittoModels,
    clock: ManualClock,
    load_controller: LoadController,
    monkeypatch: pytest.MonkeyPatch,
    device: str,
    current: int | None,
) -> None:
    place = threading.local()
    monkeypatch.setattr(
        torch.cuda, "set_device", lambda device: setattr(place, "device", device.index)
    )
    runners = replace(models.runners, device=torch.device(device))
    batch_runner = BatchRunner(Pipeline(runners, 1), 1, load_controller, clock.now, models.encode)
    for pool in (batch_runner.on_sound, batch_runner.on_registrar):
        assert await pool(lambda: getattr(place, "device", None)) == current
    await batch_runner.close()


async def test_frames_are_cut_out_beside_the_device_and_once(
    batch_runner: BatchRunner, avatar: Avatar, models: DittoModels, clock: ManualClock
) -> None:
    source_frames = SlowAlbum(avatar, registered(avatar, models), clock)
    for _ in range(2):
        frames = await batch_runner.draw(1, source_frames, [200.0] * 3, jobs([4, 2, 4]))
        assert [frame.shape for frame in frames] == [(480, 256)] * 3
    ((thread, cut),) = source_frames.cuts
    assert thread.startswith("ditto-cut")
    assert cut == [2, 4]


async def test_the_device_is_not_late_for_what_took_others_time(
    batch_runner: BatchRunner,
    avatar: Avatar,
    models: DittoModels,
    clock: ManualClock,
    load_controller: LoadController,
) -> None:
    source_frames = SlowAlbum(avatar, registered(avatar, models), clock)
    await batch_runner.draw(1, source_frames, [clock.now() + 0.2], jobs([0]))
    assert load_controller.level == 0


async def test_a_picture_that_cannot_be_made_fails_its_own_viewer_only(
    batch_runner: BatchRunner, avatar: Avatar, models: DittoModels
) -> None:
    good = SourceFrames(avatar, registered(avatar, models))
    bad = BrokenAlbum(avatar, good.registration)
    bad.name = "broken"
    works = []
    for source_frames in (good, bad, good):
        bases = await batch_runner._bases(source_frames, {1})
        (job,) = jobs([1])
        works.append(FrameWork(source_frames.name, 1, bases[1], job.source, job.driving))
    first, error, last = batch_runner._begin(works)()
    assert isinstance(error, Exception)
    assert np.array_equal(first, last)
    with pytest.raises(RuntimeError):
        await batch_runner.draw(1, bad, [200.0], jobs([1]))
    assert len(await batch_runner.draw(2, good, [200.0], jobs([1]))) == 1
