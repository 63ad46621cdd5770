"""Until the quick backend is there another one draws, and streams end where they began."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, cast

import pytest
from torch import Tensor

from ditto_avatar.errors import Busy, ShuttingDown
from ditto_avatar.face.avatar import Avatar
from ditto_avatar.face.base import Backends
from ditto_avatar.face.ditto.engine import DittoEngine
from ditto_avatar.face.ditto.load_controller import CALM_S, Capacity
from ditto_avatar.face.ditto.models import Coming, DittoModels
from ditto_avatar.face.ditto.options import DittoOptions
from ditto_avatar.face.ditto.rehearsal import Rehearsal, streams_of
from ditto_avatar.face.ditto.runtime.beside import Beside, Stopped
from ditto_avatar.face.ditto.runtime.verdicts import Verdicts
from tests.cancelling import cancelled_everywhere
from tests.face.ditto.test_engine import perform, speech, watch
from tests.face.ditto.test_rehearsal import Counted
from tests.fakes.clock import ManualClock

DEVICE_ALONE = Capacity(1e-3, 1e-3)  # 31 streams


@dataclass
class Scene:
    """Two backends that are told apart by who drew, and the moment at which the quick one is
    there."""

    models: DittoModels
    drawn: list[str] = field(default_factory=list)
    ready: threading.Event = field(default_factory=threading.Event)
    begun: threading.Event = field(default_factory=threading.Event)
    fails: Exception | None = None
    pieces: list[str] = field(default_factory=list)
    ended: bool = False

    def backend(self, name: str) -> DittoModels:
        runners = self.models.runners

        def frame(volume: Tensor, compressed: Tensor, source: Tensor, driving: Tensor) -> Tensor:
            self.drawn.append(name)
            return runners.frame(volume, compressed, source, driving)

        return replace(
            self.models, runners=replace(runners, name=name, frame=frame), capacity=DEVICE_ALONE
        )

    def make(self, beside: Beside) -> DittoModels:
        """Wait for `ready` as for a compiler, then record on the device's thread."""
        try:
            self.begun.set()
            with beside.ended_by(self.ready.set):
                self.ready.wait()
            beside.check()
            if self.fails is not None:
                raise self.fails
            beside.on_device(lambda: self.pieces.append(threading.current_thread().name))
            return self.backend("quick")
        finally:
            self.ended = True

    def interim(self, places: int = 2) -> DittoModels:
        return replace(self.backend("soon"), coming=Coming("quick", places, self.make))


@pytest.fixture
def scene(models: DittoModels) -> Scene:
    return Scene(models)


@pytest.fixture
async def engine(scene: Scene, options: DittoOptions) -> AsyncIterator[DittoEngine]:
    engine = DittoEngine(scene.interim(), options, ManualClock().now)
    yield engine
    await engine.close()


async def taken_over(scene: Scene, engine: DittoEngine) -> None:
    scene.ready.set()
    await engine.prepared()


async def test_a_stream_ends_with_the_backend_it_began_with(
    scene: Scene, engine: DittoEngine, avatar: Avatar
) -> None:
    assert engine.backends == Backends("soon", "quick")
    first = await engine.open(avatar)
    await first.push(speech(12))
    await first.flush()
    frames = aiter(first)
    assert (await anext(frames)).index == 0
    await taken_over(scene, engine)
    assert engine.backends == Backends("quick")
    scene.drawn.clear()
    assert len(await perform(await engine.open(avatar), [speech(5)])) == 5
    assert set(scene.drawn) == {"quick"}
    scene.drawn.clear()
    await first.push(speech(30))
    await first.finish()
    assert len([frame async for frame in frames]) == 41
    assert set(scene.drawn) == {"soon"}


async def test_what_is_recorded_is_recorded_on_the_thread_of_the_device(
    scene: Scene, engine: DittoEngine
) -> None:
    await taken_over(scene, engine)
    assert scene.pieces == ["ditto"]


async def test_the_backend_that_was_left_is_closed_when_its_last_stream_ends(
    scene: Scene, engine: DittoEngine, avatar: Avatar
) -> None:
    old = engine._renderer
    stream = await engine.open(avatar)
    await taken_over(scene, engine)
    assert engine._leaving == {old}
    assert engine.strained, "pictures of the old one are not kept under the name of the new one"
    await stream.cancel()
    assert not engine._leaving
    await asyncio.gather(*engine._ends)
    assert not engine.strained
    with pytest.raises(RuntimeError, match="after shutdown"):  # its threads have ended
        await old.batch_runner.on_registrar(lambda: None)


async def test_few_are_admitted_until_it_is_counted_what_the_quick_one_holds(
    scene: Scene, engine: DittoEngine, avatar: Avatar
) -> None:
    counted = Counted(300.0)
    engine.rehearsal = lambda: cast(Rehearsal, counted)
    assert engine.max_streams == 2
    await engine.prepare(avatar)
    assert not counted.begun.is_set(), "what is left soon is not worth counting"
    await taken_over(scene, engine)
    await counted.begun.wait()
    assert engine.max_streams == 2
    counted.ready.set()
    await engine.prepare(avatar)
    assert engine.max_streams == streams_of(300.0)


async def test_what_was_counted_is_admitted_at_the_next_start(
    scene: Scene, options: DittoOptions, avatar: Avatar, tmp_path: Any
) -> None:
    quick = replace(scene.backend("quick"), verdicts=Verdicts(tmp_path / "verdicts"))
    first, second = Counted(250.0), Counted(250.0)
    first.ready.set()
    for counted in (first, second):
        engine = DittoEngine(quick, options, ManualClock().now)
        engine.rehearsal = partial(cast, Rehearsal, counted)
        await engine.prepare(avatar)  # which does not wait for the second one
        assert engine.max_streams == streams_of(250.0)
        await engine.close()
    assert not second.ready.is_set()


async def test_one_more_is_admitted_where_there_was_long_time_to_spare(
    scene: Scene, options: DittoOptions, avatar: Avatar
) -> None:
    """Where somebody always watches, nothing can be counted."""
    clock = ManualClock()
    engine = DittoEngine(scene.interim(places=1), options, clock.now, wait_s=0)
    first = await engine.open(avatar)
    await taken_over(scene, engine)
    with pytest.raises(Busy):
        await engine.open(avatar)
    clock.advance(CALM_S)
    second = await engine.open(avatar)
    assert engine.max_streams == 2
    with pytest.raises(Busy):
        await engine.open(avatar)
    for stream in (first, second):
        await stream.cancel()
    await engine.close()


async def test_a_quick_backend_that_fails_leaves_the_one_that_draws(
    scene: Scene, engine: DittoEngine, avatar: Avatar, caplog: pytest.LogCaptureFixture
) -> None:
    scene.fails = RuntimeError("the compiler is broken")
    await taken_over(scene, engine)
    assert engine.backends == Backends("soon", None, failed=1)
    assert "Ditto goes on with soon: quick failed." in caplog.text
    assert "the compiler is broken" in caplog.text
    assert len(await perform(await engine.open(avatar), [speech(5)])) == 5
    assert set(scene.drawn) == {"soon"}
    assert engine.strained, "the fingerprint names the backend that was to draw"


async def test_the_fingerprint_is_that_of_the_backend_that_stays(
    scene: Scene, engine: DittoEngine, options: DittoOptions
) -> None:
    alone = DittoEngine(scene.backend("quick"), options)
    before = engine.fingerprint
    assert engine.strained
    await taken_over(scene, engine)
    assert engine.fingerprint == before == alone.fingerprint
    await alone.close()


async def test_closing_stops_a_preparation_and_waits_for_its_end(
    scene: Scene, options: DittoOptions, avatar: Avatar
) -> None:
    engine = DittoEngine(scene.interim(), options)
    await asyncio.to_thread(scene.begun.wait)
    watching = asyncio.create_task(watch(await engine.open(avatar)))
    await engine.close()
    assert scene.ended
    assert not scene.pieces
    assert await watching == []
    assert not [each for each in threading.enumerate() if each.name.startswith("ditto-prepare")]
    with pytest.raises(ShuttingDown):
        await engine.open(avatar)


@pytest.mark.parametrize("when", ["before", "after"])
async def test_closing_cancelled_at_every_await_leaves_no_thread(
    models: DittoModels, options: DittoOptions, avatar: Avatar, when: str
) -> None:
    """Called again it waits for what the first call has begun to end."""
    opened: list[tuple[Scene, DittoEngine]] = []

    async def use() -> None:
        scene = Scene(models)
        engine = DittoEngine(scene.interim(), options)
        opened.append((scene, engine))
        stream = await engine.open(avatar)
        if when == "after":
            await taken_over(scene, engine)
        await stream.push(speech(3))
        await stream.finish()
        await watch(stream)
        await engine.close()

    before = _threads()
    async for _ in cancelled_everywhere(use):
        scene, engine = opened.pop()
        await engine.close()
        assert scene.ended or not scene.begun.is_set()
        assert engine.streams == 0
    assert _threads() <= before


def _threads() -> set[str]:
    """The threads of engines that are there."""
    return {each.name for each in threading.enumerate() if each.name.startswith("ditto")}


# Beside what draws ------------------------------------------------------------------------------


def test_nothing_is_waited_for_once_it_was_stopped() -> None:
    beside = Beside()
    assert beside.on_device(lambda: 7) == 7
    killed: list[str] = []
    with beside.ended_by(lambda: killed.append("child")):
        beside.stop()
    assert killed == ["child"]
    calls: list[Callable[[], object]] = [
        beside.check,
        lambda: beside.on_device(lambda: 7),
        lambda: beside.ended_by(lambda: None).__enter__(),
    ]
    for call in calls:
        with pytest.raises(Stopped):
            call()
