"""Copies between host and device that keep neither waiting.

A GPU copies pinned memory in its turn; for any other memory the caller would wait until all that
was asked of the GPU before is done. Pinned blocks are torch's: it gives one out again when it was
let go and its last copy is done, so that copies of the same sizes allocate nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor


def upload(tensor: Tensor, device: torch.device) -> Tensor:
    """Return a host tensor on `device`; the copy may still be on its way."""
    if device.type == "cuda":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


class Download:
    """Tensors on their way to the host. They may be overwritten by what the device does next."""

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        self._host = [_begin(tensor) for tensor in tensors]
        self._copied: torch.cuda.Event | None = None
        if tensors and tensors[0].device.type == "cuda":
            self._copied = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._copied.record(torch.cuda.current_stream(tensors[0].device))

    def arrays(self) -> list[npt.NDArray[Any]]:
        """Wait for the device; return arrays over pinned memory, in the order of the tensors."""
        if self._copied is not None:
            self._copied.synchronize()
        return [np.asarray(tensor.numpy()) for tensor in self._host]


def _begin(tensor: Tensor) -> Tensor:
    if tensor.device.type != "cuda":
        return tensor
    host = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    return host.copy_(tensor, non_blocking=True)
