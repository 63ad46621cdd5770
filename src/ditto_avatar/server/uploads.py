"""Take in a form with one file: its fields into memory, the file to disk, as they arrive."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request

from ditto_avatar.errors import InvalidInput
from ditto_avatar.server.multipart import FormReader

FILE_PART = "file"
_LONGEST_FIELD = 4 * 1024


@dataclass(frozen=True, slots=True)
class Upload:
    """The fields of a form, and where its file lies."""

    fields: dict[str, str]
    path: Path


@asynccontextmanager
async def received(request: Request) -> AsyncIterator[Upload]:
    """Take in the form that is the body of `request`; its file is there for as long as the block
    lasts. `BodyLimit` bounds its size and its time.

    Raises `InvalidInput` for a body that is no such form, and what `Request.stream` raises.
    Cancelling is safe: no file is left.
    """
    reader = FormReader(request.headers.get("content-type", ""))
    fields: dict[str, bytearray] = {}
    with tempfile.NamedTemporaryFile(prefix="ditto-avatar-", suffix=".upload") as file:
        has_file = False
        async for data in request.stream():
            for name, piece in reader.feed(data):
                if name == FILE_PART:
                    has_file = True
                    await asyncio.to_thread(file.write, piece)
                else:
                    _add(fields, name, piece)
        reader.finish()
        if not has_file:
            raise InvalidInput(f"{FILE_PART}: the form has no such part.")
        await asyncio.to_thread(file.flush)
        yield Upload({name: _text(name, value) for name, value in fields.items()}, Path(file.name))


def _add(fields: dict[str, bytearray], name: str, piece: bytes) -> None:
    field = fields.setdefault(name, bytearray())
    field += piece
    if len(field) > _LONGEST_FIELD:
        raise InvalidInput("A field of the form is too long.")


def _text(name: str, value: bytearray) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise InvalidInput(f"{name[:64]}: expected UTF-8.") from None
