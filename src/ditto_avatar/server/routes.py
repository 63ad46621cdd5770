"""Serve REST: sessions, messages, avatars, voices, clips, health."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from fastapi.responses import FileResponse, StreamingResponse

from ditto_avatar.errors import NotFound, ShuttingDown, Unauthorized, Unavailable
from ditto_avatar.face.base import backends_of
from ditto_avatar.face.register.guarded import Step
from ditto_avatar.server.access import Asked
from ditto_avatar.server.credentials import bearer
from ditto_avatar.server.gate import visitor_of
from ditto_avatar.server.opening import open_session
from ditto_avatar.server.parts import ServerParts
from ditto_avatar.server.wire.content import AvatarOut, PreparingOut
from ditto_avatar.server.wire.encoding import avatar_out, clip_out, entry_out
from ditto_avatar.server.wire.rest import (
    ErrorOut,
    HistoryOut,
    NewSession,
    NewToken,
    NewTurn,
    SessionOut,
    TokenOut,
    TurnAccepted,
    TurnOut,
    VoiceOut,
)
from ditto_avatar.session.conversation import MESSAGE, SAY
from ditto_avatar.session.session import Session

ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorOut} for status in (401, 403, 404, 413, 422, 429, 503, 507)
}
api = APIRouter(prefix="/api", tags=["conversations"], responses=ERRORS)
files = APIRouter(tags=["media"])
health = APIRouter(tags=["health"])


Authorization = Annotated[str | None, Header()]


def parts_of(request: Request) -> ServerParts:
    """Return the parts of the server that answers this request."""
    parts: ServerParts = request.app.state.parts
    return parts


async def session_of(
    session: str,
    request: Request,
    parts: Annotated[ServerParts, Depends(parts_of)],
    authorization: Authorization = None,
) -> Session:
    """Return the session of the path, opened by the bearer token."""
    token = bearer(authorization)
    if token is None:
        raise Unauthorized("Expected 'Authorization: Bearer <token>' with the session's token.")
    return await parts.registry.find(session, token, visitor_of(request))


Parts = Annotated[ServerParts, Depends(parts_of)]
TheSession = Annotated[Session, Depends(session_of)]


@api.post("/tokens", status_code=201)
async def create_token(
    wanted: NewToken, response: Response, parts: Parts, authorization: Authorization = None
) -> TokenOut:
    """Make a join token, with which a page opens a session."""
    if parts.access.open:
        raise Unavailable("This server has no keys (DITTO_API_KEYS): sessions need no token.")
    key = parts.access.key(bearer(authorization) or "")
    if key is None:
        raise Unauthorized("Expected 'Authorization: Bearer <key>' with a key of this server.")
    for name in wanted.avatars or ():
        parts.avatars.find(name)
    join, expires_at = parts.access.issue(key, wanted)
    response.headers["Cache-Control"] = "no-store"
    return TokenOut(join=join, expires_at=expires_at)


@api.post("/sessions", status_code=201)
async def create_session(
    wanted: NewSession, request: Request, parts: Parts, authorization: Authorization = None
) -> SessionOut:
    """Open a session; where the server has keys, with a join token or a key."""
    origin = request.headers.get("origin")
    asked = Asked(bearer(authorization), origin, wanted.avatar, wanted.language, wanted.cutout)
    session = await open_session(parts, visitor_of(request), asked, keep=True)
    return SessionOut(
        session=session.id,
        token=session.token,
        avatar=avatar_out(session.avatar),
        language=session.language,
    )


@api.get("/sessions/{session}", response_model_exclude_unset=True)
async def show_session(session: TheSession) -> HistoryOut:
    """Return the session and what was said in it."""
    return HistoryOut(
        session=session.id,
        avatar=avatar_out(session.avatar),
        language=session.language,
        history=[entry_out(entry) for entry in session.history()],
    )


@api.delete("/sessions/{session}", status_code=204)
async def end_session(session: TheSession, parts: Parts) -> None:
    """End the session and remove everything that is kept of it."""
    await parts.removal.erase(session.id, "user")


@api.get(
    "/sessions/{session}/export",
    response_class=StreamingResponse,
    responses={200: {"content": {"application/zip": {}}}},
)
async def export_session(
    session: TheSession,
    parts: Parts,
    kind: Annotated[Literal["clips", "film"], Query(alias="as")] = "clips",
) -> StreamingResponse:
    """Return everything that is kept of the session, as a ZIP of a JSON file and its clips; or,
    with `as=film`, what the presenter said as one film with captions (WebVTT and SRT)."""
    if kind == "film":
        chunks = await parts.exports.film(session)
        # What goes wrong is told with a status: nothing is sent before there is a film.
        chunks = _continued(await anext(chunks), chunks)
    else:
        chunks = await parts.exports.clips(session)
    return StreamingResponse(
        chunks,
        media_type="application/zip",
        headers={
            "Content-Disposition": 'attachment; filename="conversation.zip"',
            "Cache-Control": "no-store",
        },
    )


async def _continued(
    first: bytes, rest: AsyncGenerator[bytes, None]
) -> AsyncGenerator[bytes, None]:
    async with aclosing(rest):
        yield first
        async for chunk in rest:
            yield chunk


@api.post("/sessions/{session}/messages", status_code=202)
async def send_message(session: TheSession, turn: NewTurn) -> TurnAccepted:
    """Ask something; the answer comes over the WebSocket and as clips."""
    return TurnAccepted(turn=await session.submit(MESSAGE, turn.text, turn.id, turn.idle_frame))


@api.post("/sessions/{session}/say", status_code=202)
async def say(session: TheSession, turn: NewTurn) -> TurnAccepted:
    """Speak a text as it is."""
    return TurnAccepted(turn=await session.submit(SAY, turn.text, turn.id, turn.idle_frame))


@api.post("/sessions/{session}/interrupt", status_code=202)
async def interrupt(session: TheSession) -> dict[str, bool]:
    """Stop the answer in progress; `interrupted` says whether there was one."""
    return {"interrupted": await session.interrupt()}


@api.get("/sessions/{session}/turns/{turn}")
async def show_turn(session: TheSession, turn: str) -> TurnOut:
    """Return how far a turn is, with the clips made so far."""
    found = await session.find_turn(turn)
    if found is None:
        raise NotFound("There is no such turn in this session.")
    return TurnOut(
        turn=found.turn,
        state=found.state,
        text=found.text,
        answer=found.answer,
        clips=[clip_out(clip) for clip in found.clips],
        timings=dict(found.timings),
    )


@api.get("/avatars")
async def list_avatars(parts: Parts) -> list[AvatarOut]:
    """List the presenters that can be chosen."""
    return [avatar_out(avatar) for avatar in parts.avatars]


@api.get("/avatars/preparing")
async def list_preparing(parts: Parts) -> list[PreparingOut]:
    """List the presenters that are being made of the operator's films."""
    return [PreparingOut(name=name, stage=stage) for name, stage in parts.films.stages.items()]


@api.get("/voices")
async def list_voices(parts: Parts) -> list[VoiceOut]:
    """List the voices of the speech engine in use."""
    return [
        VoiceOut(id=voice.id, language=voice.language, engine=voice.engine, label=voice.label)
        for voice in parts.speech.voices()
    ]


_PRIVATE = {"Cache-Control": "private, max-age=3600", "Referrer-Policy": "no-referrer"}
_PUBLIC = {"Cache-Control": "public, max-age=300"}


@files.head("/video/{name}", include_in_schema=False)
@files.get("/video/{name}", responses=ERRORS)
async def video(name: str, parts: Parts) -> FileResponse:
    """Return a finished clip; answers range requests."""
    path = await parts.services.clip_signer.find("video", name)
    return FileResponse(path, media_type="video/mp4", headers=_PRIVATE)


@files.head("/audio/{name}", include_in_schema=False)
@files.get("/audio/{name}", responses=ERRORS)
async def audio(name: str, parts: Parts) -> FileResponse:
    """Return the sound of a clip."""
    path = await parts.services.clip_signer.find("audio", name)
    return FileResponse(path, media_type="audio/wav", headers=_PRIVATE)


@files.head("/avatars/{name}/idle.mp4", include_in_schema=False)
@files.get("/avatars/{name}/idle.mp4", responses=ERRORS)
async def idle_loop(name: str, parts: Parts) -> FileResponse:
    """Return the loop that plays while nobody speaks."""
    path = parts.avatars.find(name).idle_path
    return FileResponse(path, media_type="video/mp4", headers=_caching(parts, name))


@files.head("/avatars/{name}/poster.webp", include_in_schema=False)
@files.get("/avatars/{name}/poster.webp", responses=ERRORS)
async def poster(name: str, parts: Parts) -> FileResponse:
    """Return a still picture of the presenter."""
    path = parts.avatars.find(name).poster_path
    return FileResponse(path, media_type="image/webp", headers=_caching(parts, name))


def _caching(parts: ServerParts, name: str) -> dict[str, str]:
    """Choose the cache headers of an avatar's file: a visitor's own face stays out of shared
    caches, and its name goes to no other site."""
    return _PUBLIC if parts.avatars.is_listed(name) else _PRIVATE


@health.get("/healthz")
async def alive() -> dict[str, str]:
    """Answer that the process runs."""
    return {"status": "ok"}


@health.get("/readyz", responses=ERRORS)
async def ready(parts: Parts) -> dict[str, str]:
    """Answer whether the server takes turns: it neither stops nor drains, and conversations can be
    stored. `preparing` names presenters that are still being made, `backend` what draws them, where
    there is more than one way, and `backend_preparing` what takes over soon; turns wait for none of
    it."""
    if parts.registry.closing:
        raise ShuttingDown("The server is stopping.")
    parts.services.drain.check()
    await parts.readiness.check()
    preparing = [n for n, stage in parts.films.stages.items() if stage is not Step.FAILED]
    told = {"status": "ready"} | ({"preparing": ", ".join(preparing)} if preparing else {})
    if (backends := backends_of(parts.face)) is not None:
        told["backend"] = backends.draws
        if backends.prepares is not None:
            told["backend_preparing"] = backends.prepares
    return told
