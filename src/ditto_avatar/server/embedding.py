"""Serve the embedded element, and let pages of other origins use what it needs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from fastapi import APIRouter, Request, Response
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from ditto_avatar.server.page_files import answer, compressed

_WEB = (Path(__file__).parent.parent / "web").resolve()
# The operator's interface is not among them.
_SHARED = (
    "/embed.js",
    "/static/core/",
    "/static/embed/",
    "/api/avatars",
    "/api/voices",
    "/api/sessions",
    "/avatars/",
    "/video/",
    "/audio/",
)
_PREFLIGHT_S = 600
_IMPORT = re.compile(r'^(?:import|export) (?:[^;(]*? from )?"(\.[^"]+)";$', re.MULTILINE)
router = APIRouter()


class CrossOrigin:
    """Let pages of `origins` read the answers that the embedded element needs (CORS). The browser
    of a page of any other origin keeps the answers from it. No cookies are taken."""

    def __init__(self, app: ASGIApp, *, origins: Sequence[str]) -> None:
        self._app = app
        self._shared = CORSMiddleware(
            app,
            allow_origins=origins,
            allow_methods=["GET", "HEAD", "POST", "DELETE"],
            allow_headers=["authorization", "content-type", "range"],
            expose_headers=["content-range", "content-length", "location", "link"],
            max_age=_PREFLIGHT_S,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        shared = scope["type"] == "http" and scope["path"].startswith(_SHARED)
        await (self._shared if shared else self._app)(scope, receive, send)


@router.get("/embed.js", include_in_schema=False)
async def embed(request: Request) -> Response:
    """Return the module that defines `<ditto-avatar>`."""
    file = compressed(embed_module().encode(), "text/javascript; charset=utf-8")
    return answer(file, request.scope)


def embed_module() -> str:
    """Write the module that imports the element. It names all modules that the element needs, so
    that a browser asks for them at once, not one level after the other."""
    modules = [f"./static/{path.relative_to(_WEB).as_posix()}" for path in embed_files()]
    lines = [f'import "{module}";' for module in modules]
    lines.append('export { DittoAvatarElement } from "./static/embed/element.js";')
    return "\n".join(lines) + "\n"


def embed_files() -> list[Path]:
    """List the modules that the element needs from the beginning. What it loads later, for the
    microphone for example, is imported by a call and not among them."""
    return sorted(_imported_by(_WEB / "embed" / "element.js", set()))


def _imported_by(module: Path, known: set[Path]) -> set[Path]:
    known.add(module)
    for name in _IMPORT.findall(module.read_text()):
        other = (module.parent / name).resolve()
        if other not in known:
            _imported_by(other, known)
    return known
