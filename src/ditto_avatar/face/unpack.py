"""Unpacks avatar packs from zips that a stranger may have made."""

from __future__ import annotations

import shutil
import stat
import tempfile
import weakref
import zipfile
from pathlib import Path, PurePosixPath

from ditto_avatar.errors import InvalidAvatar
from ditto_avatar.face.reading import expecting

MAX_FILES = 200
MAX_BYTES = 512 * 1024 * 1024
_MAX_NAME_BYTES = 255
_SHOWN_NAME = 64
_BLOCK_BYTES = 1 << 20


class UnpackedFolder:
    """A folder in `parent`, or among the system's temporary files, that disappears when nothing
    refers to it any more."""

    def __init__(self, parent: Path | None = None) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="ditto-avatar-", dir=parent))
        self._finalizer = weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)

    def remove(self) -> None:
        """Remove the folder now."""
        self._finalizer()


def unpack(archive: Path, into: Path) -> None:
    """Unpack `archive` into the empty folder `into`. Blocks.

    Raises `InvalidAvatar` for a file that is no zip, for names that lead outside, are too long or
    come twice, for links, and for more than `MAX_FILES` files or `MAX_BYTES` unpacked.
    """
    with expecting(archive.name, "a readable zip"), zipfile.ZipFile(archive) as source:
        _extract(source, _checked(source, archive), into, archive)


def pack_in(folder: Path, archive: Path) -> tuple[Path, str]:
    """Where the pack lies in the `folder` that `archive` was unpacked into, and the name it must
    have. Its files lie at the top, or in one folder. Raises `InvalidAvatar` otherwise."""
    if (folder / "about.json").is_file():
        return folder, archive.stem
    inner = [entry for entry in folder.iterdir() if (entry / "about.json").is_file()]
    if len(inner) != 1:
        raise InvalidAvatar(
            f"{archive.name}: expected one about.json at the top or in one folder, "
            f"came {len(inner)}."
        )
    return inner[0], inner[0].name


def _checked(source: zipfile.ZipFile, archive: Path) -> list[zipfile.ZipInfo]:
    members = [member for member in source.infolist() if not member.is_dir()]
    if len(members) > MAX_FILES:
        raise InvalidAvatar(
            f"{archive.name}: expected at most {MAX_FILES} files, came {len(members)}."
        )
    total = sum(member.file_size for member in members)
    if total > MAX_BYTES:
        raise InvalidAvatar(
            f"{archive.name}: expected at most {MAX_BYTES} bytes unpacked, came {total}."
        )
    for member in members:
        if problem := _problem(member):
            shown = member.filename[:_SHOWN_NAME]
            raise InvalidAvatar(f"{archive.name}: expected {problem}, came {shown!r}.")
    _check_that_names_differ([_place(member) for member in members], archive)
    return members


def _problem(member: zipfile.ZipInfo) -> str | None:
    """What was expected of `member` instead; None where it can be unpacked."""
    place = _place(member)
    if place.is_absolute() or ".." in place.parts or ":" in member.filename:
        return "names inside the pack"
    if any(len(part.encode()) > _MAX_NAME_BYTES for part in place.parts):
        return f"names of at most {_MAX_NAME_BYTES} bytes"
    if stat.S_ISLNK(member.external_attr >> 16):
        return "plain files and no link"
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return "files that are stored or deflated"
    return None


def _check_that_names_differ(places: list[PurePosixPath], archive: Path) -> None:
    taken: set[PurePosixPath] = set()
    for place in places:
        if place in taken:
            raise InvalidAvatar(
                f"{archive.name}: expected every name once, came {str(place)!r} twice."
            )
        taken.add(place)
    for place in places:
        if both := taken.intersection(place.parents):
            raise InvalidAvatar(
                f"{archive.name}: expected a file or a folder, came both of {str(both.pop())!r}."
            )


def _place(member: zipfile.ZipInfo) -> PurePosixPath:
    return PurePosixPath(member.filename.replace("\\", "/"))


def _extract(
    source: zipfile.ZipFile, members: list[zipfile.ZipInfo], folder: Path, archive: Path
) -> None:
    # The sizes in the directory can lie, so what really comes out is counted as well.
    left = MAX_BYTES
    for member in members:
        target = folder / _place(member)
        target.parent.mkdir(parents=True, exist_ok=True)
        with source.open(member) as packed, target.open("xb") as file:
            while block := packed.read(_BLOCK_BYTES):
                left -= len(block)
                if left < 0:
                    raise InvalidAvatar(
                        f"{archive.name}: expected at most {MAX_BYTES} bytes unpacked, came more."
                    )
                file.write(block)
