"""Serve operators: look at sessions, close and erase them, drain the server.

Nothing here shows a word of what visitors wrote or were told.
"""

from __future__ import annotations

import logging
from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query

from ditto_avatar.errors import NotFound, Unauthorized
from ditto_avatar.server.credentials import bearer
from ditto_avatar.server.keys import Key
from ditto_avatar.server.parts import ServerParts
from ditto_avatar.server.routes import ERRORS, Parts, parts_of
from ditto_avatar.server.wire.admin import (
    DrainOut,
    ServerFigures,
    SessionDetails,
    SessionFigures,
    SessionList,
    TurnFigures,
)
from ditto_avatar.session.overview import Figures

log = logging.getLogger(__name__)

_MOST_LISTED = 500


async def administrator(
    parts: Annotated[ServerParts, Depends(parts_of)],
    authorization: Annotated[str | None, Header()] = None,
) -> Key:
    """Find the operator's key of a request. Raises `Unauthorized`."""
    text = bearer(authorization)
    key = parts.admin_keys.find(text) if text is not None else None
    if key is None:
        raise Unauthorized("Expected 'Authorization: Bearer <key>' with a key for operators.")
    return key


Operator = Annotated[Key, Depends(administrator)]
router = APIRouter(
    prefix="/admin", tags=["admin"], dependencies=[Depends(administrator)], responses=ERRORS
)


@router.get("/status")
async def show_status(parts: Parts) -> ServerFigures:
    """Show whether the server drains, and how full it is."""
    return ServerFigures(
        draining=parts.services.drain.on,
        sessions=len(parts.registry),
        viewers=parts.registry.viewers,
        speaking=parts.services.admission.speaking,
        waiting=parts.services.admission.waiting,
    )


@router.get("/sessions")
async def list_sessions(
    parts: Parts,
    limit: Annotated[int, Query(ge=1, le=_MOST_LISTED)] = 100,
    offset: Annotated[int, Query(ge=0)] = 0,
) -> SessionList:
    """List all sessions: those without a turn, then the others, the last used first."""
    found = await parts.overview.sessions(limit + 1, offset)
    shown = [_shown(parts, figures) for figures in found[:limit]]
    return SessionList(sessions=shown, more=len(found) > limit)


@router.get("/sessions/{session}")
async def show_session(session: str, parts: Parts) -> SessionDetails:
    """Show one session with its turns."""
    figures = await parts.overview.session(session)
    if figures is None:
        raise NotFound("There is no such session.")
    turns = [
        TurnFigures.model_validate(turn, from_attributes=True)
        for turn in await parts.overview.turns(session)
    ]
    return SessionDetails(**_shown(parts, figures).model_dump(), timeline=turns)


@router.post("/sessions/{session}/close", status_code=204)
async def close_session(session: str, parts: Parts, operator: Operator) -> None:
    """End a session: its answer stops, its viewers are disconnected, and it cannot be found again.
    What was said is kept as long as that of others."""
    await _act(parts, operator, "close", session)
    if not await parts.removal.end(session):
        raise NotFound("There is no such session.")


@router.delete("/sessions/{session}", status_code=204)
async def erase_session(session: str, parts: Parts, operator: Operator) -> None:
    """End a session and remove everything that is kept of it."""
    await _act(parts, operator, "erase", session)
    if not await parts.removal.erase(session, "operator"):
        raise NotFound("There is no such session.")


@router.post("/drain")
async def begin_drain(parts: Parts, operator: Operator) -> DrainOut:
    """Take no new sessions and turns; what runs is finished, and `/readyz` says so."""
    await _act(parts, operator, "drain")
    parts.services.drain.on = True
    return DrainOut(draining=True)


@router.delete("/drain")
async def end_drain(parts: Parts, operator: Operator) -> DrainOut:
    """Take new sessions and turns again."""
    await _act(parts, operator, "resume")
    parts.services.drain.on = False
    return DrainOut(draining=False)


async def _act(parts: ServerParts, operator: Key, action: str, session: str | None = None) -> None:
    """Write down an action before it is done."""
    await parts.audit.note(operator.name, action, session)
    log.info("the operator %s asks for %s of %s", operator.name, action, session or "the server")


def _shown(parts: ServerParts, figures: Figures) -> SessionFigures:
    """The figures, with a mark in place of the visitor's address."""
    values = asdict(figures)
    address = values.pop("address")
    return SessionFigures(
        visitor=None if address is None else parts.secret.mark_of(address), **values
    )
