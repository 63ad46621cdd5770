"""The audio encoder's graph as torch modules, against the same file over ONNX Runtime."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from ditto_avatar.face.ditto.audio import FEATURES, WINDOW, OnnxEncoder
from ditto_avatar.face.ditto.runtime.sound import encoder as module
from ditto_avatar.face.ditto.runtime.sound.encoder import (
    DeviceEncoder,
    EncoderDiffers,
    GraphNetwork,
    choose_encoder,
    known_operators,
    probe_sound,
    read_encoder,
)
from ditto_avatar.face.ditto.runtime.sound.fuse import fuse
from ditto_avatar.face.ditto.runtime.sound.graph import UnknownGraph, read_graph
from tests.face.ditto.hubert import FEW_LAYERS, TINY, HubertSizes, write_hubert
from tests.face.ditto.reference import distance
from tests.face.ditto.standins import Graph

CPU = torch.device("cpu")


def sound(count: int) -> list[np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
    return (probe_sound() * count)[:count]


@pytest.mark.parametrize(
    ("sizes", "opset", "dynamic"),
    [(TINY, 17, False), (TINY, 14, False), (TINY, 17, True), (FEW_LAYERS, 14, True)],
)
def test_the_modules_encode_like_onnx_runtime(
    tmp_path: Path, sizes: HubertSizes, opset: int, dynamic: bool
) -> None:
    """The last one has the widths of the released encoder."""
    path = write_hubert(tmp_path / "encoder.onnx", sizes, opset, dynamic)
    exact = OnnxEncoder(path)
    encoder = read_encoder(path, CPU, exact)
    windows = sound(3)
    found = encoder.begin(windows)()
    assert distance(np.stack(found), np.stack([exact(window) for window in windows])) < 1e-3
    assert found[0].shape == (5, FEATURES)


@pytest.mark.parametrize("opset", [14, 17])
def test_norms_and_linear_layers_are_one_step_each(tmp_path: Path, opset: int) -> None:
    path = write_hubert(tmp_path / "encoder.onnx", TINY, opset)
    graph = fuse(read_graph(path, "input_values", torch.zeros(1, WINDOW))[0])
    counts = known_operators(graph)
    assert counts["LayerNormalization"] == 7 + 1 + 2 * TINY.layers + 1
    assert counts["Gelu"] == 7 + 1 + TINY.layers
    assert counts["Linear"] == 1 + 6 * TINY.layers + 1
    assert not {"Erf", "Pow", "Sqrt", "ReduceMean"} & set(counts)


def test_windows_of_several_viewers_share_a_batch(tmp_path: Path) -> None:
    path = write_hubert(tmp_path / "encoder.onnx", TINY)
    encoder = read_encoder(path, CPU, OnnxEncoder(path))
    windows = sound(4)
    together = encoder.begin(windows)()
    for window, found in zip(windows, together, strict=True):
        assert np.allclose(encoder(window), found, atol=1e-5)
    with pytest.raises(ValueError, match="at most 16"):
        encoder.begin(sound(17))


def test_half_precision_is_close_and_masks_stay_in_its_range(tmp_path: Path) -> None:
    path = write_hubert(tmp_path / "encoder.onnx", TINY, opset=14)
    graph, _ = read_graph(path, "input_values", torch.zeros(1, WINDOW))
    graph.constants["far"] = np.asarray(-3e38, np.float32)
    network = GraphNetwork(fuse(graph))
    half = DeviceEncoder(network, CPU, torch.float16, batches=(1,))
    exact = OnnxEncoder(path)
    assert distance(half(sound(1)[0]), exact(sound(1)[0])) < 2e-2
    assert all(torch.isfinite(buffer).all() for buffer in network.buffers())


def strange(path: Path, kind: str, **attributes: object) -> Path:
    graph = Graph("input_values", (1, WINDOW))
    node = graph.node(kind, "input_values", **attributes)
    flat = graph.node("Reshape", graph.channel(node, 0, 1), graph.constant([1, 1], integer=True))
    onnx.save(graph.model(encoding_out=(flat, (1, 1))), str(path))
    return path


def test_an_unknown_operator_is_refused_and_onnx_runtime_encodes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = strange(tmp_path / "encoder.onnx", "Selu")
    exact = OnnxEncoder(path)
    with pytest.raises(UnknownGraph, match="operator Selu is not known"):
        read_encoder(path, CPU, exact)
    with caplog.at_level(logging.WARNING):
        assert choose_encoder(path, torch.device("cuda"), lambda: exact) is exact
    assert "encoded by ONNX Runtime: operator Selu is not known." in caplog.text


def test_another_input_or_no_graph_is_refused(tmp_path: Path) -> None:
    path = write_hubert(tmp_path / "encoder.onnx", TINY)
    with pytest.raises(UnknownGraph, match="reads input_values where sound was expected"):
        read_graph(path, "sound", torch.zeros(1, WINDOW))
    path.write_bytes(b"not a graph")
    with pytest.raises(UnknownGraph, match="is no ONNX graph"):
        read_graph(path, "input_values", torch.zeros(1, WINDOW))


def test_modules_that_compute_something_else_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_hubert(tmp_path / "encoder.onnx", TINY)
    exact = OnnxEncoder(path)
    with pytest.raises(EncoderDiffers, match=r"differ from ONNX Runtime by .* in single precision"):
        read_encoder(path, CPU, lambda window: exact(window[::-1].copy()))
    monkeypatch.setattr(module, "EXACT", 0.0)
    with pytest.raises(EncoderDiffers):
        read_encoder(path, CPU, exact)
