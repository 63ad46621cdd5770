"""The kiosk in a browser for a long time: loaded anew and cut off from its server, over and over.
A dead end is a page that a visitor cannot use within a minute after the last of it."""

from __future__ import annotations

import contextlib
import random
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from playwright.sync_api import Error, Page

from bench.browser import browser_page

USABLE_WITHIN_MS = 60_000
LONGEST_CUT_S = 12.0
_BLOCK = 65_536
_SPEAKS = "() => document.querySelector('#status')?.textContent === 'Speaking'"
_QUIET = "() => document.querySelector('#status')?.textContent === 'Ready'"


@dataclass
class Soak:
    """What happened to the page, and how often nothing could be done with it afterwards."""

    reloads: int = 0
    network_cuts: int = 0
    questions: int = 0
    dead_ends: int = 0
    ends: list[str] = field(default_factory=list)


class Cable:
    """A line on loopback to `port` that can be cut: connections break, and no new one is made."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._whole = True
        self._sockets: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Break all connections."""
        self._whole = False
        for end in list(self._sockets):
            _hang_up(end)

    def mend(self) -> None:
        """Let new connections through."""
        self._whole = True

    def close(self) -> None:
        """Cut it for good."""
        self.cut()
        _hang_up(self._listener)

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            if not self._whole:
                _hang_up(near)
                continue
            try:
                far = socket.create_connection(("127.0.0.1", self._port))
            except OSError:
                _hang_up(near)
                continue
            self._sockets |= {near, far}
            for source, target in ((near, far), (far, near)):
                threading.Thread(target=self._pump, args=(source, target), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while block := source.recv(_BLOCK):
                target.sendall(block)
        for end in (source, target):
            _hang_up(end)
            self._sockets.discard(end)


def _hang_up(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()


@contextlib.contextmanager
def _cable(port: int) -> Iterator[Cable]:
    cable = Cable(port)
    try:
        yield cable
    finally:
        cable.close()


def soak(port: int, seconds: float, seed: int = 7) -> Soak:
    """Use and disturb the kiosk of the server on `port` for `seconds`."""
    chance, seen = random.Random(seed), Soak()
    with _cable(port) as cable, browser_page(cable.url) as page:
        page.goto(f"{cable.url}/?kiosk&lang=en")
        _use(page, seen)
        ends_at = time.monotonic() + seconds
        while time.monotonic() < ends_at:
            disturb = chance.choice((_reload, _cut, _cut_and_reload, _ask_and_cut))
            disturb(page, cable, seen, chance)
            _use(page, seen)
            page.wait_for_timeout(chance.uniform(500, 4_000))
    return seen


def _use(page: Page, seen: Soak) -> None:
    """Do as a visitor does: press a key, ask a question, stop the answer."""
    try:
        page.wait_for_function(_QUIET, timeout=USABLE_WITHIN_MS)
        page.keyboard.press("5")
        page.locator("#questions button").first.click(timeout=USABLE_WITHIN_MS)
        page.wait_for_function(_SPEAKS, timeout=USABLE_WITHIN_MS)
        seen.questions += 1
        page.keyboard.press("-")
    except Error as error:
        seen.dead_ends += 1
        seen.ends.append(str(error).splitlines()[0])
        page.goto(page.url)


def _reload(page: Page, cable: Cable, seen: Soak, chance: random.Random) -> None:
    _load_anew(page, seen)


def _cut(page: Page, cable: Cable, seen: Soak, chance: random.Random) -> None:
    seen.network_cuts += 1
    cable.cut()
    page.wait_for_timeout(1000 * chance.uniform(1, LONGEST_CUT_S))
    cable.mend()


def _cut_and_reload(page: Page, cable: Cable, seen: Soak, chance: random.Random) -> None:
    seen.network_cuts += 1
    cable.cut()
    page.wait_for_timeout(1000 * chance.uniform(0, LONGEST_CUT_S / 2))
    _load_anew(page, seen)
    page.wait_for_timeout(1000 * chance.uniform(1, LONGEST_CUT_S / 2))
    cable.mend()


def _ask_and_cut(page: Page, cable: Cable, seen: Soak, chance: random.Random) -> None:
    page.keyboard.press("2")
    page.wait_for_timeout(1000 * chance.uniform(0, 2))
    _cut(page, cable, seen, chance)


def _load_anew(page: Page, seen: Soak) -> None:
    seen.reloads += 1
    try:
        page.reload(wait_until="commit")
    except Error as error:
        # The page is lost: nothing on it loads it once more.
        seen.dead_ends += 1
        seen.ends.append(str(error).splitlines()[0])
