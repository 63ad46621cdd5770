"""Runs in the guarded child in place of the registration: a drawn pack, in a moment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ditto_avatar.guard.messages import Answer
from tests.fakes.packs import make_pack


def make(path: Path, into: str, source: str, terms: dict[str, Any], cutout: bool) -> Answer:
    """Fill the folder `into`, as `face.register.child.make` does."""
    assert path.stat().st_size
    Path(into).rmdir()
    make_pack(Path(into), frames=8)
    return Answer({"made": True})
