from __future__ import annotations

import pytest

from ditto_avatar.face.avatar import Avatar
from ditto_avatar.face.pack import load_avatar
from tests.fakes.packs import make_pack


@pytest.fixture(scope="session")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Avatar:
    """A small avatar."""
    folder = tmp_path_factory.mktemp("packs") / "oval"
    make_pack(folder)
    return load_avatar(folder)
