"""Serve the voices that can be downloaded: what there is, how far it is, and getting it."""

from __future__ import annotations

from fastapi import APIRouter

from ditto_avatar.errors import Forbidden, Unavailable
from ditto_avatar.models.catalogue import Entry, find_entry
from ditto_avatar.server.credentials import bearer
from ditto_avatar.server.exposure import is_loopback
from ditto_avatar.server.parts import ServerParts
from ditto_avatar.server.routes import ERRORS, Authorization, Parts
from ditto_avatar.server.wire.rest import VoiceOffer, VoiceOffers, WantedVoice
from ditto_avatar.speech.voices import voice_for
from ditto_avatar.types import Language

router = APIRouter(prefix="/api/voices/offers", tags=["voices"], responses=ERRORS)
# A text in each language, to ask which voice would say it.
_SAMPLES = {Language.ENGLISH: "Hello", Language.KOREAN: "안녕하세요"}


@router.get("")
async def list_offers(parts: Parts, authorization: Authorization = None) -> VoiceOffers:
    """List the voices that can be downloaded, how far each is, and which engine speaks now."""
    return VoiceOffers(
        may_download=_may_download(parts, authorization),
        speaking={language: _speaking(parts, language) for language in Language},
        offers=[_offer(parts, entry) for entry in parts.downloads.offers],
    )


@router.post("/{name}", status_code=202)
async def get_voice(
    name: str, wanted: WantedVoice, parts: Parts, authorization: Authorization = None
) -> VoiceOffer:
    """Download a voice in the background; it speaks from the next sentence after. Only for the
    machine that the server runs on, or with an operator's key."""
    _require_allowed(parts, authorization)
    entry = find_entry(name, "voices")
    parts.downloads.start(entry, accepted=wanted.accept_license)
    return _offer(parts, entry)


@router.delete("/{name}", status_code=204)
async def give_up(name: str, parts: Parts, authorization: Authorization = None) -> None:
    """Stop a download; what has arrived is kept for the next time."""
    _require_allowed(parts, authorization)
    if parts.downloads.status(find_entry(name, "voices")).state in ("loading", "trying"):
        await parts.downloads.cancel()


def _may_download(parts: ServerParts, authorization: str | None) -> bool:
    text = bearer(authorization)
    if text is not None and parts.admin_keys.find(text) is not None:
        return True
    # Nobody but the machine's own people can reach it.
    return parts.access.open and is_loopback(parts.settings.host)


def _require_allowed(parts: ServerParts, authorization: str | None) -> None:
    if not _may_download(parts, authorization):
        raise Forbidden(
            "Only its operator gets voices for this server: `ditto-avatar voices download`."
        )


def _speaking(parts: ServerParts, language: Language) -> str:
    try:
        return voice_for(parts.speech, _SAMPLES[language], language).engine
    except Unavailable:
        return ""


def _offer(parts: ServerParts, entry: Entry) -> VoiceOffer:
    status = parts.downloads.status(entry)
    return VoiceOffer(
        name=entry.name,
        label={Language.ENGLISH: entry.label, Language.KOREAN: entry.label_ko},
        languages=list(entry.languages),
        megabytes=entry.megabytes,
        license=entry.license,
        license_url=entry.license_url,
        asks_license=entry.asks,
        forbids={Language.ENGLISH: entry.forbids, Language.KOREAN: entry.forbids_ko},
        state=status.state,
        share=status.share,
        message=status.message,
    )
