"""Serve visitors' own faces: check a picture, make an avatar, remove it."""

from __future__ import annotations

import asyncio
import datetime
import json
import logging
from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Query, Request, Response
from fastapi.responses import StreamingResponse

from ditto_avatar.errors import (
    DittoAvatarError,
    Forbidden,
    Unauthorized,
    outcome_of,
    public_text,
)
from ditto_avatar.face.register.checks import Finding
from ditto_avatar.face.register.guarded import Stage
from ditto_avatar.face.register.writing import Terms
from ditto_avatar.server.credentials import bearer
from ditto_avatar.server.gate import visitor_of
from ditto_avatar.server.parts import ServerParts
from ditto_avatar.server.routes import ERRORS, Authorization, Parts, TheSession
from ditto_avatar.server.wire.encoding import avatar_out
from ditto_avatar.session.grant import key_of
from ditto_avatar.session.session import Session

log = logging.getLogger(__name__)
router = APIRouter(prefix="/api/avatars", tags=["faces"], responses=ERRORS)

_CONSENT = {
    "self": "The person shown made this avatar of themselves",
    "written": "The maker of this avatar states that the person shown consented in writing",
}


@router.post("/check")
async def check_picture(
    request: Request, session: TheSession, parts: Parts
) -> list[dict[str, Any]]:
    """Say what is wrong with a small JPEG of a camera; the body is the picture."""
    _require_allowed(parts)
    return [_finding(finding) for finding in await parts.faces.check(await request.body())]


@router.post("", response_class=StreamingResponse)
async def make_avatar(
    request: Request,
    session: TheSession,
    parts: Parts,
    consent: Annotated[Literal["self", "written"], Query()],
    person: Annotated[str, Query(min_length=1, max_length=80)],
) -> StreamingResponse:
    """Make an avatar; the body is a photo or a film. The answer is one JSON object a line, as it
    happens: `{"stage": …}`, at last `{"avatar": …, "token": …}` or `{"error": …}`."""
    _require_allowed(parts)
    parts.face_pace.take(visitor_of(request))
    data = await request.body()
    day = datetime.datetime.now(datetime.UTC).date().isoformat()
    terms = Terms(
        license="private",
        provenance="uploaded by a visitor",
        consent=f"{_CONSENT[consent]}: {person.strip()}, {day}.",
        display_name={"en": person.strip(), "ko": person.strip()},
        description={"en": "Your own face", "ko": "내 얼굴"},
    )
    lines = _progress(parts, data, session, terms)
    return StreamingResponse(
        lines, media_type="application/x-ndjson", headers={"Cache-Control": "no-store"}
    )


@router.delete("/{name}", status_code=204)
async def remove_avatar(name: str, parts: Parts, authorization: Authorization = None) -> Response:
    """Remove a face that was made here, with the token that came with it."""
    await parts.faces.remove(name, _token(authorization))
    return Response(status_code=204)


@router.put("/{name}/shared", status_code=204)
async def share_avatar(
    name: str,
    shared: Annotated[bool, Body(embed=True)],
    parts: Parts,
    authorization: Authorization = None,
) -> Response:
    """Let holders of every key use a face whose name they know, or only those of its maker's."""
    await parts.faces.share(name, _token(authorization), shared)
    return Response(status_code=204)


def _token(authorization: str | None) -> str:
    token = bearer(authorization)
    if token is None:
        raise Unauthorized("Expected 'Authorization: Bearer <token>' with the face's token.")
    return token


def _require_allowed(parts: ServerParts) -> None:
    if not parts.faces.allowed:
        raise Forbidden("This server takes no faces of visitors (DITTO_MAX_FACES).")


def _finding(finding: Finding) -> dict[str, Any]:
    texts = {language: finding.text(language) for language in ("en", "ko")}
    return {"reason": finding.reason.value, "blocks": finding.blocks, "text": texts}


async def _progress(
    parts: ServerParts, data: bytes, session: Session, terms: Terms
) -> AsyncIterator[str]:
    stages: asyncio.Queue[Stage | None] = asyncio.Queue()
    yield _line(stage=Stage.CHECKING)
    made = parts.faces.make(data, session.id, key_of(session.grant), terms, stages.put_nowait)
    task = asyncio.create_task(made)
    task.add_done_callback(lambda _: stages.put_nowait(None))
    try:
        while (stage := await stages.get()) is not None:
            yield _line(stage=stage)
        avatar, token = task.result()
        yield _line(avatar=avatar_out(avatar).model_dump(mode="json"), token=token)
    except DittoAvatarError as error:
        code = outcome_of(error).code
        parts.metrics.errors.labels(code).inc()
        yield _line(error={"code": code, "message": public_text(error)})
    finally:
        # A visitor who left ends the work.
        task.cancel()
        await asyncio.wait([task])


def _line(**content: Any) -> str:
    return json.dumps(content, ensure_ascii=False) + "\n"
