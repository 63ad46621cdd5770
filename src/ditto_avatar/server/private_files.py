"""Close the folder of conversations to other users of the machine."""

from __future__ import annotations

import logging
import stat
from pathlib import Path

from ditto_avatar.errors import Unavailable

log = logging.getLogger(__name__)

_FOLDER, _FILE = 0o700, 0o600


def keep_private(folder: Path) -> None:
    """Make `folder` if there is none, and let only its owner read it, its folders and its files.
    Files of earlier versions may be open to others. Blocking.

    A folder that holds more (``/tmp``, the home folder, the root) keeps its own mode, and the log
    says so. Raises `Unavailable` when the folder cannot be made.
    """
    try:
        folder.mkdir(mode=_FOLDER, parents=True, exist_ok=True)
    except OSError as error:
        raise Unavailable(f"The data folder {folder} cannot be made: {error.strerror}.") from error
    if _is_for_more(folder):
        log.warning("%s holds more than this server's data: its mode was not changed", folder)
    else:
        _close(folder, _FOLDER)
    for name in ("clips", "cache"):
        for part in [folder / name, *(folder / name).glob("*/")]:
            if part.is_dir() and not part.is_symlink():
                _close(part, _FOLDER)
    for path in folder.glob("conversations.db*"):
        _close(path, _FILE)


def _is_for_more(folder: Path) -> bool:
    place = folder.resolve()
    return place in (Path.home(), Path(place.anchor)) or bool(place.stat().st_mode & stat.S_ISVTX)


def _close(path: Path, mode: int) -> None:
    try:
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            path.chmod(mode)
    except OSError as error:
        log.warning("others may read %s: %s", path, error)
