"""Hold the services that all sessions share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ditto_avatar.clock import Clock
from ditto_avatar.face.avatar import Avatar
from ditto_avatar.metrics import Metrics
from ditto_avatar.pipeline.clip_signing import ClipSigner
from ditto_avatar.pipeline.clips import ClipFolder
from ditto_avatar.pipeline.pipeline import Pipeline
from ditto_avatar.session.admission import Admission
from ditto_avatar.session.drain import Drain
from ditto_avatar.session.grant import Grant
from ditto_avatar.session.limits import RateLimit, Share
from ditto_avatar.session.ownership import Ownership
from ditto_avatar.session.store import Store
from ditto_avatar.types import AiLabel


@dataclass(frozen=True, slots=True)
class Services:
    """Hold the services that all sessions share."""

    pipeline: Pipeline
    clips: ClipFolder
    clip_signer: ClipSigner
    admission: Admission
    store: Store
    ownership: Ownership
    clock: Clock
    metrics: Metrics
    turn_limit: RateLimit
    share: Share
    max_text: int
    find_avatar: Callable[[str, str | None], Avatar]
    """The avatar of a name, for the holder of a key."""
    transcription: str = "browser"
    ai_label: AiLabel = AiLabel.TOP
    drain: Drain = field(default_factory=Drain)
    admits: Callable[[Grant | None], bool] = lambda grant: True
    """Whether a session with that grant may go on."""
    rtc: Callable[[], Mapping[str, Any] | None] = lambda: None
    """What a viewer is told of WebRTC; None where there is none."""
