"""A store that speaks as much of S3's protocol as clips need, over a real socket."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape, unescape


class FakeS3:
    """Holds objects by ``bucket/name``, with the time at which each came."""

    def __init__(self, port: int) -> None:
        self.endpoint = f"http://127.0.0.1:{port}"
        self.objects: dict[str, tuple[bytes, datetime]] = {}
        self.requests: list[str] = []
        self.refuses = False
        """Answers 403 to everything, as for a wrong key."""


@contextmanager
def fake_s3() -> Iterator[FakeS3]:
    """A store on a free port of loopback."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_PUT(self) -> None:
            data = self.rfile.read(int(self.headers["content-length"]))
            if self._allowed():
                s3.objects[self._name()] = (data, datetime.now(UTC))
                self._answer(200, headers={"ETag": '"1"'})

        def do_GET(self) -> None:
            if not self._allowed():
                return
            query = parse_qs(urlsplit(self.path).query)
            if "list-type" in query:
                self._answer(200, self._listing(query.get("prefix", [""])[0]))
            elif (found := s3.objects.get(self._name())) is None:
                self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
            else:
                headers = {"ETag": '"1"', "Last-Modified": format_datetime(found[1], usegmt=True)}
                self._answer(200, found[0], headers)

        def do_POST(self) -> None:
            """Remove several at once (``?delete``)."""
            body = self.rfile.read(int(self.headers["content-length"])).decode()
            if self._allowed():
                names = re.findall(r"<Key>(.*?)</Key>", body)
                for name in names:
                    s3.objects.pop(f"{self._name()}/{unescape(name)}", None)
                gone = "".join(f"<Deleted><Key>{name}</Key></Deleted>" for name in names)
                self._answer(200, f"<DeleteResult>{gone}</DeleteResult>".encode())

        def _allowed(self) -> bool:
            s3.requests.append(f"{self.command} {self._name()}")
            signed = self.headers.get("authorization", "").startswith("AWS4-HMAC-SHA256 ")
            if s3.refuses or not signed:
                self._answer(403, b"<Error><Code>AccessDenied</Code></Error>")
                return False
            return True

        def _name(self) -> str:
            return unquote(urlsplit(self.path).path).strip("/")

        def _listing(self, prefix: str) -> bytes:
            bucket = self._name()
            entries = "".join(
                f"<Contents><Key>{escape(name.removeprefix(bucket + '/'))}</Key>"
                f"<LastModified>{made.strftime('%Y-%m-%dT%H:%M:%S.000Z')}</LastModified>"
                f"<Size>{len(data)}</Size><ETag>1</ETag></Contents>"
                for name, (data, made) in sorted(s3.objects.items())
                if name.startswith(f"{bucket}/{prefix}")
            )
            begin = '<?xml version="1.0"?><ListBucketResult><IsTruncated>false</IsTruncated>'
            return f"{begin}{entries}</ListBucketResult>".encode()

        def _answer(
            self, status: int, body: bytes = b"", headers: dict[str, str] | None = None
        ) -> None:
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Nobody reads it."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        s3 = FakeS3(server.server_port)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield s3
        finally:
            server.shutdown()
            thread.join()
