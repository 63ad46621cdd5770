"""One small Ditto and one drawn avatar for all tests."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from ditto_avatar.face.avatar import Avatar
from ditto_avatar.face.ditto.checkpoint_files import weights_key
from ditto_avatar.face.ditto.models import DittoModels
from ditto_avatar.face.ditto.options import DittoOptions
from ditto_avatar.face.ditto.runtime.base import Runners
from ditto_avatar.face.ditto.runtime.tensorrt.build import build_engines
from ditto_avatar.face.ditto.runtime.tensorrt.export import export_graphs
from ditto_avatar.face.ditto.runtime.tensorrt.graphs import specs
from ditto_avatar.face.ditto.runtime.tensorrt.plan import (
    Exported,
    engines_folder,
    exported_jobs,
)
from ditto_avatar.face.ditto.runtime.tensorrt.runners import fitting_engines, tensorrt_runners
from ditto_avatar.face.pack import load_avatar
from tests.face.ditto import standins
from tests.face.ditto.small import SMALL, small_networks
from tests.fakes import packs, tensorrt

# Asked for when Triton is imported, which nothing does before the tests are collected.
if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")


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
    root = standins.write_checkpoints(tmp_path_factory.mktemp("checkpoints"))
    yield root
    shutil.rmtree(root)  # half a gigabyte


@pytest.fixture
def fake_tensorrt(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library's double, and a GPU as far as the library asks for one."""
    tensorrt.install(monkeypatch)


@pytest.fixture(scope="session")
def engine_checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint folder with engines of the small networks, in single precision."""
    root = standins.write_network_files(tmp_path_factory.mktemp("engines"))
    folder = engines_folder(root)
    export_graphs(small_networks(), folder, graphs=specs(SMALL), check=False)
    Exported(weights_key(root), "single").write(folder)
    with pytest.MonkeyPatch.context() as patch:
        tensorrt.install(patch)
        jobs = exported_jobs(folder, SMALL, standins.ENGINE_BATCHES)
        build_engines(jobs, folder, torch.device("cuda"))
    return root


@pytest.fixture
def engine_runners(engine_checkpoints: Path, fake_tensorrt: None) -> Runners:
    """The backend tensorrt with the small networks, over the processor's memory."""
    engines = fitting_engines(engine_checkpoints, torch.device("cuda"), SMALL)
    return tensorrt_runners(engines, torch.device("cpu"), SMALL)


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """Small matrix products on two threads wait for each other on a busy machine, for minutes."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
