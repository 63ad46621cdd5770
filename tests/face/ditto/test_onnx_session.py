"""Where ONNX models run."""

from __future__ import annotations

from pathlib import Path

import onnxruntime
import pytest

from ditto_avatar.face.ditto.onnx_session import open_session, warn_without_cuda
from tests.face.ditto import standins


@pytest.fixture
def providers(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the installed library can use; a test adds to it."""
    names = ["CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: names)
    return names


@pytest.mark.parametrize(
    ("device", "wanted"),
    [
        ("cpu", []),
        ("cuda", [("CUDAExecutionProvider", {})]),
        ("cuda:1", [("CUDAExecutionProvider", {"device_id": 1})]),
    ],
)
def test_models_run_on_the_device_that_was_named(
    providers: list[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    device: str,
    wanted: list[object],
) -> None:
    asked: list[object] = []
    providers.append("CUDAExecutionProvider")
    monkeypatch.setattr(
        onnxruntime,
        "InferenceSession",
        lambda path, options, providers: asked.extend(providers),
    )
    (tmp_path / "model.onnx").touch()
    open_session(tmp_path / "model.onnx", device)
    assert asked == [*wanted, ("CPUExecutionProvider", {})]


def test_a_runtime_that_cannot_use_the_gpu_is_told_of(
    providers: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    warn_without_cuda()
    assert "sound is encoded on the CPU" in caplog.text
    assert ".[ditto-gpu]" in caplog.text


def test_a_runtime_that_can_is_not(providers: list[str], caplog: pytest.LogCaptureFixture) -> None:
    providers.append("CUDAExecutionProvider")
    warn_without_cuda()
    assert not caplog.text


def test_a_session_opens_for_a_gpu_that_the_library_cannot_use(tmp_path: Path) -> None:
    standins.write_onnx_models(tmp_path)
    session = open_session(tmp_path / "blaze_face.onnx", "cuda:1")
    assert session.get_providers() == ["CPUExecutionProvider"]
