"""The commands about TensorRT engines, with the library's double."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from ditto_avatar.cli import app
from tests.face.ditto.standins import write_onnx_models
from tests.fakes import tensorrt

run = CliRunner().invoke


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    tensorrt.install(monkeypatch)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)


def sentence(*arguments: str) -> str:
    """What a command that fails says, in one line."""
    result = run(app, ["engines", *arguments])
    assert result.exit_code == 1, result.output
    assert "Traceback" not in result.output
    return " ".join(result.output.split())


@pytest.mark.usefixtures("gpu")
def test_engines_of_the_checkpoints_own_graphs_go_beside_the_checkpoint(tmp_path: Path) -> None:
    graphs = tmp_path / "checkpoints" / "ditto_onnx"
    write_onnx_models(graphs)
    (graphs / "warp_network.onnx").touch()
    for said in ("which takes minutes", "is there already"):
        result = run(app, ["engines", "build", str(graphs)])
        assert result.exit_code == 0, result.output
        assert said in " ".join(result.output.split())
        assert "skipped: warp_network.onnx" in result.output
    engines = sorted((tmp_path / "checkpoints" / "engines").glob("*.engine"))
    assert [path.name.split(".")[0] for path in engines] == [
        "blaze_face",
        "face_mesh",
        "hubert_streaming_fix_kv",
        "landmark203",
    ]


@pytest.mark.usefixtures("gpu")
def test_graphs_that_cannot_be_built_are_told_at_the_end(tmp_path: Path) -> None:
    write_onnx_models(tmp_path / "graphs")
    (tmp_path / "graphs" / "broken.onnx").write_bytes(b"?")
    said = sentence("build", "graphs", "--out", "out")
    assert said.count("TensorRT cannot read broken.onnx") == 2  # when it happens, and at the end
    assert len(list((tmp_path / "out").glob("*.engine"))) == 4


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
def test_engines_are_built_on_a_gpu_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_onnx_models(tmp_path / "graphs")
    tensorrt.install(monkeypatch)
    assert "built on the CUDA device they run on" in sentence("build", "graphs")


def test_a_folder_without_graphs_says_how_to_get_them() -> None:
    assert "holds no graphs; `ditto-avatar engines export` writes them" in sentence("build")


def test_graphs_are_exported_from_a_checkpoint_only(tmp_path: Path) -> None:
    assert "`ditto-avatar checkpoints download` fetches" in sentence("export", "nothing")
    assert not (tmp_path / "nothing").exists()
