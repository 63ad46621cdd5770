"""How heavy the embedded element is, how soon it shows the presenter on a page of another origin,
what content credentials take, what a presenter without its background costs, and whether a kiosk
survives (results/embed.json).

    python -m bench.embed                                  the usual parts
    python -m bench.embed page credentials                 these parts
    python -m bench.embed kiosk --soak 1800                a kiosk for half an hour
    python -m bench.embed edge --pictures studio/out       the edge against the studio's alpha

Each part is stored with its own commit and yardstick; what was not measured stays as it was."""

from __future__ import annotations

import argparse
import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from playwright.sync_api import Browser

from bench import report
from bench.browser import browser_page
from bench.embed_cutout import alpha_errors, transparent_to_opaque
from bench.kiosk_soak import soak
from bench.report import Scale, Target
from bench.serving import Serving, serving
from bench.yardstick import Yardstick
from ditto_avatar.credentials.certificate import Certificate
from ditto_avatar.credentials.signing import Credentials
from ditto_avatar.credentials.statement import Statement
from ditto_avatar.face.library import BUNDLED
from ditto_avatar.server.embedding import embed_files, embed_module
from ditto_avatar.server.page_files import compressed, page_file

VISITS = 12
FILMS = 20
Figures = dict[str, Any]
Part = Callable[[argparse.Namespace, Yardstick], Awaitable[Figures]]
TARGETS = {
    "transparent_to_opaque_ratio": Target(">= 0.6"),
    "alpha_error_mean": Target("<= 2"),
    "kiosk_dead_ends": Target("0"),
    "embed_kb_gzipped": Target("<= 30"),
    "connect_to_first_picture_ms_p50": Target("<= 500", Scale.TIME),
    "connect_to_first_picture_ms_p95": Target("", Scale.TIME),
    "credentials_ms_per_film": Target("<= 50", Scale.TIME),
}
# Resolves with the ms from the element's entry into the page, its script loaded, to the first
# moving picture of the presenter.
_FIRST_PICTURE = """async (server) => {
  await import(`${server}/embed.js`);
  const element = document.createElement("ditto-avatar");
  element.setAttribute("server", server);
  const videos = [...element.shadowRoot.querySelectorAll("video")];
  const painted = Promise.race(videos.map((video) =>
    new Promise((resolve) => video.requestVideoFrameCallback((now) => resolve(now)))));
  const began = performance.now();
  document.body.append(element);
  return (await painted) - began;
}"""


def weight_kb() -> float:
    """The modules as they are served, each compressed for itself, in thousands of bytes."""
    modules = [page_file(path, path.stat().st_mtime_ns) for path in embed_files()]
    modules.append(compressed(embed_module().encode(), "text/javascript"))
    return round(sum(len(module.compressed) for module in modules) / 1000, 1)


@contextmanager
def _shop() -> Iterator[str]:
    """The origin of a page that is not the server's."""
    with TemporaryDirectory() as folder:
        Path(folder, "index.html").write_text("<!doctype html><title>Shop</title>")
        handler = partial(SimpleHTTPRequestHandler, directory=folder)
        with ThreadingHTTPServer(("127.0.0.1", 0), handler) as site:
            thread = threading.Thread(target=site.serve_forever, daemon=True)
            thread.start()
            try:
                yield f"http://127.0.0.1:{site.server_port}"
            finally:
                site.shutdown()
                thread.join()


def _first_pictures(server: Serving, shop: str, yardstick: Yardstick) -> list[float]:
    """ms to the first picture, each time in a browser that knows nothing of the server."""
    with browser_page(server.url) as page:
        browser = page.context.browser
        assert browser is not None
        visits = []
        for _ in range(VISITS):
            yardstick.sample()
            visits.append(_visit(browser, server, shop))
    return visits


def _visit(browser: Browser, server: Serving, shop: str) -> float:
    context = browser.new_context()
    page = context.new_page()
    page.goto(shop)
    took: float = page.evaluate(_FIRST_PICTURE, server.url)
    context.close()
    return took


async def _credentials_ms(yardstick: Yardstick) -> float:
    """ms until a film of a sentence is signed and in its place, the median; the first one, which
    waits for the child process, left out."""
    idle = BUNDLED / "mina" / "idle.mp4"
    statement = Statement("mina", "puppet", "", "")
    took = []
    with TemporaryDirectory() as folder:
        certificate = await asyncio.to_thread(Certificate.for_trying, Path(folder))
        credentials = Credentials(certificate)
        for _ in range(FILMS + 1):
            yardstick.sample()
            began = time.perf_counter()
            await credentials.sign(idle, Path(folder, "film.mp4"), statement)
            took.append((time.perf_counter() - began) * 1000)
        await credentials.close()
    return report.p50(took[1:])


async def _page(given: argparse.Namespace, yardstick: Yardstick) -> Figures:
    with _shop() as shop:
        async with serving(DITTO_ALLOWED_ORIGINS=shop) as server:
            took = await asyncio.to_thread(_first_pictures, server, shop, yardstick)
    return {
        "embed_kb_gzipped": weight_kb(),
        "connect_to_first_picture_ms_p50": round(report.p50(took)),
        "connect_to_first_picture_ms_p95": round(report.percentile(took, 95)),
        "visits": len(took),
    }


async def _credentials(given: argparse.Namespace, yardstick: Yardstick) -> Figures:
    took = await _credentials_ms(yardstick)
    return {"credentials_ms_per_film": round(took, 1), "films": FILMS}


async def _cutout(given: argparse.Namespace, yardstick: Yardstick) -> Figures:
    yardstick.sample()
    ratio = await asyncio.to_thread(transparent_to_opaque)
    yardstick.sample()
    return {"transparent_to_opaque_ratio": ratio}


async def _edge(given: argparse.Namespace, yardstick: Yardstick) -> Figures:
    yardstick.sample()
    return await asyncio.to_thread(alpha_errors, given.pictures)


async def _kiosk(given: argparse.Namespace, yardstick: Yardstick) -> Figures:
    yardstick.sample()
    async with serving(DITTO_LANGUAGE="en") as server:
        seen = await asyncio.to_thread(soak, server.port, given.soak)
    yardstick.sample()
    return {
        "kiosk_soak_s": given.soak,
        "kiosk_reloads": seen.reloads,
        "kiosk_network_cuts": seen.network_cuts,
        "kiosk_questions": seen.questions,
        "kiosk_dead_ends": seen.dead_ends,
        "ends": seen.ends,
    }


PARTS: Mapping[str, Part] = {
    "page": _page,
    "credentials": _credentials,
    "cutout": _cutout,
    "edge": _edge,
    "kiosk": _kiosk,
}
# The others take pictures that only the studio makes, or half an hour.
USUAL = ("page", "credentials", "cutout")


async def measure(given: argparse.Namespace) -> None:
    """Run the parts one after the other, and write each into the file when it is done."""
    for name in given.parts or USUAL:
        with Yardstick() as yardstick:
            figures = await PARTS[name](given, yardstick)
            report.write_part("embed", name, figures, TARGETS, yardstick)


def main() -> None:
    """Measure on this machine."""
    parser = argparse.ArgumentParser()
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}; usually {USUAL}")
    parser.add_argument("--soak", type=float, default=1_800, metavar="SECONDS")
    parser.add_argument("--pictures", type=Path, help="the studio's pictures with alpha")
    given = parser.parse_args()
    if unknown := set(given.parts) - set(PARTS):
        parser.error(f"there is no part {', '.join(sorted(unknown))}")
    if "edge" in given.parts and given.pictures is None:
        parser.error("the part edge needs --pictures")
    asyncio.run(measure(given))


if __name__ == "__main__":
    main()
