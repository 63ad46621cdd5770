"""Whether the backend fused runs here; asks without importing Triton."""

from __future__ import annotations

import importlib.util

import torch

# Tiles in flight of the largest kernel.
SHARED_MEMORY_KB = 225


def kernels_refused(device: torch.device) -> str | None:
    """The reason, without a full stop, or None."""
    if device.type != "cuda" or not torch.cuda.is_available():
        return "its kernels need a CUDA device"
    properties = torch.cuda.get_device_properties(device)
    shared = properties.shared_memory_per_block_optin  # type: ignore[attr-defined]
    shared_kb = shared // 1024
    if properties.major < 9 or shared_kb < SHARED_MEMORY_KB:
        return (
            "its kernels need a GPU like H100, with compute capability 9 and "
            f"{SHARED_MEMORY_KB} kB of shared memory a block; this one has {properties.major} and "
            f"{shared_kb} kB"
        )
    if importlib.util.find_spec("triton") is None:
        return "its kernels need Triton, which is not installed"
    if importlib.util.find_spec("triton.tools.tensor_descriptor") is None:
        return "its kernels need tensor descriptors, which Triton has from 3.4 on"
    return None
