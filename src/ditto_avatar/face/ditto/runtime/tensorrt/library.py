"""The TensorRT library and the GPU it works on, looked up when they are used."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from ditto_avatar.errors import Unavailable


def load_tensorrt() -> Any:
    """The library. Raises `Unavailable` where it is not installed."""
    try:
        import tensorrt
    except ImportError as error:
        raise Unavailable(
            "TensorRT is not installed; install NVIDIA's package 'tensorrt' (10 or 11), or use "
            "the backend compiled."
        ) from error
    return tensorrt


def architecture(device: torch.device) -> str:
    """The GPU's compute capability, as in 'sm_90'. Raises `Unavailable` without one."""
    if device.type != "cuda":
        raise Unavailable(
            f"Engines are built on the CUDA device they run on, and the device is {device}."
        )
    major, minor = torch.cuda.get_device_capability(device)
    return f"sm_{major}{minor}"


def active(device: torch.device) -> AbstractContextManager[object]:
    """Makes `device` the one that the library works on: it takes whichever is current."""
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()
