"""ONNX Runtime sessions for the models that come as ONNX."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from ditto_avatar.errors import InvalidCheckpoint, Unavailable

log = logging.getLogger(__name__)

CUDA = "CUDAExecutionProvider"


def warn_without_cuda() -> None:
    """Tells the operator of a GPU that the ONNX models will leave it alone. Call it once."""
    try:
        import onnxruntime
    except ImportError:
        return  # opening a session says so
    if CUDA not in onnxruntime.get_available_providers():
        log.warning(
            "The installed ONNX Runtime cannot use the GPU: sound is encoded on the CPU, which "
            "limits how many viewers are served in time. For the GPU: pip uninstall onnxruntime, "
            "then pip install -e '.[ditto-gpu]'."
        )


def open_session(path: Path, device: str = "cpu", threads: int | None = None) -> Any:
    """A session on `device` ('cuda' or 'cuda:1' where ONNX Runtime can, else the CPU).

    Raises `InvalidCheckpoint` for a missing or damaged file, `Unavailable` without the library.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise Unavailable(
            "Ditto needs ONNX Runtime; install it with: pip install -e '.[ditto]'."
        ) from error
    if not path.is_file():
        raise InvalidCheckpoint(
            f"{path} is missing; `ditto-avatar checkpoints download` fetches the checkpoints."
        )
    available = onnxruntime.get_available_providers()
    wanted: list[tuple[str, dict[str, int]]] = [("CPUExecutionProvider", {})]
    if device.startswith("cuda") and CUDA in available:
        number = device.partition(":")[2]
        wanted.insert(0, (CUDA, {"device_id": int(number)} if number else {}))
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
