"""Web pages of another origin than the server's."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Site:
    """Serves `pages`, by path."""

    def __init__(self, port: int) -> None:
        self.origin = f"http://127.0.0.1:{port}"
        self.pages: dict[str, str] = {}

    def put(self, body: str, path: str = "/", lang: str = "en") -> str:
        """Serve a page with `body`; returns its address."""
        head = f'<!doctype html><html lang="{lang}"><head><meta charset="utf-8"><title>Shop</title>'
        viewport = (
            '<meta name="viewport" content="width=device-width"><link rel="icon" href="data:">'
        )
        self.pages[path] = f"{head}{viewport}</head><body><main><h1>Shop</h1>{body}</main></body>"
        return self.origin + path


@contextlib.contextmanager
def serving_site() -> Iterator[Site]:
    """A site on a free port of loopback."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            page = site.pages.get(self.path)
            self.send_response(200 if page is not None else 404)
            self.send_header("content-type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write((page or "").encode())

        def log_message(self, format: str, *args: object) -> None:
            """Nobody reads it."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        site = Site(server.server_port)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield site
        finally:
            server.shutdown()
            thread.join()
