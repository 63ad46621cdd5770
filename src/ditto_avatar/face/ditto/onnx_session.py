"""ONNX Runtime sessions for the models that come as ONNX."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ditto_avatar.errors import InvalidCheckpoint, Unavailable


def open_session(path: Path, device: str = "cpu", threads: int | None = None) -> Any:
    """A session on `device` ('cuda…' where ONNX Runtime can, else the CPU).

    Raises `InvalidCheckpoint` for a missing or damaged file, `Unavailable` without the library.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise Unavailable(
            "Ditto needs ONNX Runtime; install it with: pip install 'ditto-avatar[ditto]'."
        ) from error
    if not path.is_file():
        raise InvalidCheckpoint(
            f"{path} is missing; `ditto-avatar checkpoints download` fetches the checkpoints."
        )
    available = onnxruntime.get_available_providers()
    wanted = ["CPUExecutionProvider"]
    if device.startswith("cuda") and "CUDAExecutionProvider" in available:
        wanted.insert(0, "CUDAExecutionProvider")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if threads is not None:
        options.intra_op_num_threads = threads
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=wanted)
    except Exception as error:  # the library raises many classes for one thing: a bad file
        raise InvalidCheckpoint(
            f"{path} is damaged or is not an ONNX model; download it again."
        ) from error
