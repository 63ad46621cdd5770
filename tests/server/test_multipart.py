from __future__ import annotations

import pytest

from ditto_avatar.errors import InvalidInput
from ditto_avatar.server.multipart import FormReader

TYPE = "multipart/form-data; boundary=----of-a-browser"
HEAD = b'Content-Disposition: form-data; name="%s"\r\n\r\n'
LINE = b"------of-a-browser"


def form(**parts: bytes) -> bytes:
    """A form as a browser writes it."""
    written = [LINE + b"\r\n" + HEAD % name.encode() + data for name, data in parts.items()]
    return b"\r\n".join([*written, LINE + b"--\r\n"])


def read(body: bytes, step: int = 1 << 20, kind: str = TYPE) -> dict[str, bytes]:
    reader, parts = FormReader(kind), dict[str, bytes]()
    for at in range(0, len(body), step):
        for name, piece in reader.feed(body[at : at + step]):
            parts[name] = parts.get(name, b"") + piece
    reader.finish()
    return parts


# Among them what looks nearly like a boundary, and a boundary's beginning at the end.
PARTS = {
    "consent": b"self",
    "empty": b"",
    "file": b"\r\n\r\n--\r\n------of-a-browse\r\n" + bytes(range(256)) + b"\r\n----",
    "person": "김하나".encode(),
}


@pytest.mark.parametrize("step", [1, 2, 3, 7, 64, 1 << 20])
def test_parts_are_the_same_however_the_body_is_cut(step: int) -> None:
    assert read(form(**PARTS), step) == PARTS


def test_large_parts_are_handed_on_as_they_come() -> None:
    reader = FormReader(TYPE)
    assert list(reader.feed(LINE + b"\r\n" + HEAD % b"file")) == [("file", b"")]
    handed = sum(len(piece) for _ in range(100) for _, piece in reader.feed(bytes(1000)))
    assert 100_000 - len(LINE) - 2 < handed <= 100_000


def test_a_quoted_boundary_and_a_file_name_are_read() -> None:
    head = b'Content-Disposition: form-data; name="file"; filename="a \xea\xb0\x80;.jpg"\r\n'
    body = b"--a b\r\n" + head + b"Content-Type: image/jpeg\r\n\r\nx\r\n--a b--"
    assert read(body, kind='multipart/form-data; boundary="a b"') == {"file": b"x"}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"text",
        form(file=b"x")[:-5],
        form(file=b"x").replace(b'name="file"', b"filename=x"),
        form(file=b"x").replace(LINE + b"\r\n", LINE + b"xx", 1),
        form(file=b"x").replace(b"\r\n\r\n", b"\r\n", 1),
        LINE + b"\r\n\r\nno head" + form(file=b"x"),
        LINE + b"\r\n" + b"a" * 5_000,
        b"\r\n".join([form(file=b"1")[:-4], HEAD % b"file" + b"2\r\n" + LINE + b"--"]),
        form(**{f"part{index}": b"" for index in range(9)}),
    ],
)
@pytest.mark.parametrize("step", [1, 1 << 20])
def test_what_is_no_whole_form_is_refused(body: bytes, step: int) -> None:
    with pytest.raises(InvalidInput):
        read(body, step)


@pytest.mark.parametrize(
    "kind",
    ["", "image/jpeg", "multipart/form-data", "multipart/mixed; boundary=a",
     "multipart/form-data; boundary=" + "a" * 300],
)  # fmt: skip
def test_what_is_called_otherwise_is_refused(kind: str) -> None:
    with pytest.raises(InvalidInput):
        FormReader(kind)
