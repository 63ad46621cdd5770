"""Packs that a hostile stranger would make. Headers lie in place of megabytes of data."""

from __future__ import annotations

import json
import shutil
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from tests.fakes.packs import make_pack

Spoil = Callable[[Path], None]


def write_hostile_packs(folder: Path) -> None:
    """Write every pack of `FOLDERS` and `ZIPS` into `folder`, each under its own name."""
    original = make_pack(folder.parent / "original" / "oval", frames=4)
    for name, spoil in FOLDERS.items():
        pack = _copy(original, folder / name)
        spoil(pack)
    for name, zip_up in ZIPS.items():
        pack = _copy(original, folder.parent / "unzipped" / name)
        zip_up(pack, folder / f"{name}.zip")


def _copy(original: Path, target: Path) -> Path:
    shutil.copytree(original, target)
    about = json.loads((target / "about.json").read_text(encoding="utf-8"))
    (target / "about.json").write_text(json.dumps(about | {"name": target.name}), encoding="utf-8")
    return target


def _array(shape: str, body: bytes = b"") -> bytes:
    """An ``.npy`` whose header says so."""
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + body


def _landmarks(data: bytes) -> Spoil:
    def spoil(pack: Path) -> None:
        with np.load(pack / "avatar.npz") as file:
            arrays = dict(file)
        arrays.pop("landmarks")
        np.savez(pack / "avatar.npz", **arrays)
        with zipfile.ZipFile(pack / "avatar.npz", "a") as archive:
            archive.writestr("landmarks.npy", data)

    return spoil


def _damaged_arrays(pack: Path) -> None:
    """Deflated arrays whose bytes are no deflate."""
    with zipfile.ZipFile(pack / "avatar.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("landmarks.npy", _array("(4, 478, 3)", bytes(4 * 478 * 3 * 4)))
    data = bytearray((pack / "avatar.npz").read_bytes())
    data[60:80] = b"\xff" * 20
    (pack / "avatar.npz").write_bytes(data)


def _about(text: str) -> Spoil:
    return lambda pack: _write(pack / "about.json", text.encode())


def _about_with(**changes: object) -> Spoil:
    def spoil(pack: Path) -> None:
        about = json.loads((pack / "about.json").read_text(encoding="utf-8"))
        (pack / "about.json").write_text(json.dumps(about | changes), encoding="utf-8")

    return spoil


def _write(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def _poster(data: bytes) -> Spoil:
    return lambda pack: _write(pack / "poster.webp", data)


def png(width: int, height: int) -> bytes:
    """A PNG that promises so many pixels, with one row of data."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    row = zlib.compress(bytes(1 + (width + 7) // 8))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", row) + chunk(b"IEND", b"")


def _webp(width: int, height: int) -> bytes:
    """An extended WebP that promises so many pixels and holds none."""
    sizes = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    body = b"WEBPVP8X" + struct.pack("<I", 10) + bytes(4) + sizes
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _cut_idle(pack: Path) -> None:
    """The film loses its last bytes; its index, in front, still promises all frames."""
    _faststart(pack / "idle.mp4")
    data = (pack / "idle.mp4").read_bytes()
    _write(pack / "idle.mp4", data[: len(data) * 2 // 3])


def _scrambled_idle(pack: Path) -> None:
    _faststart(pack / "idle.mp4")
    data = bytearray((pack / "idle.mp4").read_bytes())
    data[len(data) // 2 :] = b"\xa5" * (len(data) - len(data) // 2)
    _write(pack / "idle.mp4", bytes(data))


def _faststart(path: Path) -> None:
    import av

    target = path.with_suffix(".fast")
    with (
        av.open(str(path), "r") as source,
        av.open(str(target), "w", format="mp4", options={"movflags": "faststart"}) as plain,
    ):
        stream = plain.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                plain.mux(packet)
    target.replace(path)


def _device(pack: Path) -> None:
    (pack / "idle.mp4").unlink()
    (pack / "idle.mp4").symlink_to("/dev/zero")


def _features(pack: Path) -> None:
    (pack / "features").mkdir()
    with zipfile.ZipFile(pack / "features" / "ditto.npz", "w") as archive:
        archive.writestr("rows.npy", _array("(1000000000000,)"))


FOLDERS: Mapping[str, Spoil] = {
    "shape-10-10": _landmarks(_array(f"({10**10},)")),
    "shape-10-15": _landmarks(_array(f"({10**15},)")),
    "shape-10-30": _landmarks(_array(f"({10**30},)")),
    "shape-negative": _landmarks(_array("(-1,)")),
    "header-nested": _landmarks(_array("(" * 5_000)),
    "header-unclosed": _landmarks(_array("'''")),
    "deflate-damaged": _damaged_arrays,
    "about-nested": _about("[" * 50_000),
    "about-huge": _about('{"format": 1, "name": "' + "x" * 100_000 + '"}'),
    "about-half-emoji": _about_with(persona={"en": "\ud83d"}),
    "png-60000": _poster(png(60_000, 60_000)),
    "png-30000": _poster(png(30_000, 30_000)),
    "webp-16383": _poster(_webp(16_383, 16_383)),
    "idle-cut": _cut_idle,
    "idle-scrambled": _scrambled_idle,
    "idle-play-list": lambda pack: _write(
        pack / "idle.mp4", b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n"
    ),
    "device": _device,
    "features-huge": _features,
}


def _zip(pack: Path, target: Path, **more: bytes) -> None:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(pack.iterdir()):
            archive.write(file, file.name)
        for name, data in more.items():
            archive.writestr(name, data)


def _name_twice(pack: Path, target: Path) -> None:
    with zipfile.ZipFile(target, "w") as archive:
        for name in ("poster.webp", "poster.webp", "about.json"):
            # Written by hand: zipfile would warn.
            archive.NameToInfo.clear()
            archive.write(pack / name, name)


def _damaged_zip(pack: Path, target: Path) -> None:
    _zip(pack, target)
    data = bytearray(target.read_bytes())
    data[60:90] = b"\xff" * 30
    target.write_bytes(data)


def _bomb(pack: Path, target: Path) -> None:
    """Its directory promises a terabyte."""
    _zip(pack, target)
    data = bytearray(target.read_bytes())
    entry = data.index(b"PK\x01\x02")
    data[entry + 24 : entry + 28] = struct.pack("<I", 0xFFFFFFF0)
    target.write_bytes(data)


ZIPS: Mapping[str, Callable[[Path, Path], None]] = {
    "name-twice": _name_twice,
    "file-and-folder": lambda pack, zip: _zip(pack, zip, **{"a": b"", "a/b": b""}),
    "long-name": lambda pack, zip: _zip(pack, zip, **{"n" * 300: b""}),
    "outside": lambda pack, zip: _zip(pack, zip, **{"../evil": b""}),
    "many": lambda pack, zip: _zip(pack, zip, **{f"f{index}": b"" for index in range(300)}),
    "damaged": _damaged_zip,
    "bomb": _bomb,
    "no-zip": lambda pack, zip: _write(zip, b"PK\x03\x04 nothing"),
}

HOSTILE_NAMES = sorted([*FOLDERS, *(f"{name}.zip" for name in ZIPS)])
