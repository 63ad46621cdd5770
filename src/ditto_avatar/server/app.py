"""The web application: routes, the page, and how errors are told."""

from __future__ import annotations

import logging
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

from ditto_avatar import __version__
from ditto_avatar.errors import OUTCOMES, InvalidInput, outcome_of, public_text
from ditto_avatar.server import routes, websocket
from ditto_avatar.server.body_limit import BodyLimit
from ditto_avatar.server.house import House
from ditto_avatar.server.wire import ErrorDetail, ErrorOut

log = logging.getLogger(__name__)

WEB = Path(__file__).parent.parent / "web"
_POLICY = (
    "default-src 'self'; media-src 'self' blob:; img-src 'self' data: blob:; "
    "connect-src 'self' ws: wss:; frame-ancestors 'self'; base-uri 'none'; form-action 'self'"
)


def create_app(house: House) -> FastAPI:
    """The application that shows `house` to the outside."""
    app = FastAPI(
        title="Ditto Avatar",
        version=__version__,
        description="A talking face that answers in real time.",
    )
    app.state.house = house
    app.include_router(routes.api)
    app.include_router(routes.files)
    app.include_router(routes.health)
    app.include_router(websocket.router)
    app.mount("/static", StaticFiles(directory=WEB), name="static")
    app.add_api_route("/", _page, include_in_schema=False, methods=["GET", "HEAD"])
    app.add_exception_handler(RequestValidationError, _on_invalid_request)
    app.add_exception_handler(HTTPException, _on_http_error)
    for kind in OUTCOMES:
        app.add_exception_handler(kind, _on_error)
    app.add_middleware(BodyLimit, max_bytes=house.settings.max_body_kb * 1024, refuse=_on_error)
    return app


async def _page() -> FileResponse:
    headers = {"Content-Security-Policy": _POLICY, "Cache-Control": "no-cache"}
    return FileResponse(WEB / "index.html", media_type="text/html", headers=headers)


async def _on_error(request: Request, error: Exception) -> JSONResponse:
    outcome = outcome_of(error)
    if not outcome.public:
        log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return _answer(outcome.status, outcome.code, public_text(error))


async def _on_invalid_request(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    problem = error.errors()[0]
    place = ".".join(str(part) for part in problem["loc"])
    outcome = outcome_of(InvalidInput())
    return _answer(outcome.status, outcome.code, f"{place}: {problem['msg']}")


async def _on_http_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    code = "not_found" if error.status_code == 404 else "http_error"
    return _answer(error.status_code, code, str(error.detail))


def _answer(status: int, code: str, message: str) -> JSONResponse:
    body = ErrorOut(error=ErrorDetail(code=code, message=message))
    return JSONResponse(body.model_dump(), status)
