"""A model hub on loopback: a listing with hashes, and files that can be fetched in part."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

COMMIT = "0" * 40
LARGE = 10_000  # bytes, from which a file is kept by its SHA-256


@dataclass
class ModelHub:
    """One repository. `cut` names files whose next transfer breaks off after that many bytes,
    `spoiled` those that arrive changed, `held` those that stop after that many bytes until
    `release` is set; `requests` are the transfers, with their ranges."""

    repository: str
    files: Mapping[str, bytes]
    address: str = ""
    cut: dict[str, int] = field(default_factory=dict)
    spoiled: set[str] = field(default_factory=set)
    held: dict[str, int] = field(default_factory=dict)
    release: threading.Event = field(default_factory=threading.Event)
    requests: list[tuple[str, str | None]] = field(default_factory=list)

    def listing(self) -> dict[str, Any]:
        siblings = []
        for name, content in self.files.items():
            entry: dict[str, Any] = {
                "rfilename": name,
                "size": len(content),
                "blobId": blob_hash(content),
            }
            if len(content) >= LARGE:
                digest = hashlib.sha256(content).hexdigest()
                entry["lfs"] = {"sha256": digest, "size": len(content), "pointerSize": 130}
            siblings.append(entry)
        return {"id": self.repository, "sha": COMMIT, "siblings": siblings, "private": False}


def blob_hash(content: bytes) -> str:
    """git's hash of a file."""
    return hashlib.sha1(f"blob {len(content)}\0".encode() + content).hexdigest()


@contextmanager
def serve(repository: str, files: Mapping[str, bytes]) -> Iterator[ModelHub]:
    hub = ModelHub(repository, files)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:
            pass

        def do_HEAD(self) -> None:
            self._answer(body=False)

        def do_GET(self) -> None:
            self._answer(body=True)

        def _answer(self, body: bool) -> None:
            path = self.path.split("?")[0]
            if path.startswith(f"/api/models/{repository}"):
                self._send(200, json.dumps(hub.listing()).encode(), {}, body)
                return
            name = path.removeprefix(f"/{repository}/resolve/").split("/", 1)[-1]
            if name not in hub.files:
                self._send(404, b"", {"X-Error-Code": "EntryNotFound"}, body)
                return
            content = hub.files[name]
            digest = hashlib.sha256(content).hexdigest()
            etag = digest if len(content) >= LARGE else blob_hash(content)
            if name in hub.spoiled:
                content = bytes(255 - byte for byte in content)
            headers = {"ETag": f'"{etag}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
            wanted = self.headers.get("Range")
            match = re.fullmatch(r"bytes=(\d+)-(\d*)", wanted or "")
            status = 200
            if match:
                first, last = int(match[1]), int(match[2] or len(content) - 1)
                headers["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
                content, status = content[first : last + 1], 206
            if body:
                hub.requests.append((name, wanted))
            if body and name in hub.held:
                self._send_half(status, content, headers, hub.held.pop(name))
                return
            self._send(status, content, headers, body, hub.cut.pop(name, None) if body else None)

        def _send_half(
            self, status: int, content: bytes, headers: Mapping[str, str], half: int
        ) -> None:
            self._send(status, content[:half], headers, True, None, len(content))
            self.wfile.flush()
            hub.release.wait()
            with suppress(OSError):
                self.wfile.write(content[half:])

        def _send(
            self,
            status: int,
            content: bytes,
            headers: Mapping[str, str],
            body: bool,
            cut: int | None = None,
            length: int | None = None,
        ) -> None:
            self.send_response(status)
            for key, value in headers.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(length or len(content)))
            self.end_headers()
            if body:
                self.wfile.write(content if cut is None else content[:cut])
            if cut is not None:
                self.close_connection = True

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield hub
    finally:
        hub.release.set()
        server.shutdown()
        server.server_close()
        thread.join()
