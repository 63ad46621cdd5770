"""Serve visitors' own faces: check a picture, make an avatar, remove it."""

from __future__ import annotations

import asyncio
import datetime
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import ValidationError

from ditto_avatar.errors import (
    DittoAvatarError,
    Forbidden,
    InvalidInput,
    Unauthorized,
    outcome_of,
    public_text,
)
from ditto_avatar.face.register.findings import Finding
from ditto_avatar.face.register.guarded import Step
from ditto_avatar.face.register.writing import Terms
from ditto_avatar.server.body_limit import Bounds
from ditto_avatar.server.credentials import bearer
from ditto_avatar.server.faces import FacePlace
from ditto_avatar.server.gate import visitor_of
from ditto_avatar.server.parts import ServerParts
from ditto_avatar.server.routes import ERRORS, Authorization, Parts, TheSession
from ditto_avatar.server.uploads import FILE_PART, received
from ditto_avatar.server.wire.base import first_problem
from ditto_avatar.server.wire.encoding import avatar_out
from ditto_avatar.server.wire.rest import NewFace
from ditto_avatar.session.grant import key_of
from ditto_avatar.settings import Settings

PATH = "/api/avatars"
router = APIRouter(prefix=PATH, tags=["faces"], responses=ERRORS)

# A phone may be slow, and a film long: so many seconds may an upload take.
_UPLOAD_S = 120.0
# What a form has besides its file.
_FIELDS_BYTES = 16 * 1024

_CONSENT = {
    "self": "The person shown made this avatar of themselves",
    "written": "The maker of this avatar states that the person shown consented in writing",
}
_FORM = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    **NewFace.model_json_schema(),
                    "properties": {
                        **NewFace.model_json_schema()["properties"],
                        FILE_PART: {"type": "string", "format": "binary"},
                    },
                    "required": ["consent", "person", "terms", FILE_PART],
                }
            }
        },
    }
}


def upload_bounds(settings: Settings) -> Bounds:
    """Return what an upload of a face may be."""
    return Bounds(settings.max_face_mb * 1024 * 1024 + _FIELDS_BYTES, _UPLOAD_S)


@dataclass(frozen=True, slots=True)
class _Brought:
    """A face that came in: what the form says, its file, and its place among the faces."""

    form: NewFace
    path: Path
    place: FacePlace


async def _brought(request: Request, session: TheSession, parts: Parts) -> AsyncIterator[_Brought]:
    """Reserve a place before the body is read; place and file last until the answer is sent."""
    _require_allowed(parts)
    visitor = visitor_of(request)
    parts.paces.faces.take(visitor)
    key = key_of(session.grant)
    async with parts.faces.place(session.id, key, visitor) as place, received(request) as upload:
        try:
            form = NewFace.model_validate(upload.fields)
        except ValidationError as error:
            raise InvalidInput(first_problem(error)) from None
        yield _Brought(form, upload.path, place)


@router.post("/check")
async def check_picture(
    request: Request, session: TheSession, parts: Parts
) -> list[dict[str, Any]]:
    """Say what is wrong with a small JPEG of a camera; the body is the picture."""
    _require_allowed(parts)
    return [_finding(finding) for finding in await parts.faces.check(await request.body())]


@router.post("", response_class=StreamingResponse, openapi_extra=_FORM)
async def make_avatar(
    brought: Annotated[_Brought, Depends(_brought)], parts: Parts
) -> StreamingResponse:
    """Make an avatar of the photo or film in the form. The answer is one JSON object a line, as it
    happens: `{"stage": …}`, at last `{"avatar": …, "token": …}` or `{"error": …}`."""
    return StreamingResponse(
        _progress(parts, brought),
        media_type="application/x-ndjson",
        headers={"Cache-Control": "no-store"},
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


def _terms(form: NewFace) -> Terms:
    day = datetime.datetime.now(datetime.UTC).date().isoformat()
    person = form.person.strip()
    return Terms(
        license="private",
        provenance="uploaded by a visitor",
        consent=f"{_CONSENT[form.consent]}: {person}, {day}; they accepted the terms.",
        display_name={"en": person, "ko": person},
        description={"en": "Your own face", "ko": "내 얼굴"},
    )


async def _progress(parts: ServerParts, brought: _Brought) -> AsyncIterator[str]:
    stages: asyncio.Queue[Step | None] = asyncio.Queue()
    yield _line(stage=Step.CHECKING)
    made = parts.faces.make(brought.place, brought.path, _terms(brought.form), stages.put_nowait)
    task = asyncio.create_task(made)
    task.add_done_callback(lambda _: stages.put_nowait(None))
    try:
        while (stage := await stages.get()) is not None:
            yield _line(stage=stage)
        shown = avatar_out(task.result()).model_dump(mode="json")
        yield _line(avatar=shown, token=brought.place.token)
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
