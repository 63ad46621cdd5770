from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest

from ditto_avatar.clock import Clock, SystemClock
from ditto_avatar.credentials.statement import Statement
from ditto_avatar.errors import NotFound
from ditto_avatar.face.avatar import Avatar
from ditto_avatar.face.pack import load_avatar
from ditto_avatar.metrics import Metrics
from ditto_avatar.pipeline.answer_length import AnswerLimits
from ditto_avatar.pipeline.cache import SegmentCache
from ditto_avatar.pipeline.clip_signing import ClipSigner
from ditto_avatar.pipeline.clip_writer import ClipWriter
from ditto_avatar.pipeline.clips import ClipFolder
from ditto_avatar.pipeline.outputs import LiveSinks
from ditto_avatar.pipeline.pipeline import Pipeline
from ditto_avatar.pipeline.request import Engines
from ditto_avatar.session.admission import Admission
from ditto_avatar.session.cleaning import Cleaning
from ditto_avatar.session.database import sqlite_url
from ditto_avatar.session.erasure import Erasure
from ditto_avatar.session.exports import Exports
from ditto_avatar.session.grant import Grant
from ditto_avatar.session.limits import RateLimit, Share
from ditto_avatar.session.ownership import Ownership
from ditto_avatar.session.registry import Registry
from ditto_avatar.session.removal import Removal
from ditto_avatar.session.services import Services
from ditto_avatar.session.session import Session
from ditto_avatar.session.store import Store
from ditto_avatar.transport import events
from ditto_avatar.transport.outbox import Outbox
from ditto_avatar.types import FloatArray, Language
from tests.deadlines import TEST_DEADLINE_S
from tests.fakes.engines import LoudnessFace, ScriptedDialogue, ToneSpeech
from tests.fakes.packs import make_pack

E = TypeVar("E", bound=events.Event)
THREADS = 2


@dataclass
class Viewer:
    """Reads a session's events and keeps them."""

    outbox: Outbox
    events: list[events.Event] = field(default_factory=list)
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def read(self) -> None:
        while (numbered := await self.outbox.get()) is not None:
            async with self._changed:
                self.events.append(numbered.event)
                self._changed.notify_all()

    async def until(
        self, kind: type[E], count: int = 1, where: Callable[[E], bool] = lambda event: True
    ) -> E:
        """Wait for the `count`-th event of a kind `where` it is as wanted."""

        def matching() -> list[E]:
            return [event for event in self.of(kind) if where(event)]

        async with asyncio.timeout(TEST_DEADLINE_S), self._changed:
            await self._changed.wait_for(lambda: len(matching()) >= count)
        return matching()[count - 1]

    def of(self, kind: type[E]) -> list[E]:
        return [event for event in self.events if isinstance(event, kind)]


class GatedClips(ClipFolder):
    """With `gate` set, writing a clip waits for it; `begun` and `removed` tell what happened."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, max_age_s=1000, max_bytes=10**9)
        self.gate: threading.Event | None = None
        self.begun, self.removed = threading.Event(), threading.Event()

    def store(self, stream: bytes, audio: FloatArray, statement: Statement | None = None) -> str:
        self.begun.set()
        if self.gate is not None:
            assert self.gate.wait(TEST_DEADLINE_S)
        return super().store(stream, audio, statement)

    def remove(self, names: Iterable[str]) -> None:
        super().remove(names)
        self.removed.set()


@dataclass
class World:
    """Real sessions on a real store, with engines that tests can hold up."""

    registry: Registry
    removal: Removal
    exports: Exports
    cleaning: Cleaning
    services: Services
    clips: GatedClips
    clip_writer: ClipWriter
    cache: SegmentCache
    dialogue: ScriptedDialogue
    speech: ToneSpeech
    face: LoudnessFace
    data_dir: Path
    executor: ThreadPoolExecutor

    async def threads_rest(self) -> None:
        """Return when the threads have done what they were given before."""
        loop = asyncio.get_running_loop()
        everyone = threading.Barrier(THREADS)
        waits = [
            loop.run_in_executor(self.executor, everyone.wait, TEST_DEADLINE_S)
            for _ in range(THREADS)
        ]
        await asyncio.gather(*waits)

    @asynccontextmanager
    async def viewer(
        self,
        session: Session,
        *,
        streams: bool = True,
        after: int | None = None,
        epoch: int | None = None,
    ) -> AsyncIterator[Viewer]:
        """Watch; one that comes back is of the present epoch unless it names another."""
        outbox = Outbox(streams=streams)
        session.attach(
            outbox,
            resumed=after is not None,
            after=after,
            epoch=epoch or session._context.held.epoch,
        )
        viewer = Viewer(outbox)
        reading = asyncio.create_task(viewer.read())
        try:
            yield viewer
        finally:
            session.detach(outbox)
            outbox.close()
            await reading


@pytest.fixture(scope="session")
def avatar(tmp_path_factory: pytest.TempPathFactory) -> Avatar:
    return load_avatar(make_pack(tmp_path_factory.mktemp("avatars") / "oval"))


Worlds = Callable[..., Any]


@pytest.fixture
async def open_world(avatar: Avatar, tmp_path: Path) -> AsyncIterator[Worlds]:
    """Makes a `World`; keyword arguments change its limits."""
    executor = ThreadPoolExecutor(THREADS)
    worlds: list[World] = []

    def find_avatar(name: str, key: str | None) -> Avatar:
        if name != "oval":
            raise NotFound(f"There is no avatar named {name!r}.")
        return avatar

    async def make(
        *,
        places: int = 4,
        max_waiting: int = 4,
        turns_per_minute: int = 60,
        sessions_per_minute: int = 60,
        max_sessions: int = 50,
        share: float = 1.0,
        idle_s: float = 3600,
        lead_s: float = 60.0,
        cache_bytes: int = 0,
        own_sentences: frozenset[str] = frozenset(),
        transcription: str = "browser",
        clock: Clock | None = None,
        database_url: str | None = None,
        limits: AnswerLimits | None = None,
        admits: Callable[[Grant | None], bool] = lambda grant: True,
    ) -> World:
        clock = clock or SystemClock()
        dialogue, speech, face = ScriptedDialogue(), ToneSpeech(), LoudnessFace()
        clips = GatedClips(tmp_path / "clips")
        cache = SegmentCache(tmp_path / "cache", cache_bytes)
        store = Store(database_url or sqlite_url(tmp_path))
        await store.start()
        signer = ClipSigner(clips)
        clip_writer = ClipWriter(clips, executor, signer)
        metrics = Metrics()
        services = Services(
            pipeline=Pipeline(
                engines=lambda avatar, tell: Engines(dialogue, speech),
                face=face,
                sinks=LiveSinks(clip_writer, cache, face, executor, clock),
                cache=cache,
                clock=clock,
                lead_s=lead_s,
                limits=limits,
                own_sentences=own_sentences,
            ),
            clips=clips,
            clip_signer=signer,
            admission=Admission(places, max_waiting, Share(share)),
            store=store,
            ownership=Ownership(store, "", clock, metrics),
            clock=clock,
            metrics=metrics,
            turn_limit=RateLimit(turns_per_minute, clock, "messages"),
            share=Share(share),
            max_text=4_000,
            find_avatar=find_avatar,
            transcription=transcription,
            admits=admits,
        )
        erasure = Erasure(store, clips, cache, clip_writer)
        registry = Registry(
            services,
            session_limit=RateLimit(sessions_per_minute, clock, "new sessions"),
            max_sessions=max_sessions,
            default_avatar="oval",
            default_language=Language.ENGLISH,
        )
        removal = Removal(registry, store, erasure)
        cleaning = Cleaning(registry, removal, services, erasure, idle_s=idle_s)
        world = World(
            registry,
            removal,
            Exports(services),
            cleaning,
            services,
            clips,
            clip_writer,
            cache,
            dialogue,
            speech,
            face,
            tmp_path,
            executor,
        )
        worlds.append(world)
        return world

    yield make
    for world in worlds:
        for gate in (world.dialogue.gate, world.speech.gate, world.clips.gate):
            if gate is not None:
                gate.set()
        await world.registry.close(0)
        await world.services.store.close()
    executor.shutdown()


@pytest.fixture
async def world(open_world: Worlds) -> World:
    made: World = await open_world()
    return made
