"""Put a server together: open its parts in order, and close them in the other."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from ditto_avatar.assembly import open_avatars
from ditto_avatar.clock import Clock, SystemClock
from ditto_avatar.errors import InvalidAvatar
from ditto_avatar.face.library import AvatarLibrary
from ditto_avatar.metrics import Metrics
from ditto_avatar.pipeline.answer_length import AnswerLimits
from ditto_avatar.pipeline.clip_signing import ClipSigner
from ditto_avatar.pipeline.clips import ClipFolder
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
from ditto_avatar.server.keys import Keyring
from ditto_avatar.server.kiosk import Kiosk
from ditto_avatar.server.limits import Throttle
from ditto_avatar.server.readiness import Readiness
from ditto_avatar.server.relay import Relays
from ditto_avatar.server.rtc import open_rtc
from ditto_avatar.server.secret import ServerSecret
from ditto_avatar.server.storage import Storage, open_storage
from ditto_avatar.server.voices import VoiceDownloads
from ditto_avatar.server.whep_viewers import WhepViewers
from ditto_avatar.session.admission import Admission
from ditto_avatar.session.cleaning import Cleaning
from ditto_avatar.session.drain import Drain
from ditto_avatar.session.exports import Exports
from ditto_avatar.session.limits import RateLimit, Share
from ditto_avatar.session.overview import Overview
from ditto_avatar.session.ownership import Ownership
from ditto_avatar.session.registry import Registry
from ditto_avatar.session.services import Services
from ditto_avatar.session.shared_limit import SharedLimit
from ditto_avatar.session.sound_limits import SoundLimits
from ditto_avatar.settings import Settings, revealed
from ditto_avatar.speech.base import SpeechEngine
from ditto_avatar.speech.listening import Listener
from ditto_avatar.transport.rtc.service import RtcService

log = logging.getLogger(__name__)

# Messages may come at once as they do after a pause of the network: this many seconds' worth.
_BURST_S = 5
# An address with more than this many busy connections slows them all down.
_SOCKETS_SHARE = 8
# Faces that an address may have made in a minute.
_FACES_PER_MINUTE = 6
# A page offers again when its network has changed.
_OFFERS_PER_MINUTE = 20


@dataclass(frozen=True, slots=True)
class ServerParts:
    """Hold the parts that the routes use."""

    settings: Settings
    avatars: AvatarLibrary
    speech: SpeechEngine
    clips: ClipFolder
    clip_signer: ClipSigner
    admission: Admission
    registry: Registry
    exports: Exports
    ownership: Ownership
    relays: Relays
    cleaning: Cleaning
    metrics: Metrics
    drain: Drain
    overview: Overview
    access: Access
    admin_keys: Keyring
    secret: ServerSecret
    audit: AuditLog
    listener: Listener | None
    """Understands microphones; None leaves it to the browsers."""
    sound_limits: SoundLimits
    readiness: Readiness
    faces: Faces
    face_pace: RateLimit
    pace: Throttle
    """The pace of each WebSocket's messages, by connection."""
    downloads: VoiceDownloads
    address_pace: Throttle
    """The pace of all messages of an address."""
    kiosk: Kiosk
    rtc: RtcService | None
    """None where there is no WebRTC."""
    rtc_pace: RateLimit
    """The pace of a session's offers: each opens a socket."""
    whep: WhepViewers


@asynccontextmanager
async def open_parts(settings: Settings) -> AsyncIterator[ServerParts]:
    """Build all parts, serve inside the block, and stop gracefully: running answers get
    `settings.shutdown_s`, then they are interrupted. Raises `Unavailable`, `InvalidInput` and
    `NotFound` for settings that cannot be served."""
    clock, metrics = SystemClock(), Metrics()
    secret = ServerSecret.of(revealed(settings.token_secret), settings.data_dir)
    access = Access(
        Keyring.read("DITTO_API_KEYS", settings.api_keys, settings.api_keys_file),
        secret.key_for("join"),
        settings.avatar,
    )
    admin_keys = Keyring.read("DITTO_ADMIN_KEYS", settings.admin_keys)
    async with AsyncExitStack() as stack:
        avatars = await open_avatars(settings)
        metrics.avatars_refused.set(len(avatars.refused))
        avatars.find(settings.avatar)
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
        erasure = storage.erasure()
        shared_limit = None
        if ownership.shared:
            shared_limit = SharedLimit(
                storage.store, "sessions", settings.sessions_per_minute, "new sessions"
            )
        registry = Registry(
            services,
            erasure,
            session_limit=RateLimit(settings.sessions_per_minute, clock, "new sessions"),
            shared_limit=shared_limit,
            max_sessions=settings.max_sessions,
            default_avatar=settings.avatar,
            default_language=settings.language,
        )
        cleaning = Cleaning(
            registry, services, erasure, idle_s=settings.session_idle_s, shared_limit=shared_limit
        )
        whep = WhepViewers(rtc, metrics, settings.max_viewers)
        stack.push_async_callback(whep.close)
        # `GracefulServer` has given running answers their time already.
        stack.push_async_callback(registry.close, 0.0)
        parts = ServerParts(
            settings,
            avatars,
            engines.speech,
            storage.clips,
            storage.clip_signer,
            services.admission,
            registry,
            Exports(services),
            ownership,
            Relays(),
            cleaning,
            metrics,
            services.drain,
            Overview(registry, storage.store, clock),
            access,
            admin_keys,
            secret,
            AuditLog(settings.data_dir / "audit.jsonl"),
            None if engines.transcriber is None else Listener(engines.transcriber),
            SoundLimits(clock, settings.turns_per_minute, metrics.sound_refused_s.inc),
            readiness=Readiness(storage.store, settings.data_dir, clock),
            faces=faces,
            face_pace=RateLimit(_FACES_PER_MINUTE, clock, "faces"),
            pace=_pace(settings, clock),
            downloads=_downloads(settings, engines, metrics, stack),
            address_pace=_pace(settings, clock, _SOCKETS_SHARE),
            kiosk=kiosk,
            rtc=rtc,
            rtc_pace=RateLimit(_OFFERS_PER_MINUTE, clock, "offers of WebRTC"),
            whep=whep,
        )
        await _begin_background(parts, engines, pipeline, ownership, phrases, stack)
        yield parts


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


def _pace(settings: Settings, clock: Clock, connections: int = 1) -> Throttle:
    rate = settings.messages_per_second * connections
    return Throttle(rate, rate * _BURST_S, clock)


async def _begin_background(
    parts: ServerParts,
    engines: ServerEngines,
    pipeline: Pipeline,
    ownership: Ownership,
    phrases: list[str],
    stack: AsyncExitStack,
) -> None:
    """Prepare the default avatar, then begin what goes on beside serving; `stack` ends it."""
    settings, avatars, metrics = parts.settings, parts.avatars, parts.metrics
    default = avatars.find(settings.avatar)
    # The first viewer should not wait for what can be done now.
    try:
        await prepare(engines.face, default)
    except InvalidAvatar as error:
        # Sessions with other avatars are served.
        log.error("avatar %s cannot be drawn: %s", default.name, error)
    others = [avatar for avatar in avatars if avatar is not default]
    for work in (
        warm_up(pipeline, default, settings.language, phrases),
        prepare_each(engines.face, others),
        upkeep.sweep(parts.cleaning, parts.clips, metrics),
        upkeep.keep_lease(ownership, parts.registry, metrics),
        upkeep.expire(parts.cleaning, parts.faces, settings.retention_s, metrics),
        *([engines.local.prepare()] if engines.local is not None else []),
        warn_of_failures(engines.named()),
    ):
        task = asyncio.create_task(work)
        stack.push_async_callback(asyncio.wait, [task])
        stack.callback(task.cancel)
