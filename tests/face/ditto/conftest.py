"""One small Ditto and one drawn avatar for all tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from ditto_avatar.face.avatar import Avatar, load_avatar
from ditto_avatar.face.ditto.models import DittoModels
from ditto_avatar.face.ditto.options import DittoOptions
from tests.face.ditto import standins
from tests.fakes import packs


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> DittoModels:
    return standins.build_models(tmp_path_factory.mktemp("onnx"))


@pytest.fixture(scope="session")
def avatar(tmp_path_factory: pytest.TempPathFactory) -> Avatar:
    """A drawn face with an idle loop of 12 frames."""
    folder = tmp_path_factory.mktemp("packs") / "oval"
    return load_avatar(packs.make_pack(folder, frames=12, atlas=False, blendshapes=False))


@pytest.fixture
def options(tmp_path: Path) -> DittoOptions:
    """Few diffusion steps, so that tests are quick."""
    return DittoOptions(tmp_path, sampling_timesteps=2)
