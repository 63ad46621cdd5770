"""Serve the files of the page: scripts without their comments, and texts compressed."""

from __future__ import annotations

import gzip
import hashlib
import os
import re
from dataclasses import dataclass
from email.utils import formatdate
from functools import lru_cache
from pathlib import Path
from typing import Any

from fastapi import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

_TEXTS = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}
# A third of the scripts' bytes are comments. Whole lines only, so that no rule of the language
# matters; a test holds that none of them is within a text.
_COMMENT_LINES = re.compile(r"^[ \t]*(?:/\*\*.*?\*/|//[^\n]*)\n", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class PageFile:
    """A text as it is sent, plain and compressed."""

    plain: bytes
    compressed: bytes
    headers: dict[str, str]


class PageFiles(StaticFiles):
    """Serve a folder like `StaticFiles`; its scripts, styles and drawings as `page_file` makes
    them."""

    def file_response(
        self,
        full_path: str | os.PathLike[str],
        stat_result: os.stat_result,
        scope: Scope,
        status_code: int = 200,
    ) -> Response:
        path = Path(full_path)
        if path.suffix not in _TEXTS:
            return super().file_response(full_path, stat_result, scope, status_code)
        return answer(page_file(path, stat_result.st_mtime_ns), scope)


@lru_cache(maxsize=256)
def page_file(path: Path, changed_ns: int) -> PageFile:
    """Read the text at `path`, which changed at `changed_ns`, and make what is sent of it."""
    data = path.read_bytes()
    if path.suffix == ".js":
        data = without_comments(data.decode()).encode()
    made = compressed(data, _TEXTS[path.suffix])
    made.headers["last-modified"] = formatdate(changed_ns / 1e9, usegmt=True)
    return made


def compressed(data: bytes, media_type: str) -> PageFile:
    """Make what is sent of `data`; browsers ask each time whether it is still the same."""
    headers = {
        "content-type": media_type,
        "cache-control": "no-cache",
        "etag": f'"{hashlib.sha256(data).hexdigest()[:32]}"',
        "vary": "Accept-Encoding",
    }
    return PageFile(data, gzip.compress(data, mtime=0), headers)


def answer(file: PageFile, scope: Scope) -> Response:
    """Answer a request for `file`: compressed where the browser takes that, and without content
    where it has it already."""
    asked: dict[bytes, Any] = dict(scope["headers"])
    if file.headers["etag"] in asked.get(b"if-none-match", b"").decode("latin-1"):
        return Response(status_code=304, headers=file.headers)
    if b"gzip" not in asked.get(b"accept-encoding", b""):
        return Response(file.plain, headers=file.headers)
    return Response(file.compressed, headers={**file.headers, "content-encoding": "gzip"})


def without_comments(script: str) -> str:
    """Take the lines that hold nothing but a comment out of `script`."""
    return _COMMENT_LINES.sub("", script)
