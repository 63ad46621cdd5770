"""The part of a registration that opens a stranger's file; run by a guarded child process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ditto_avatar.face.register.checks import examine
from ditto_avatar.face.register.film import read_film
from ditto_avatar.face.register.making import make_pack, read_photo
from ditto_avatar.face.register.tracker import FaceTracker
from ditto_avatar.face.register.writing import Terms
from ditto_avatar.guard.messages import Answer
from ditto_avatar.media.images import is_still

_trackers: list[FaceTracker] = []


def check(path: Path, preview: bool = False) -> Answer:
    """Answer the reasons why the photo or film at `path` is not good. Raises `InvalidImage` for a
    file that is neither, and for a film without a quiet stretch."""
    if not _trackers:
        # One child checks many pictures of a camera.
        _trackers.append(FaceTracker())
    if not is_still(path):
        read_film(path, _trackers[0], lambda done, total: None)
        return Answer({"reasons": []})
    found = examine(read_photo(path), _trackers[0], preview=preview)
    return Answer({"reasons": [finding.reason.value for finding in found.findings]})


def make(path: Path, into: str, source: str, terms: dict[str, Any], cutout: bool) -> Answer:
    """Fill the empty folder `into` with the pack of the face at `path`. Raises `InvalidImage`."""
    out, tell = Path(into), lambda stage, done, total: None
    make_pack(path, out, source, Terms(**terms), tell, cutout=cutout)
    return Answer({"made": True})
