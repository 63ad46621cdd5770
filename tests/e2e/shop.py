"""A shop's page with `<ditto-avatar>` in it, and the server that it comes from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from playwright.sync_api import Locator, Page

from ditto_avatar.server.keys import new_key
from tests.e2e.conftest import ALL, Server
from tests.fakes.site import Site, serving_site

KEY, ENTRY = new_key("shop")
NOTED = """() => {
  window.noted = [];
  for (const element of document.querySelectorAll("ditto-avatar")) {
    for (const type of ["ready", "speaking", "caption", "interrupted", "ended", "error"]) {
      const note = ({ detail }) => noted.push({ id: element.id, type, ...detail });
      element.addEventListener(type, note);
    }
  }
}"""


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with serving_site() as site:
        yield site


@pytest.fixture(scope="module")
def server(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(
        tmp_path_factory.mktemp("embed"),
        ALL,
        DITTO_API_KEYS=ENTRY.entry,
        DITTO_ALLOWED_ORIGINS=site.origin,
    )
    server.start()
    yield server
    server.stop()


def join_token(server: Server, site: Site, **wanted: Any) -> str:
    answer = httpx.post(
        f"{server.url}/api/tokens",
        json={"origins": [site.origin], **wanted},
        headers={"Authorization": f"Bearer {KEY}"},
    )
    token: str = answer.raise_for_status().json()["join"]
    return token


def element(server: Server, token: str = "", **attributes: str) -> str:
    given = "".join(f' {name}="{value}"' for name, value in attributes.items())
    return f'<ditto-avatar server="{server.url}" token="{token}"{given}></ditto-avatar>'


def open_with(page: Page, server: Server, site: Site, body: str, lang: str = "en") -> None:
    page.goto(site.put(body, lang=lang))
    page.evaluate(NOTED)
    page.add_script_tag(url=f"{server.url}/embed.js", type="module")


def told(page: Page, type_: str, **fields: Any) -> dict[str, Any]:
    """The first event of that type (and fields), once it has come."""
    wanted = {"type": type_, **fields}
    found = """(wanted) => noted.find((event) =>
      Object.keys(wanted).every((key) => event[key] === wanted[key]))"""
    event: dict[str, Any] = page.wait_for_function(found, arg=wanted).json_value()
    return event


def paint(avatar: Locator) -> None:
    """Wait until the face is seen."""
    avatar.evaluate(
        """(element) => new Promise((resolve) => {
          const look = () => [...element.shadowRoot.querySelectorAll("video")]
            .some((video) => video.getVideoPlaybackQuality().totalVideoFrames > 0)
              ? resolve() : requestAnimationFrame(look);
          look();
        })"""
    )
