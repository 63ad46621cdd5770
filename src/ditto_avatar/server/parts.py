"""Hold the parts of a server that its routes use."""

from __future__ import annotations

from dataclasses import dataclass

from ditto_avatar.face.base import FaceEngine
from ditto_avatar.face.library import AvatarLibrary
from ditto_avatar.face.register.base_films import BaseFilms
from ditto_avatar.metrics import Metrics
from ditto_avatar.server.access import Access
from ditto_avatar.server.audit import AuditLog
from ditto_avatar.server.faces import Faces
from ditto_avatar.server.keys import Keyring
from ditto_avatar.server.kiosk import Kiosk
from ditto_avatar.server.paces import Paces
from ditto_avatar.server.readiness import Readiness
from ditto_avatar.server.relay import Relays
from ditto_avatar.server.secret import ServerSecret
from ditto_avatar.server.voices import VoiceDownloads
from ditto_avatar.server.whep_viewers import WhepViewers
from ditto_avatar.session.cleaning import Cleaning
from ditto_avatar.session.exports import Exports
from ditto_avatar.session.overview import Overview
from ditto_avatar.session.registry import Registry
from ditto_avatar.session.removal import Removal
from ditto_avatar.session.services import Services
from ditto_avatar.settings import Settings
from ditto_avatar.speech.base import SpeechEngine
from ditto_avatar.speech.listening import Listener
from ditto_avatar.transport.rtc.service import RtcService


@dataclass(frozen=True, slots=True)
class ServerParts:
    """Hold one server's parts; `startup.open_parts` makes them."""

    settings: Settings
    # Faces and voices.
    avatars: AvatarLibrary
    films: BaseFilms
    faces: Faces
    face: FaceEngine
    """Draws them."""
    speech: SpeechEngine
    downloads: VoiceDownloads
    listener: Listener | None
    """Understands microphones; None leaves it to the browsers."""
    kiosk: Kiosk
    # WebRTC.
    rtc: RtcService | None
    """None where there is none."""
    whep: WhepViewers
    # Sessions.
    services: Services
    registry: Registry
    removal: Removal
    cleaning: Cleaning
    exports: Exports
    overview: Overview
    relays: Relays
    # Who may do what, and how fast.
    readiness: Readiness
    paces: Paces
    access: Access
    admin_keys: Keyring
    secret: ServerSecret
    audit: AuditLog

    @property
    def metrics(self) -> Metrics:
        """What is counted."""
        return self.services.metrics
