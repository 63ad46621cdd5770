"""The device as the performances see it."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch

from ditto_avatar.face.avatar import Avatar
from ditto_avatar.face.ditto.album import Album, Cutout
from ditto_avatar.face.ditto.models import DittoModels
from ditto_avatar.face.ditto.pipeline import Pipeline
from ditto_avatar.face.ditto.pressure import Pressure, levels
from ditto_avatar.face.ditto.registration import Registration, registered
from ditto_avatar.face.ditto.stage import FrameWork, PictureJob, Stage
from ditto_avatar.types import FloatArray
from tests.fakes.clock import ManualClock


class SlowAlbum(Album):
    """Takes three seconds to cut out its frames, and says on which threads it did."""

    def __init__(self, avatar: Avatar, registration: Registration, clock: ManualClock) -> None:
        super().__init__(avatar, registration)
        self.clock = clock
        self.cuts: list[tuple[str, list[int]]] = []

    def cut(self, frames: Sequence[int]) -> list[Cutout]:
        self.clock.advance(3)
        self.cuts.append((threading.current_thread().name, list(frames)))
        return super().cut(frames)


class BrokenAlbum(Album):
    """Cuts out pictures without colour, which no network reads."""

    def cut(self, frames: Sequence[int]) -> list[Cutout]:
        return [replace(cutout, face=cutout.face[..., :1]) for cutout in super().cut(frames)]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def pressure() -> Pressure:
    return Pressure(levels(10, 70))


@pytest.fixture
async def stage(
    models: DittoModels, clock: ManualClock, pressure: Pressure
) -> AsyncIterator[Stage]:
    stage = Stage(Pipeline(models.runners, 1), 1 << 30, pressure, clock.now)
    yield stage
    await stage.close()


def jobs(frames: Sequence[int]) -> list[PictureJob]:
    points: FloatArray = np.random.default_rng(0).uniform(-0.5, 0.5, (21, 3)).astype(np.float32)
    return [PictureJob(frame, points, points) for frame in frames]


@pytest.mark.parametrize(("device", "current"), [("cuda:1", 1), ("cpu", None)])
async def test_every_thread_works_on_the_chosen_device(
    models: DittoModels,
    clock: ManualClock,
    pressure: Pressure,
    monkeypatch: pytest.MonkeyPatch,
    device: str,
    current: int | None,
) -> None:
    place = threading.local()
    monkeypatch.setattr(
        torch.cuda, "set_device", lambda device: setattr(place, "device", device.index)
    )
    runners = replace(models.runners, device=torch.device(device))
    stage = Stage(Pipeline(runners, 1), 1, pressure, clock.now)
    for pool in (stage.on_sound, stage.on_registrar):
        assert await pool(lambda: getattr(place, "device", None)) == current
    await stage.close()


async def test_frames_are_cut_out_beside_the_device_and_once(
    stage: Stage, avatar: Avatar, models: DittoModels, clock: ManualClock
) -> None:
    album = SlowAlbum(avatar, registered(avatar, models), clock)
    for _ in range(2):
        frames = await stage.draw(1, album, [200.0] * 3, jobs([4, 2, 4]))
        assert [frame.shape for frame in frames] == [(480, 256)] * 3
    ((thread, cut),) = album.cuts
    assert thread.startswith("ditto-cut")
    assert cut == [2, 4]


async def test_the_device_is_not_late_for_what_took_others_time(
    stage: Stage, avatar: Avatar, models: DittoModels, clock: ManualClock, pressure: Pressure
) -> None:
    album = SlowAlbum(avatar, registered(avatar, models), clock)
    await stage.draw(1, album, [clock.now() + 0.2], jobs([0]))
    assert pressure.level == 0


async def test_a_picture_that_cannot_be_made_fails_its_own_viewer_only(
    stage: Stage, avatar: Avatar, models: DittoModels
) -> None:
    good = Album(avatar, registered(avatar, models))
    bad = BrokenAlbum(avatar, good.registration)
    bad.name = "broken"
    works = []
    for album in (good, bad, good):
        bases = await stage._bases(album, {1})
        (job,) = jobs([1])
        works.append(FrameWork(album.name, 1, bases[1], job.source, job.driving))
    first, error, last = stage._begin(works)()
    assert isinstance(error, Exception)
    assert np.array_equal(first, last)
    with pytest.raises(RuntimeError):
        await stage.draw(1, bad, [200.0], jobs([1]))
    assert len(await stage.draw(2, good, [200.0], jobs([1]))) == 1
