"""Serve what only operators need: metrics, and the reference of the API from own files."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Response
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles

from ditto_avatar import __version__
from ditto_avatar.face.base import backends_of
from ditto_avatar.server import admin, routes
from ditto_avatar.server.parts import ServerParts

REFERENCE = Path(__file__).parent.parent / "web" / "reference"

router = APIRouter()


def install(app: FastAPI, parts: ServerParts) -> None:
    """Add the operator's side to `app`; the admin interface only where there are keys for it."""
    app.include_router(router)
    if parts.admin_keys:
        app.include_router(admin.router)
    app.mount("/docs", StaticFiles(directory=REFERENCE, html=True), name="docs")


@router.get("/metrics", tags=["operators"])
async def metrics(parts: Annotated[ServerParts, Depends(routes.parts_of)]) -> Response:
    """Return Prometheus metrics."""
    gauges = parts.metrics
    gauges.sessions.set(len(parts.registry))
    gauges.viewers.set(parts.registry.viewers)
    gauges.speaking.set(parts.services.admission.speaking)
    gauges.waiting.set(parts.services.admission.waiting)
    gauges.backends.show(backends_of(parts.face))
    return Response(gauges.exposition(), media_type=gauges.content_type)


@router.get("/openapi.json", include_in_schema=False)
async def description(parts: Annotated[ServerParts, Depends(routes.parts_of)]) -> JSONResponse:
    """Return the OpenAPI document of everything that this server answers, on whichever port."""
    return JSONResponse(describe(with_admin=bool(parts.admin_keys)))


@cache
def describe(*, with_admin: bool) -> dict[str, Any]:
    """Make the OpenAPI document, with the admin interface or without."""
    app = FastAPI(
        title="Ditto Avatar",
        version=__version__,
        description="A talking face that answers in real time.",
    )
    for part in (routes.api, routes.files, routes.health, router):
        app.include_router(part)
    if with_admin:
        app.include_router(admin.router)
    return app.openapi()
