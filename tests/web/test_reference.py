"""The description of the API as a page to read, in a real Chromium under its content policy."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles
from playwright.sync_api import Page, expect

from ditto_avatar.server.headers import SecurityHeaders
from ditto_avatar.server.operator import REFERENCE, describe
from tests.deadlines import TEST_DEADLINE_S

pytestmark = pytest.mark.e2e


@pytest.fixture
def address() -> Iterator[str]:
    app = FastAPI(openapi_url=None)
    document = describe(with_admin=True)
    app.add_api_route("/openapi.json", lambda: JSONResponse(document))
    app.mount("/docs", StaticFiles(directory=REFERENCE, html=True))
    app.add_middleware(SecurityHeaders)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, lifespan="off"))
    started = threading.Event()
    startup = server.startup

    async def tell(sockets: Any = None) -> None:
        await startup(sockets)
        started.set()

    server.startup = tell  # type: ignore[method-assign]
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()))
    thread.start()
    assert started.wait(TEST_DEADLINE_S)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(TEST_DEADLINE_S)


def test_every_operation_is_described(page: Page, address: str) -> None:
    asked: list[str] = []
    refused: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: refused.append(message.text))
    page.goto(f"{address}/docs")
    paths = describe(with_admin=True)["paths"]
    operations = page.locator("details")
    expect(operations).to_have_count(sum(len(methods) for methods in paths.values()))
    tokens = operations.filter(has_text="/api/tokens")
    tokens.locator("summary").click()
    expect(tokens).to_contain_text("expires_s")
    expect(tokens).to_contain_text("How many sessions it opens.")
    expect(tokens).to_contain_text("integer from 1 to 86400, 300 by default")
    expect(page.locator("h2").filter(has_text="admin")).to_be_visible()
    assert all(url.startswith((address, "data:")) for url in asked)
    assert refused == []
