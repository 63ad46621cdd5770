"""Answer errors over REST: always as JSON, each counted once."""

from __future__ import annotations

import logging

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ditto_avatar.errors import (
    OUTCOMES,
    InvalidInput,
    TooSlow,
    outcome_of,
    public_text,
    where_raised,
)
from ditto_avatar.server.wire.base import place_of
from ditto_avatar.server.wire.rest import ErrorDetail, ErrorOut

log = logging.getLogger(__name__)

# What tells a program more than the sentence does.
_KEPT_HEADERS = ("allow", "content-range", "www-authenticate")


def install(app: FastAPI) -> None:
    """Have `app` answer with these functions. What is no domain error is `JsonErrors`' part."""
    app.add_exception_handler(RequestValidationError, _on_invalid_request)
    app.add_exception_handler(HTTPException, _on_http_error)
    for kind in OUTCOMES:
        if kind is not Exception:
            app.add_exception_handler(kind, on_error)


async def on_error(request: Request, error: Exception) -> JSONResponse:
    """Answer for any error, and count it."""
    outcome = outcome_of(error)
    if not outcome.public:
        log.error("%s failed: %s", request.method, where_raised(error))
    answer = _answer(request, outcome.status, outcome.code, public_text(error))
    if isinstance(error, TooSlow):
        # What may still come of the request is not read.
        answer.headers["Connection"] = "close"
    return answer


async def _on_invalid_request(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    problem = error.errors()[0]
    return await on_error(request, InvalidInput(f"{place_of(problem['loc'])}: {problem['msg']}"))


async def _on_http_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    answer = _answer(request, error.status_code, _code(error.status_code), str(error.detail))
    answer.headers.update(error.headers or {})
    return answer


class JsonErrors:
    """Answer what nothing inside has caught, and give plain-text errors of the framework (a wrong
    range, for one) the form of all others.

    The log gets the lines that an error passed and no more: a stack trace quotes what a visitor
    sent.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = replaced = False

        async def watched(message: Message) -> None:
            nonlocal begun, replaced
            begun = True
            if replaced:
                return
            if message["type"] == "http.response.start" and _is_plain_error(message):
                replaced = True
                await _answer_in_place_of(message, scope)(scope, receive, send)
                return
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception as error:
            # The border of a request or a connection.
            if scope["type"] != "http" or begun:
                log.error("%s broke off: %s", scope["type"], where_raised(error))
                return
            answer = await on_error(Request(scope), error)
            await answer(scope, receive, send)


def _is_plain_error(message: Message) -> bool:
    if message["status"] < 400:
        return False
    kind = Headers(raw=message["headers"]).get("content-type", "text/plain")
    return kind.startswith("text/plain")


def _answer_in_place_of(message: Message, scope: Scope) -> JSONResponse:
    status: int = message["status"]
    code = _code(status)
    text = "The range cannot be sent." if status == 416 else "The request is malformed."
    answer = _answer(Request(scope), status, code, text)
    headers = Headers(raw=message["headers"])
    for name in _KEPT_HEADERS:
        if name in headers:
            answer.headers[name] = headers[name]
    return answer


def _code(status: int) -> str:
    return "not_found" if status == 404 else "http_error"


def _answer(request: Request, status: int, code: str, message: str) -> JSONResponse:
    request.app.state.parts.metrics.errors.labels(code).inc()
    body = ErrorOut(error=ErrorDetail(code=code, message=message))
    return JSONResponse(body.model_dump(), status)
