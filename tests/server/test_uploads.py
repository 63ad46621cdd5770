from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

import pytest
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message

from ditto_avatar.errors import InvalidInput
from ditto_avatar.server.uploads import received
from tests.cancelling import cancelled_everywhere

PART = b'--b\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n'
BODY = [PART % (b"file", b"12"), PART % (b"person", "한".encode()), b"--b--\r\n"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def request(body: list[bytes]) -> Request:
    messages: list[Message] = [
        {"type": "http.request", "body": data, "more_body": True} for data in body
    ]
    messages.append({"type": "http.disconnect"})
    if body[-1] == BODY[-1]:
        messages[-1:] = [{"type": "http.request"}]

    async def receive() -> Message:
        await asyncio.sleep(0)
        return messages.pop(0)

    header = (b"content-type", b"multipart/form-data; boundary=b")
    return Request({"type": "http", "method": "POST", "headers": [header]}, receive)


async def test_a_file_lies_there_for_as_long_as_it_is_used(folder: Path) -> None:
    async with received(request(BODY)) as upload:
        assert upload.fields == {"person": "한"}
        assert upload.path.read_bytes() == b"12"
        assert list(folder.iterdir()) == [upload.path]
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (BODY[:2], ClientDisconnect),
        (BODY[1:], InvalidInput),
        ([BODY[0], PART % (b"person", b"\xff"), BODY[2]], InvalidInput),
        ([BODY[0], PART % (b"person", b"x" * 5_000), BODY[2]], InvalidInput),
    ],
)
async def test_a_form_that_is_refused_leaves_no_file(
    folder: Path, body: list[bytes], error: type[Exception]
) -> None:
    with pytest.raises(error):
        async with received(request(body)):
            pass
    assert list(folder.iterdir()) == []


async def test_taking_in_can_be_cancelled_everywhere(folder: Path) -> None:
    async def take() -> None:
        async with received(request(BODY)):
            await asyncio.sleep(0)

    seen = 0
    async for _ in cancelled_everywhere(take):
        seen += 1
        assert list(folder.iterdir()) == []
    assert seen > 10
