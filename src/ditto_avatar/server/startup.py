"""Open the parts of a server in order, and close them in reverse."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from ditto_avatar.assembly import open_avatars
from ditto_avatar.clock import Clock, SystemClock
from ditto_avatar.errors import InvalidAvatar
from ditto_avatar.face.library import AvatarLibrary
from ditto_avatar.face.register.base_films import BaseFilms
from ditto_avatar.metrics import Metrics
from ditto_avatar.pipeline.answer_length import AnswerLimits
from ditto_avatar.pipeline.outputs import LiveSinks
from ditto_avatar.pipeline.pipeline import Pipeline
from ditto_avatar.pipeline.warm_up import (
    own_sentences,
    prepare,
    prepare_each,
    read_phrases,
    warm_up,
)
from ditto_avatar.providers.checks import warn_of_failures
from ditto_avatar.server import peers, upkeep
from ditto_avatar.server.access import Access
from ditto_avatar.server.audit import AuditLog
from ditto_avatar.server.engines import ServerEngines, open_engines, places_for
from ditto_avatar.server.faces import Faces
from ditto_avatar.server.films import add_each, stand_in
from ditto_avatar.server.keys import Keyring
from ditto_avatar.server.kiosk import Kiosk
from ditto_avatar.server.paces import Paces
from ditto_avatar.server.parts import ServerParts
from ditto_avatar.server.readiness import Readiness
from ditto_avatar.server.relay import Relays
from ditto_avatar.server.rtc import open_rtc
from ditto_avatar.server.secret import ServerSecret
from ditto_avatar.server.storage import Storage, open_storage
from ditto_avatar.server.voice_tests import try_voices
from ditto_avatar.server.voices import VoiceDownloads
from ditto_avatar.server.whep_viewers import WhepViewers
from ditto_avatar.session.admission import Admission
from ditto_avatar.session.cleaning import Cleaning
from ditto_avatar.session.exports import Exports
from ditto_avatar.session.limits import RateLimit, Share
from ditto_avatar.session.overview import Overview
from ditto_avatar.session.ownership import Ownership
from ditto_avatar.session.registry import Registry
from ditto_avatar.session.removal import Removal
from ditto_avatar.session.services import Services
from ditto_avatar.session.shared_limit import SharedLimit
from ditto_avatar.settings import Settings, revealed
from ditto_avatar.speech.listening import Listener
from ditto_avatar.transport.rtc.service import RtcService

log = logging.getLogger(__name__)

# How long a session that is being removed holds up a server that stops.
_REMOVED_S = 5.0


@asynccontextmanager
async def open_parts(settings: Settings) -> AsyncIterator[ServerParts]:
    """Open all parts, serve inside the block, and close them in reverse. Answers that still run at
    its end are interrupted at once: `GracefulServer` gives them `settings.shutdown_s` before.
    Raises `Unavailable`, `InvalidInput` and `NotFound` for settings that cannot be served."""
    clock, metrics = SystemClock(), Metrics()
    secret = ServerSecret.of(revealed(settings.token_secret), settings.data_dir)
    keys = Keyring.read("DITTO_API_KEYS", settings.api_keys, settings.api_keys_file)
    access = Access(keys, secret.key_for("join"), settings.avatar)
    admin_keys = Keyring.read("DITTO_ADMIN_KEYS", settings.admin_keys)
    async with AsyncExitStack() as stack:
        films = await BaseFilms.found_in(settings.avatars_dir)
        avatars = await _open_avatars(settings, films, metrics)
        faces = Faces(avatars, settings.data_dir / "faces", settings.max_faces)
        await stack.enter_async_context(faces.opened())
        engines = await open_engines(settings, metrics, stack)
        storage = await open_storage(settings, metrics, stack)
        rtc = await open_rtc(settings, metrics, stack)
        phrases = await asyncio.to_thread(read_phrases, settings.warm_up)
        kiosk = await asyncio.to_thread(Kiosk.of, settings, clock)
        said = [*phrases, *kiosk.sentences]
        own = await asyncio.to_thread(own_sentences, engines.dialogue, said)
        pipeline = _pipeline(settings, engines, storage, clock, own)
        ownership = await _open_ownership(settings, storage, clock, metrics, stack)
        services = _services(
            settings, engines, storage, pipeline, ownership, clock, avatars, access, rtc
        )
        registry, removal, cleaning = _sessions(settings, storage, services, clock)
        whep = WhepViewers(rtc, metrics, settings.max_viewers)
        stack.push_async_callback(whep.close)
        stack.push_async_callback(removal.drained, _REMOVED_S)
        # `GracefulServer` has given running answers their time already.
        stack.push_async_callback(registry.close, 0.0)
        parts = ServerParts(
            settings=settings,
            avatars=avatars,
            films=films,
            faces=faces,
            face=engines.face,
            speech=engines.speech,
            downloads=_downloads(settings, engines, metrics, stack),
            listener=None if engines.transcriber is None else Listener(engines.transcriber),
            kiosk=kiosk,
            rtc=rtc,
            whep=whep,
            services=services,
            registry=registry,
            removal=removal,
            cleaning=cleaning,
            exports=Exports(services),
            overview=Overview(registry, storage.store, clock),
            relays=Relays(),
            readiness=Readiness(storage.store, settings.data_dir, clock),
            paces=Paces.of(settings, clock, metrics),
            access=access,
            admin_keys=admin_keys,
            secret=secret,
            audit=AuditLog(settings.data_dir / "audit.jsonl"),
        )
        await _begin_background(parts, engines, phrases, stack)
        yield parts


async def _open_avatars(settings: Settings, films: BaseFilms, metrics: Metrics) -> AvatarLibrary:
    avatars = await open_avatars(settings, films=False)
    metrics.avatars_refused.set(len(avatars.refused))
    stand_in(avatars, films, settings.avatar)
    avatars.find(settings.avatar)
    return avatars


def _sessions(
    settings: Settings, storage: Storage, services: Services, clock: Clock
) -> tuple[Registry, Removal, Cleaning]:
    """Make what holds the sessions, what removes them, and what ends those that nobody uses."""
    erasure = storage.erasure()
    shared_limit = None
    if services.ownership.shared:
        shared_limit = SharedLimit(
            storage.store, "sessions", settings.sessions_per_minute, "new sessions"
        )
    registry = Registry(
        services,
        session_limit=RateLimit(settings.sessions_per_minute, clock, "new sessions"),
        shared_limit=shared_limit,
        max_sessions=settings.max_sessions,
        default_avatar=settings.avatar,
        default_language=settings.language,
    )
    removal = Removal(registry, storage.store, erasure)
    cleaning = Cleaning(
        registry,
        removal,
        services,
        erasure,
        idle_s=settings.session_idle_s,
        shared_limit=shared_limit,
    )
    return registry, removal, cleaning


def _downloads(
    settings: Settings, engines: ServerEngines, metrics: Metrics, stack: AsyncExitStack
) -> VoiceDownloads:
    downloads = VoiceDownloads(
        settings.data_dir,
        engines.local,
        settings.checkpoints_endpoint,
        lambda outcome: metrics.voice_downloads.labels(outcome).inc(),
    )
    stack.push_async_callback(downloads.close)
    return downloads


def _pipeline(
    settings: Settings,
    engines: ServerEngines,
    storage: Storage,
    clock: Clock,
    own: frozenset[str],
) -> Pipeline:
    cut = engines.metrics.answers_cut
    return Pipeline(
        engines=engines.choose,
        face=engines.face,
        sinks=LiveSinks(
            storage.clip_writer,
            storage.cache,
            engines.face,
            storage.executor,
            clock,
            encodes=not settings.workers,
        ),
        cache=storage.cache,
        clock=clock,
        lead_s=settings.lead_s,
        limits=AnswerLimits(
            settings.max_answer_s,
            settings.max_answer_unwatched_s,
            lambda why: cut.labels(why.value).inc(),
        ),
        own_sentences=own,
    )


def _services(
    settings: Settings,
    engines: ServerEngines,
    storage: Storage,
    pipeline: Pipeline,
    ownership: Ownership,
    clock: Clock,
    avatars: AvatarLibrary,
    access: Access,
    rtc: RtcService | None,
) -> Services:
    share = Share(settings.address_share)
    return Services(
        pipeline=pipeline,
        clips=storage.clips,
        clip_signer=storage.clip_signer,
        admission=Admission(
            lambda: places_for(settings, engines.face), settings.max_waiting, share
        ),
        store=storage.store,
        ownership=ownership,
        clock=clock,
        metrics=engines.metrics,
        turn_limit=RateLimit(settings.turns_per_minute, clock, "messages"),
        share=share,
        max_text=settings.max_text,
        find_avatar=avatars.find_for,
        transcription="browser" if engines.transcriber is None else "server",
        ai_label=settings.ai_label,
        admits=access.holds,
        rtc=lambda: None if rtc is None else rtc.told(),
    )


async def _open_ownership(
    settings: Settings, storage: Storage, clock: Clock, metrics: Metrics, stack: AsyncExitStack
) -> Ownership:
    """Begin the lease of this server, if there may be others; `stack` ends it. Raises
    `InvalidInput` for settings under which the others could not tell visitors apart."""
    peers.check(settings)
    ownership = Ownership(storage.store, settings.peer_url or "", clock, metrics)
    if ownership.shared:
        await ownership.begin()
        stack.push_async_callback(ownership.resign)
    return ownership


async def _begin_background(
    parts: ServerParts, engines: ServerEngines, phrases: list[str], stack: AsyncExitStack
) -> None:
    """Prepare the default avatar, then begin what goes on beside serving; `stack` ends it."""
    settings, avatars, services = parts.settings, parts.avatars, parts.services
    default = avatars.find(settings.avatar)
    # The first viewer should not wait for what can be done now.
    try:
        await prepare(engines.face, default)
    except InvalidAvatar as error:
        # Sessions with other avatars are served.
        log.error("avatar %s cannot be drawn: %s", default.name, error)
    others = [avatar for avatar in avatars if avatar is not default]
    for work in (
        warm_up(services.pipeline, default, settings.language, phrases),
        prepare_each(engines.face, others),
        add_each(parts.films, avatars, engines.face),
        upkeep.sweep(parts.cleaning, services.clips, services.metrics),
        upkeep.keep_lease(services.ownership, parts.registry, services.metrics),
        upkeep.expire(parts.cleaning, parts.faces, settings.retention_s, services.metrics),
        *(
            [try_voices(engines.local, services.admission, services.clock)]
            if engines.local is not None
            else []
        ),
        warn_of_failures(engines.named()),
    ):
        task = asyncio.create_task(work)
        stack.push_async_callback(asyncio.wait, [task])
        stack.callback(task.cancel)
