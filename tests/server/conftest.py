from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from anyio.from_thread import BlockingPortal as Portal
from anyio.from_thread import start_blocking_portal
from websockets.asyncio.client import ClientConnection, connect

from ditto_avatar.face.avatar import Avatar
from ditto_avatar.face.puppet.renderer import Renderer
from ditto_avatar.server.parts import ServerParts
from ditto_avatar.server.serving import GracefulServer, admin_port
from ditto_avatar.server.startup import open_parts
from ditto_avatar.server.wire.server_messages import SERVER_MESSAGES
from ditto_avatar.settings import Settings
from tests.deadlines import TEST_DEADLINE_S
from tests.fakes.packs import make_pack


@dataclass
class Server:
    """A real server on a port of the loopback."""

    port: int
    data_dir: Path
    http: httpx.AsyncClient
    admin: httpx.AsyncClient
    """Speaks to the admin port, or to the main one where there is no other."""
    parts: ServerParts | None = None
    """What it holds, where it runs in this process."""

    @asynccontextmanager
    async def socket(self, **hello: Any) -> AsyncIterator[Socket]:
        """A connection that has said hello."""
        async with connect(f"ws://127.0.0.1:{self.port}/ws", max_size=None) as raw:
            client = Socket(raw)
            await client.send(type="hello", **hello)
            yield client


@dataclass
class Socket:
    """Speaks the protocol; keeps every message, and the bytes of every fragment."""

    raw: ClientConnection
    messages: list[dict[str, Any]] = field(default_factory=list)
    media: list[bytes] = field(default_factory=list)

    async def send(self, **message: Any) -> None:
        await self.raw.send(json.dumps(message))

    async def next(self) -> dict[str, Any]:
        """The next message, fragments read along the way."""
        async with asyncio.timeout(TEST_DEADLINE_S):
            while True:
                frame = await self.raw.recv()
                if isinstance(frame, str):
                    SERVER_MESSAGES.validate_json(frame)  # as the reference has it
                    message: dict[str, Any] = json.loads(frame)
                    self.messages.append(message)
                    return message
                self.media.append(frame)

    async def until(self, kind: str) -> dict[str, Any]:
        """The next message of a type."""
        while (message := await self.next())["type"] != kind:
            pass
        return message

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [message for message in self.messages if message["type"] == kind]


ServeWith = Callable[..., Any]


@pytest.fixture(scope="session")
def packs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packs")
    make_pack(folder / "oval")
    make_pack(folder / "egg", frames=25)
    return folder


@pytest.fixture(scope="session", autouse=True)
def small_presenters(packs: Path) -> Iterator[None]:
    """Servers in this process come with these packs instead of the large ones."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ditto_avatar.assembly.BUNDLED", packs)
        yield


@pytest.fixture(scope="session", autouse=True)
def faces_prepared_once() -> Iterator[None]:
    """Servers in this process share what draws a pack, since preparing one takes a second."""
    renderers: dict[tuple[Path, str], Renderer] = {}

    def renderer(avatar: Avatar) -> Renderer:
        key = (avatar.folder, avatar.fingerprint)
        if key not in renderers:
            renderers[key] = Renderer(avatar)
        return renderers[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ditto_avatar.face.puppet.engine.Renderer", renderer)
        yield


def client(port: int) -> httpx.AsyncClient:
    # Nothing here is encrypted, and reading the certificates of the system takes 50 ms.
    url = f"http://127.0.0.1:{port}"
    return httpx.AsyncClient(base_url=url, timeout=TEST_DEADLINE_S, verify=False)


@asynccontextmanager
async def serving(data_dir: Path, **changes: Any) -> AsyncIterator[Server]:
    """A server in this event loop, stopped at the end of the block."""
    usual: dict[str, Any] = {
        "data_dir": data_dir,
        "avatar": "oval",
        "shutdown_s": 0.1,
        "speech": "espeak",
        "dialogue": "offline",
        # A child process for every server: for the tests that look at it.
        "credentials": "off",
        "_env_file": None,
    }
    settings = Settings(**{**usual, **changes})
    async with AsyncExitStack() as stack:
        listening = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        port = listening.getsockname()[1]
        parts = await stack.enter_async_context(open_parts(settings))
        own_port = await stack.enter_async_context(admin_port(parts))
        server = GracefulServer(parts)
        running = asyncio.create_task(server.serve(sockets=[listening]))
        async with client(port) as http, client(own_port or port) as admin:
            await http.get("/readyz")  # the socket listens already: this waits for the start
            yield Server(port, settings.data_dir, http, admin, parts)
        server.should_exit = True
        await running


@pytest.fixture
def serve(tmp_path: Path) -> ServeWith:
    """Starts a server with other settings than the usual: `async with serve(max_body_kb=1)`."""
    return partial(serving, tmp_path / "data")


@pytest.fixture
async def own_server(serve: ServeWith) -> AsyncIterator[Server]:
    """A server with the usual settings for one test, which may leave it in any state."""
    async with serve() as running:
        yield running


@pytest.fixture(scope="session")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Portal]]:
    """One server for all tests, and the way into its thread: the event loops of tests come and
    go. Its limits of a minute are out of the way, since a test takes a second."""
    plenty = 100_000
    opened = serving(
        tmp_path_factory.mktemp("shared") / "data",
        turns_per_minute=plenty,
        sessions_per_minute=plenty,
    )
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(opened) as server:
        yield server, portal


@pytest.fixture
async def server(shared_server: tuple[Server, Portal]) -> AsyncIterator[Server]:
    """A server with the usual settings and no session."""
    running, portal = shared_server
    async with client(running.port) as http, client(running.admin.base_url.port or 0) as admin:
        yield replace(running, http=http, admin=admin)
    await asyncio.to_thread(portal.call, _end_all, running)


async def _end_all(server: Server) -> None:
    """End all sessions, with the turns that a test left running."""
    assert server.parts is not None
    for session in server.parts.registry.sessions:
        await server.parts.removal.erase(session.id, "operator")
