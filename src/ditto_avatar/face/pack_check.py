"""The whole check of a stranger's pack. A child process runs it, since it runs every decoder that
will ever look at the pack."""

from __future__ import annotations

from pathlib import Path

from ditto_avatar.errors import InvalidAvatar
from ditto_avatar.face.arrays_file import ArraysFile
from ditto_avatar.face.pack import PACK_FILES, load_folder, pack_digest
from ditto_avatar.face.reading import expecting
from ditto_avatar.face.unpack import MAX_BYTES, pack_in, unpack
from ditto_avatar.guard.messages import Answer


def check_pack(path: Path, into: str | None) -> Answer:
    """Unpack a zip `into` an empty folder (None: `path` is a folder), and check all that is there.

    Every picture of the idle loop is decoded. The answer is the digest of what was checked.
    Raises `InvalidAvatar`.
    """
    if into is None:
        folder, name = path, path.name
    else:
        unpack(path, Path(into))
        folder, name = pack_in(Path(into), path)
    _check_size(folder)
    avatar = load_folder(folder, name, None, None)
    for _ in avatar.idle_frames:
        pass  # decoding is the check
    for _ in avatar.cutout_frames or ():
        pass
    for features in sorted(avatar.features_folder.glob("*.npz")):
        with ArraysFile(features) as file:
            for key in file.keys:
                file.raw(key)
    return Answer({"digest": pack_digest(folder)})


def _check_size(folder: Path) -> None:
    with expecting(folder.name, "files that can be read"):
        total = sum(p.stat().st_size for p in map(folder.joinpath, PACK_FILES) if p.is_file())
    if total > MAX_BYTES:
        raise InvalidAvatar(f"{folder.name}: expected at most {MAX_BYTES} bytes, came {total}.")
