"""Serve WHEP: a foreign player watches a session over WebRTC.

It follows draft-ietf-wish-whep-03 as far as one answer goes: `POST` with an offer, `DELETE` to
leave. Candidates are all in the answer, so there is no `PATCH`.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Response

from ditto_avatar.errors import InvalidInput
from ditto_avatar.server.routes import ERRORS, Parts, TheSession
from ditto_avatar.server.sub_path import url

router = APIRouter(prefix="/api/sessions/{session}/whep", tags=["WebRTC"], responses=ERRORS)

_SDP = "application/sdp"
_ANSWER: dict[int | str, dict[str, Any]] = {201: {"content": {_SDP: {}}}}


@router.post("", status_code=201, response_class=Response, responses=_ANSWER)
async def watch(
    session: TheSession, parts: Parts, offer: Annotated[bytes, Body(media_type=_SDP)]
) -> Response:
    """Answer the offer of a player; `Location` is the address by which it leaves."""
    try:
        sdp = offer.decode("ascii")
    except UnicodeDecodeError:
        raise InvalidInput("Expected an SDP offer in ASCII.") from None
    parts.paces.offers.take(session.id)
    name, answer = await parts.whep.open(session, sdp)
    headers = {
        "Location": url(f"/api/sessions/{session.id}/whep/{name}"),
        "Cache-Control": "no-store",
    }
    links = [] if parts.rtc is None else parts.rtc.told()["ice_servers"]
    if links:
        headers["Link"] = ", ".join(_link(server) for server in links)
    return Response(answer, 201, headers, _SDP)


@router.delete("/{player}", status_code=204)
async def leave(session: TheSession, parts: Parts, player: str) -> None:
    """Close a player's connection."""
    parts.whep.end(session, player)


def _link(server: dict[str, Any]) -> str:
    """Write an ICE server as the `Link` header of WHEP has it."""
    fields = {name: server[name] for name in ("username", "credential") if name in server}
    parameters = "".join(f'; {name}="{value}"' for name, value in fields.items())
    kind = '; credential-type="password"' if fields else ""
    return ", ".join(
        f'<{address}>; rel="ice-server"{parameters}{kind}' for address in server["urls"]
    )
