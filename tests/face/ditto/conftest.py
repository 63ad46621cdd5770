"""One small Ditto and one drawn avatar for all tests."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from ditto_avatar.face.avatar import Avatar
from ditto_avatar.face.ditto.checkpoint_files import FILES, place
from ditto_avatar.face.ditto.models import DittoModels
from ditto_avatar.face.ditto.options import DittoOptions
from ditto_avatar.face.ditto.weights import manifest
from ditto_avatar.face.pack import load_avatar
from tests.face.ditto import standins
from tests.face.ditto.reference import tensors
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


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A checkpoint folder with stand-in weights of full size, in files as they are released."""
    root = tmp_path_factory.mktemp("checkpoints")
    for entry in FILES.values():
        (root / entry.path).parent.mkdir(parents=True, exist_ok=True)
    for name, entry in FILES.items():
        if entry.network is not None:
            save_network(place(root, name), entry.network)
    standins.write_onnx_models(root / "models")
    for name, file in (
        ("audio_encoder", "hubert_streaming_fix_kv.onnx"),
        ("landmarks", "landmark203.onnx"),
        ("face_detector", "blaze_face.onnx"),
        ("face_mesh", "face_mesh.onnx"),
    ):
        (root / "models" / file).replace(place(root, name))
    values = {"online_mode": True, "overlap_v2": 70, "delta_eye_arr": np.zeros((15, 63))}
    place(root, "config").write_bytes(pickle.dumps({"default_kwargs": values}))
    yield root
    shutil.rmtree(root)  # half a gigabyte


def save_network(path: Path, network: str) -> None:
    released = manifest()[network]
    state = {released.prefix + name: value for name, value in tensors(network).items()}
    torch.save(state if released.container is None else {released.container: state}, path)


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """Small matrix products on two threads wait for each other on a busy machine, for minutes."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
