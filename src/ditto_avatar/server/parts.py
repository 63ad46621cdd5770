"""Everything a running server holds, opened and closed in order."""

from __future__ import annotations

import asyncio
import logging
import math
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial

from pydantic import SecretStr

from ditto_avatar.assembly import (
    open_avatars,
    open_budgets,
    open_dialogue,
    open_face,
    open_speech,
    open_transcriber,
)
from ditto_avatar.clock import AgeClock, SystemClock
from ditto_avatar.cores import usable_cores
from ditto_avatar.dialogue.fallback import FallbackDialogue
from ditto_avatar.errors import InvalidAvatar
from ditto_avatar.face.avatar import Avatar
from ditto_avatar.face.base import FaceEngine
from ditto_avatar.face.library import AvatarLibrary
from ditto_avatar.metrics import Metrics
from ditto_avatar.pipeline.answer_length import AnswerLimits
from ditto_avatar.pipeline.cache import SegmentCache
from ditto_avatar.pipeline.clip_writer import ClipWriter
from ditto_avatar.pipeline.clips import ClipFolder
from ditto_avatar.pipeline.outputs import LiveSinks
from ditto_avatar.pipeline.pipeline import Pipeline
from ditto_avatar.pipeline.request import Engines
from ditto_avatar.pipeline.warm_up import (
    own_sentences,
    prepare,
    prepare_each,
    read_phrases,
    warm_up,
)
from ditto_avatar.providers.checks import warn_of_failures
from ditto_avatar.server.access import Access
from ditto_avatar.server.audit import AuditLog
from ditto_avatar.server.keys import Keyring
from ditto_avatar.server.limits import Throttle
from ditto_avatar.server.private_files import keep_private
from ditto_avatar.server.readiness import Readiness
from ditto_avatar.server.secret import ServerSecret
from ditto_avatar.session.admission import Admission
from ditto_avatar.session.database import sqlite_url
from ditto_avatar.session.drain import Drain
from ditto_avatar.session.erasure import Erasure
from ditto_avatar.session.limits import RateLimit, Share
from ditto_avatar.session.overview import Overview
from ditto_avatar.session.registry import Registry
from ditto_avatar.session.runner import Services
from ditto_avatar.session.sound_limits import SoundLimits
from ditto_avatar.session.store import Store
from ditto_avatar.settings import Settings
from ditto_avatar.speech.base import SpeechEngine
from ditto_avatar.speech.fallback import FallbackSpeech
from ditto_avatar.speech.listening import Listener, Transcriber
from ditto_avatar.types import Fallback

log = logging.getLogger(__name__)

_SWEEP_S = 30.0
# How often is looked for what is days old.
_EXPIRE_S = 3_600.0
# The puppet draws and encodes some ten times faster than it is played.
_PER_CORE = 2
# Messages may come at once as they do after a pause of the network: this many seconds' worth.
_BURST_S = 5
# An address with more than this many busy connections slows them all down.
_SOCKETS_SHARE = 8


@dataclass(frozen=True, slots=True)
class ServerParts:
    """The parts that the routes use."""

    settings: Settings
    avatars: AvatarLibrary
    speech: SpeechEngine
    clips: ClipFolder
    admission: Admission
    registry: Registry
    metrics: Metrics
    drain: Drain
    overview: Overview
    access: Access
    admin_keys: Keyring
    secret: ServerSecret
    audit: AuditLog
    listener: Listener | None
    """What understands microphones; None leaves it to the browsers."""
    sound_limits: SoundLimits
    readiness: Readiness
    pace: Throttle
    """Of each WebSocket's messages, by connection."""
    address_pace: Throttle
    """Of all messages of an address."""


@asynccontextmanager
async def open_parts(settings: Settings) -> AsyncIterator[ServerParts]:
    """Build all parts, serve inside the block, and stop gracefully: running answers get
    `settings.shutdown_s`, then they are interrupted."""
    clock = SystemClock()
    metrics = Metrics()
    secret = ServerSecret.of(_plain(settings.token_secret), settings.data_dir)
    access = Access(
        Keyring.read("DITTO_API_KEYS", settings.api_keys, settings.api_keys_file),
        secret.key_for("join"),
        settings.avatar,
    )
    admin_keys = Keyring.read("DITTO_ADMIN_KEYS", settings.admin_keys)
    async with AsyncExitStack() as stack:
        avatars = await open_avatars(settings)
        metrics.avatars_refused.set(len(avatars.refused))
        default = avatars.find(settings.avatar)
        budgets = open_budgets(settings, metrics)
        stack.push_async_callback(budgets.close)
        await budgets.open()
        dialogue = open_dialogue(settings, budgets.of)
        speech = open_speech(settings, metrics, budgets.of)
        face = await open_face(settings)
        transcriber = open_transcriber(settings, budgets.of)
        for engine in (dialogue, speech, face, transcriber):
            if engine is not None:
                stack.push_async_callback(engine.close)
        await asyncio.to_thread(keep_private, settings.data_dir)
        ages = AgeClock()
        clips = ClipFolder(
            settings.data_dir / "clips",
            max_age_s=min(settings.clip_max_age_s, settings.retention_s or math.inf),
            max_bytes=settings.clip_max_mb * 1024 * 1024,
            clock=ages,
        )
        cache = SegmentCache(settings.data_dir / "cache", settings.cache_mb * 1024 * 1024, ages)
        # Version 0.1 kept everybody's sentences together there.
        former = partial(shutil.rmtree, settings.data_dir / "takes", ignore_errors=True)
        for clear in (clips.clear_unfinished, cache.clear_unfinished, former):
            await asyncio.to_thread(clear)
        store = Store(settings.database_url or sqlite_url(settings.data_dir), ages)
        stack.push_async_callback(store.close)
        if interrupted := await store.start():
            log.info("%d answers had been interrupted by the last stop", interrupted)
        executor = ThreadPoolExecutor(thread_name_prefix="encode")
        stack.callback(executor.shutdown)
        share = Share(settings.address_share)
        admission = Admission(places_for(settings, face), settings.max_waiting, share)

        def choose(avatar: Avatar, tell: Callable[[Fallback], object]) -> Engines:
            def told(fallback: Fallback) -> None:
                metrics.fallbacks.labels(fallback.part, fallback.failed).inc()
                # A budget that is used up has its own line, once a day.
                log.log(
                    logging.DEBUG if fallback.used_up else logging.WARNING,
                    "%s: %s failed, %s takes over: %s",
                    fallback.part,
                    fallback.failed,
                    fallback.used or "nothing",
                    fallback.reason,
                )
                tell(fallback)

            return Engines(dialogue.telling(told), speech.telling(told, avatar.voices))

        phrases = await asyncio.to_thread(read_phrases, settings.warm_up)
        clip_writer = ClipWriter(clips, executor)
        pipeline = Pipeline(
            engines=choose,
            face=face,
            sinks=LiveSinks(clip_writer, cache, face, executor, clock),
            cache=cache,
            clock=clock,
            lead_s=settings.lead_s,
            limits=AnswerLimits(
                settings.max_answer_s,
                settings.max_answer_unwatched_s,
                lambda cut: metrics.answers_cut.labels(cut.value).inc(),
            ),
            own_sentences=await asyncio.to_thread(own_sentences, dialogue, phrases),
        )
        services = Services(
            pipeline=pipeline,
            clips=clips,
            admission=admission,
            store=store,
            clock=clock,
            metrics=metrics,
            turn_limit=RateLimit(settings.turns_per_minute, clock, "messages"),
            share=share,
            max_text=settings.max_text,
            find_avatar=avatars.find,
            transcription="browser" if transcriber is None else "server",
            admits=access.holds,
        )
        registry = Registry(
            services,
            Erasure(store, clips, cache, clip_writer),
            session_limit=RateLimit(settings.sessions_per_minute, clock, "new sessions"),
            max_sessions=settings.max_sessions,
            idle_s=settings.session_idle_s,
            default_avatar=settings.avatar,
            default_language=settings.language,
        )
        # `GracefulServer` has given running answers their time already.
        stack.push_async_callback(registry.close, 0.0)
        # The first viewer should not wait for what can be done now.
        try:
            await prepare(face, default)
        except InvalidAvatar as error:
            # Sessions with other presenters are served.
            log.error("avatar %s cannot be drawn: %s", default.name, error)
        for chore in (
            warm_up(pipeline, default, settings.language, phrases),
            prepare_each(face, [avatar for avatar in avatars if avatar is not default]),
            _sweep(registry, clips, metrics),
            _expire(registry, settings.retention_s, metrics),
            warn_of_failures(_configured(dialogue, speech, transcriber)),
        ):
            task = asyncio.create_task(chore)
            stack.push_async_callback(asyncio.wait, [task])
            stack.callback(task.cancel)
        listener = Listener(transcriber) if transcriber is not None else None
        rate = settings.messages_per_second
        yield ServerParts(
            settings,
            avatars,
            speech,
            clips,
            admission,
            registry,
            metrics,
            services.drain,
            Overview(registry, store, clock),
            access,
            admin_keys,
            secret,
            AuditLog(settings.data_dir / "audit.jsonl"),
            listener,
            SoundLimits(clock, settings.turns_per_minute, metrics.sound_refused_s.inc),
            readiness=Readiness(store, settings.data_dir, clock),
            pace=Throttle(rate, rate * _BURST_S, clock),
            address_pace=Throttle(rate * _SOCKETS_SHARE, rate * _SOCKETS_SHARE * _BURST_S, clock),
        )


def _plain(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()


def places_for(settings: Settings, face: FaceEngine) -> int:
    """How many may speak at once: as the settings say, but no more than the engine holds."""
    if face.max_streams is not None:
        return min(settings.max_speaking or face.max_streams, face.max_streams)
    if settings.max_speaking is not None:
        return settings.max_speaking
    return _PER_CORE * usable_cores()


def _configured(
    dialogue: FallbackDialogue, speech: FallbackSpeech, transcriber: Transcriber | None
) -> list[tuple[str, object]]:
    """Every engine that somebody may wait for, with its part."""
    engines: list[tuple[str, object]] = [("dialogue", engine) for engine in dialogue.engines]
    engines += [("speech", engine) for engine in speech.engines]
    return engines if transcriber is None else [*engines, ("transcription", transcriber)]


async def _sweep(registry: Registry, clips: ClipFolder, metrics: Metrics) -> None:
    """Clean up every 30 s for as long as the server runs, whatever fails meanwhile."""
    jobs: dict[str, Callable[[], Awaitable[object]]] = {
        "sessions": registry.sweep,
        "clips": partial(asyncio.to_thread, clips.sweep),
    }
    while True:
        for name, job in jobs.items():
            try:
                await job()
            except Exception:
                # The border of a task: what could not be cleaned now is tried again.
                log.exception("cleaning up the %s failed", name)
                metrics.errors.labels("sweep").inc()
        await asyncio.sleep(_SWEEP_S)


async def _expire(registry: Registry, age_s: float | None, metrics: Metrics) -> None:
    """Remove what is older than the owner wants to keep; nothing to do where that is not set."""
    while age_s is not None:
        try:
            await registry.expire(age_s)
        except Exception:
            # The border of a task: what could not be removed now is tried again.
            log.exception("what is older than DITTO_RETENTION_DAYS could not be removed")
            metrics.errors.labels("sweep").inc()
        await asyncio.sleep(_EXPIRE_S)
