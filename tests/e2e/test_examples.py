"""What stands in examples/ does what it says."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import av
import pytest
from playwright.sync_api import Page, expect

from tests.deadlines import TEST_DEADLINE_S
from tests.e2e.conftest import Server
from tests.e2e.shop import paint, told
from tests.fakes.site import Site, serving_site

pytestmark = pytest.mark.e2e

REPOSITORY = Path(__file__).parents[2]
EXAMPLES = REPOSITORY / "examples"
OWN_ADDRESS = "http://localhost:7136"
# The elements are in the pages from the beginning: whoever comes later misses what they say first.
NOTED_EARLY = """
window.noted = [];
for (const type of ["ready", "speaking", "error"]) {
  const note = ({ target, detail }) => noted.push({ id: target.id, type, ...detail });
  document.addEventListener(type, note, true);
}
"""
# As much of React as the example uses: a component is drawn once, its effects run, and end.
REACT = """
const effects = [];
export const useRef = (current) => ({ current });
export const useEffect = (effect) => effects.push(effect);
export function createElement(tag, { ref, ...attributes }) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  ref.current = node;
  return node;
}
export function show(component, properties) {
  document.querySelector("main").append(component(properties));
  return effects.splice(0).map((effect) => effect());
}
"""


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with serving_site() as site:
        yield site


@pytest.fixture(scope="module")
def open_server(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("examples"), DITTO_ALLOWED_ORIGINS=site.origin)
    server.start()
    yield server
    server.stop()


def opened(page: Page, name: str, server: Server, site: Site) -> None:
    text = (EXAMPLES / name).read_text()
    assert OWN_ADDRESS in text
    site.pages[f"/{name}"] = text.replace(OWN_ADDRESS, server.url)
    page.add_init_script(NOTED_EARLY)
    page.goto(f"{site.origin}/{name}")


def test_the_page_asks_its_guide(page: Page, open_server: Server, site: Site) -> None:
    opened(page, "page.html", open_server, site)
    told(page, "ready")
    page.get_by_role("button", name="How does delivery work?").click()
    caption = told(page, "speaking")["text"]
    expect(page.locator("#said")).to_have_text(caption)


def test_the_kiosk_page_answers_a_touch(page: Page, open_server: Server, site: Site) -> None:
    opened(page, "kiosk.html", open_server, site)
    page.get_by_role("button", name="What can you do?").click()
    told(page, "speaking")
    paint(page.locator("#guide"))
    width = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert width <= 0


def test_the_react_component_shows_and_tells(
    page: Page, open_server: Server, site: Site, tmp_path: Path
) -> None:
    tsc = shutil.which("tsc")
    if tsc is None:
        pytest.skip("no TypeScript: JSX is not compiled")
    options = "--allowJs --target es2022 --module es2022 --jsx react --jsxFactory createElement"
    command = [tsc, *options.split(), "--outDir", str(tmp_path), str(EXAMPLES / "Guide.jsx")]
    # It looks for types of React, which are not here; what it writes is all the same.
    subprocess.run(command, check=False, capture_output=True, timeout=TEST_DEADLINE_S)
    compiled = (tmp_path / "Guide.js").read_text()
    page.add_init_script(NOTED_EARLY)
    page.goto(site.put("<p>Here it is:</p>"))
    page.evaluate(
        """async ([react, component, server]) => {
          const type = "text/javascript";
          const module = (text) => URL.createObjectURL(new Blob([text], { type }));
          const own = module(react);
          const { show } = await import(own);
          const { Guide } = await import(module(component.replace(/"react"/, JSON.stringify(own))
            .replace("{ useEffect", "{ createElement, useEffect")));
          window.heard = [];
          const onSpeaking = (text) => heard.push(text);
          window.ends = show(Guide, { server, token: "", onSpeaking });
        }""",
        [REACT, compiled, open_server.url],
    )
    told(page, "ready")
    page.evaluate("document.querySelector('ditto-avatar').say('Welcome.')")
    page.wait_for_function("heard.includes('Welcome.')")


def films_are_whole(folder: Path) -> None:
    films = list(folder.glob("*.mp4"))
    assert films
    for path in films:
        with av.open(str(path), "r") as film:
            assert sum(1 for _ in film.decode(video=0)) > 5


def test_the_python_script_prints_and_keeps_films(open_server: Server, tmp_path: Path) -> None:
    films = tmp_path / "films"
    command = [sys.executable, str(EXAMPLES / "ask.py"), open_server.url, "Hello", str(films)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=TEST_DEADLINE_S)
    assert run.returncode == 0, run.stderr
    assert len(run.stdout.split()) > 3
    films_are_whole(films)


def test_the_node_script_prints_and_keeps_films(open_server: Server, tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("no Node: its example is not run")
    package = tmp_path / "node_modules" / "@ditto-avatar" / "client"
    package.mkdir(parents=True)
    shutil.copy(REPOSITORY / "sdk/js/package.json", package)
    subprocess.run([node, REPOSITORY / "sdk/js/build.js", package / "dist"], check=True)
    shutil.copy(EXAMPLES / "ask.mjs", tmp_path)
    command = [node, "ask.mjs", open_server.url, "Hello", "films"]
    run = subprocess.run(
        command,
        cwd=tmp_path,
        env={**os.environ, "NODE_OPTIONS": ""},
        capture_output=True,
        text=True,
        timeout=TEST_DEADLINE_S,
    )
    assert run.returncode == 0, run.stderr
    assert len(run.stdout.split()) > 3
    films_are_whole(tmp_path / "films")


@pytest.mark.parametrize("name", ["Guide.jsx", "ask.mjs"])
def test_the_documentation_shows_the_examples_as_they_are(name: str) -> None:
    text = (EXAMPLES / name).read_text()
    code = text[text.index("import ") :]
    assert code in (REPOSITORY / "docs/embedding.md").read_text()
