"""The audio encoder on a real device."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from ditto_avatar.face.ditto.audio import OnnxEncoder
from ditto_avatar.face.ditto.runtime.sound.encoder import (
    CLOSE,
    DeviceEncoder,
    choose_encoder,
    probe_sound,
)
from tests.face.ditto.hubert import FEW_LAYERS, write_hubert
from tests.face.ditto.reference import distance

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


@pytest.mark.parametrize("opset", [14, 17])
def test_windows_of_several_viewers_are_encoded_like_onnx_runtime_does(
    tmp_path: Path, opset: int
) -> None:
    """In half precision, recorded, in batches that are not full."""
    path = write_hubert(tmp_path / "encoder.onnx", FEW_LAYERS, opset)
    exact = OnnxEncoder(path)
    encoder = choose_encoder(path, torch.device("cuda"), lambda: exact)
    assert isinstance(encoder, DeviceEncoder)
    for count in (1, 3, 16, 3):
        windows = (probe_sound() * count)[:count]
        found = encoder.begin(windows)()
        expected = np.stack([exact(window) for window in windows])
        assert distance(np.stack(found), expected) < CLOSE
