"""Taking an avatar pack out of a zip that a stranger may have made."""

from __future__ import annotations

import shutil
import stat
import tempfile
import weakref
import zipfile
from pathlib import Path, PurePosixPath

from ditto_avatar.errors import InvalidAvatar

MAX_FILES = 200
MAX_BYTES = 512 * 1024 * 1024
_BLOCK_BYTES = 1 << 20


class UnpackedFolder:
    """A temporary folder that disappears when nothing refers to it any more."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="ditto-avatar-"))
        self._finalizer = weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)

    def remove(self) -> None:
        """Remove the folder now."""
        self._finalizer()


def unpack(archive: Path) -> tuple[UnpackedFolder, Path]:
    """Unpack `archive` into a temporary folder; returns its owner and the pack's folder inside.

    The files lie at the top of the archive or in one folder. Raises `InvalidAvatar` for what is
    no zip, for names that lead outside, for links, and for more than `MAX_FILES` files or
    `MAX_BYTES` unpacked; nothing stays on disk then.
    """
    try:
        with zipfile.ZipFile(archive) as source:
            members = _checked(source, archive)
            folder = UnpackedFolder()
            try:
                _extract(source, members, folder.path, archive)
                return folder, _root(folder.path, archive)
            except BaseException:
                folder.remove()
                raise
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        raise InvalidAvatar(f"{archive.name}: expected a readable zip, came {error}.") from error


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
        parts = PurePosixPath(member.filename.replace("\\", "/"))
        if parts.is_absolute() or ".." in parts.parts or ":" in member.filename:
            raise InvalidAvatar(
                f"{archive.name}: expected names inside the pack, came {member.filename!r}."
            )
        if stat.S_ISLNK(member.external_attr >> 16):
            raise InvalidAvatar(
                f"{archive.name}: expected plain files, came the link {member.filename!r}."
            )
    return members


def _extract(
    source: zipfile.ZipFile, members: list[zipfile.ZipInfo], folder: Path, archive: Path
) -> None:
    # The sizes in the directory can lie, so what really comes out is counted as well.
    left = MAX_BYTES
    for member in members:
        target = folder / member.filename.replace("\\", "/")
        target.parent.mkdir(parents=True, exist_ok=True)
        with source.open(member) as packed, target.open("xb") as file:
            while block := packed.read(_BLOCK_BYTES):
                left -= len(block)
                if left < 0:
                    raise InvalidAvatar(
                        f"{archive.name}: expected at most {MAX_BYTES} bytes unpacked, came more."
                    )
                file.write(block)


def _root(folder: Path, archive: Path) -> Path:
    if (folder / "about.json").is_file():
        return folder
    inner = [entry for entry in folder.iterdir() if (entry / "about.json").is_file()]
    if len(inner) != 1:
        raise InvalidAvatar(
            f"{archive.name}: expected one about.json at the top or in one folder, "
            f"came {len(inner)}."
        )
    return inner[0]
