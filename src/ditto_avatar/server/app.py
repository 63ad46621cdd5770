"""Make the web application: the routes, the page, and what stands in front of them."""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.responses import FileResponse

from ditto_avatar.server import (
    embedding,
    face_routes,
    failures,
    kiosk,
    operator,
    routes,
    voice_routes,
    websocket,
    whep,
)
from ditto_avatar.server.addresses import TrustedProxies
from ditto_avatar.server.body_limit import BodyLimit, Bounds
from ditto_avatar.server.embedding import CrossOrigin
from ditto_avatar.server.exposure import OperatorPort, operator_port
from ditto_avatar.server.forwarding import Forwarding
from ditto_avatar.server.gate import Gate, Rules
from ditto_avatar.server.headers import SecurityHeaders
from ditto_avatar.server.origin import listed
from ditto_avatar.server.page_files import PageFiles
from ditto_avatar.server.parts import ServerParts
from ditto_avatar.server.sub_path import SubPath
from ditto_avatar.server.throttle import Shares

WEB = Path(__file__).parent.parent / "web"


def create_app(parts: ServerParts) -> FastAPI:
    """Make the application that shows `parts` to the outside. Raises `InvalidInput` for settings
    that cannot be read."""
    app = _empty_app(parts)
    app.include_router(routes.api)
    app.include_router(face_routes.router)
    app.include_router(voice_routes.router)
    app.include_router(routes.files)
    app.include_router(routes.health)
    app.include_router(websocket.router)
    app.include_router(embedding.router)
    app.include_router(kiosk.router)
    app.include_router(whep.router)
    app.mount("/static", PageFiles(directory=WEB), name="static")
    app.add_api_route("/", _page, include_in_schema=False, methods=["GET", "HEAD"])
    if operator_port(parts.settings) is OperatorPort.MAIN:
        operator.install(app, parts)
    return app


def create_admin_app(parts: ServerParts) -> FastAPI:
    """Make the application for operators, for a port of its own. Raises like `create_app`."""
    app = _empty_app(parts)
    app.include_router(routes.health)
    operator.install(app, parts)
    return app


def _empty_app(parts: ServerParts) -> FastAPI:
    """An application without routes, with all that stands in front of them."""
    # The description is served by `operator`, and drawn without files from elsewhere.
    app = FastAPI(openapi_url=None)
    app.state.parts = parts
    failures.install(app)
    settings = parts.settings
    # The last one stands outermost.
    app.add_middleware(Forwarding, parts=parts)
    app.add_middleware(
        BodyLimit,
        bounds=Bounds(settings.max_body_kb * 1024, settings.request_s),
        streamed={face_routes.PATH: face_routes.upload_bounds(settings)},
        refuse=failures.on_error,
    )
    app.add_middleware(
        Gate,
        rules=Rules.of(settings),
        sockets=Shares(settings.max_connections_per_address),
        metrics=parts.metrics,
        refuse=failures.on_error,
    )
    app.add_middleware(failures.JsonErrors)
    origins = listed(settings.allowed_origins)
    app.add_middleware(CrossOrigin, origins=origins)
    app.add_middleware(SecurityHeaders, origins=origins)
    app.add_middleware(
        SubPath,
        root=SubPath.root_of(settings),
        proxies=TrustedProxies.read(settings.trusted_proxies),
    )
    return app


async def _page(request: Request) -> FileResponse:
    if "kiosk" in request.query_params:
        return kiosk.page()
    headers = {"Cache-Control": "no-cache"}
    return FileResponse(WEB / "index.html", media_type="text/html", headers=headers)
