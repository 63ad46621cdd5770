"""Whether the backend fused runs here; asks without importing Triton."""

from __future__ import annotations

from importlib import metadata

import torch

# What `modulate_kernel` takes: four stages of 16 kB of maps and 32 kB of weights, 32 kB to pass a
# tile from thread to thread, and its barriers.
SHARED_MEMORY_KB = 4 * (16 + 32) + 32 + 1
# The first with tensor descriptors.
TRITON = (3, 4)


def kernels_refused(device: torch.device) -> str | None:
    """The reason, without a full stop, or None."""
    if device.type != "cuda" or not torch.cuda.is_available() or torch.version.hip:
        return "its kernels need a CUDA device"
    try:
        found = metadata.version("triton")
    except metadata.PackageNotFoundError:
        return "its kernels need Triton, which is not installed"
    if tuple(int(part) for part in found.split(".")[:2]) < TRITON:
        return f"its kernels need Triton {TRITON[0]}.{TRITON[1]} or newer; this one is {found}"
    properties = torch.cuda.get_device_properties(device)
    # Older versions of torch do not say it, and come with an older Triton.
    shared_kb = getattr(properties, "shared_memory_per_block_optin", 0) // 1024
    if properties.major < 9 or shared_kb < SHARED_MEMORY_KB:
        return (
            "its kernels need a GPU like H100, with compute capability 9 and "
            f"{SHARED_MEMORY_KB} kB of shared memory a block; this one has {properties.major} and "
            f"{shared_kb} kB"
        )
    return None
