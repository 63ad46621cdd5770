"""The JavaScript client in a browser, on a page of another origin."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route

from tests.e2e.conftest import Server
from tests.e2e.shop import join_token, server, site
from tests.fakes.site import Site

__all__ = ["server", "site"]
pytestmark = pytest.mark.e2e

SDK = Path(__file__).parents[2] / "sdk" / "js"
TALK = """async ([server, join]) => {
  const { connect } = await import("/sdk/index.js");
  const avatar = await connect(server, { join, language: "en", storage: sessionStorage });
  const bytes = [];
  const answer = avatar.say("Good morning.");
  for await (const film of answer.films()) {
    if (!MediaSource.isTypeSupported(film.mime)) throw new Error(film.mime);
    for await (const fragment of film) bytes.push(fragment.byteLength);
  }
  const { text } = await answer.finished;
  avatar.close();
  return { text, fragments: bytes.length, kept: sessionStorage.length > 0 };
}"""


def test_it_talks_to_a_server_of_another_origin(
    page: Page, server: Server, site: Site, tmp_path: Path
) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("no Node: the client is not built")
    subprocess.run([node, SDK / "build.js", tmp_path / "sdk"], check=True)

    def serve(route: Route) -> None:
        name = route.request.url.removeprefix(f"{site.origin}/sdk/")
        route.fulfill(path=tmp_path / "sdk" / name, content_type="text/javascript")

    page.route("**/sdk/**", serve)
    page.goto(site.put("<p>A page of one's own.</p>"))
    talked = page.evaluate(TALK, [server.url, join_token(server, site)])
    assert talked["text"] == "Good morning."
    assert talked["fragments"] > 1
    assert talked["kept"]
