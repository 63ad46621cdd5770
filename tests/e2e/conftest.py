"""A real server in a process of its own, and a real browser."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from ditto_avatar.face.library import BUNDLED
from tests.deadlines import TEST_DEADLINE_MS, TEST_DEADLINE_S
from tests.fakes.browsers import browser, playwright
from tests.fakes.serving import command_with

__all__ = ["browser", "playwright"]


ALL = ("mina", "james", "sofia")


class Server:
    """`ditto-avatar serve` with a data folder of its own; may be killed and started again.
    `settings` are environment variables. Of the bundled presenters it has those that are named:
    each takes seconds to prepare."""

    def __init__(
        self, data_dir: Path, presenters: Sequence[str] = ("mina",), **settings: str
    ) -> None:
        self._presenters = data_dir / "presenters"
        self._presenters.mkdir()
        for name in presenters:
            (self._presenters / name).symlink_to(BUNDLED / name)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = data_dir / "server.log"
        self._data_dir = data_dir
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start and wait until it is ready."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("DITTO_", "OPENAI_"))}
        environment = {
            **kept,
            "DITTO_DATA_DIR": str(self._data_dir / "data"),
            "DITTO_DIALOGUE": "offline",
            "DITTO_SPEECH": "espeak",
            "DITTO_SHUTDOWN_S": "1",
            # Tests of the fragments; those of WebRTC turn it on.
            "DITTO_RTC": "off",
            **self._settings,
        }
        command = [*command_with(self._presenters), "serve", "--port", str(self.port)]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command, env=environment, cwd=self._data_dir, stdout=log, stderr=log
            )
        deadline = time.monotonic() + TEST_DEADLINE_S
        while not self._ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the server did not start:\n{self.log.read_text()}")
            # A process that is not ours to observe from inside: asking is the only way to know.
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(0.1)

    def kill(self) -> None:
        """End it without a chance to tidy up."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it as a person would."""
        self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(number)
        try:
            self._process.wait(TEST_DEADLINE_S)
        finally:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=2) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests that leave it alive."""
    server = Server(tmp_path_factory.mktemp("server"), ALL)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Server]:
    """A server for one test, which may kill it."""
    server = Server(tmp_path)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport={"width": 1280, "height": 800}, locale="en-US")
    context.set_default_timeout(TEST_DEADLINE_MS)
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext) -> Page:
    return context.new_page()
