"""Stand-in weights and inputs for the Ditto networks, rebuilt from labels anywhere.

The released checkpoints cannot be shipped, so the golden tensors beside this file were computed
with weights that anyone can make again from the tensors' names: the same label, shape and seed
give the same numbers on every machine.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
FloatArray = npt.NDArray[np.float32]
POWER_ITERATIONS = 20


def normal(label: str, shape: Sequence[int], seed: int) -> FloatArray:
    """Standard normal numbers of `shape`, fixed by `label` and `seed`."""
    rng = np.random.Generator(np.random.PCG64(zlib.crc32(f"{label}#{seed}".encode())))
    return rng.standard_normal(tuple(shape)).astype(np.float32)


def tensor(network: str, name: str, shape: Sequence[int], seed: int) -> Array:
    """One tensor of a state dict; the spectral norms' vectors are made by `state_dict`."""
    leaf = name.rsplit(".", 1)[-1]
    if leaf == "num_batches_tracked":
        return np.zeros(tuple(shape), np.int64)
    if leaf == "freqs":
        width = 2 * shape[0]
        rates = 1.0 / 10000 ** (np.arange(0, width, 2, dtype=np.float32) / width)
        return rates.astype(np.float32)
    noise = normal(f"{network}/{name}", shape, seed)
    if leaf == "running_var":
        return 1.0 + 0.1 * np.abs(noise)
    if leaf in ("running_mean", "gamma", "beta"):
        return 0.1 * noise
    if leaf.startswith("null_cond"):
        return noise
    if name.startswith("final_layer"):  # keeps sampled motion in the range of a real face
        return 0.0001 * noise
    if leaf.endswith("bias"):
        return 0.05 * noise
    if len(shape) >= 2:
        return noise * np.float32(np.sqrt(2.0 / np.prod(shape[1:])))
    return 1.0 + 0.1 * noise


def state_dict(network: str, shapes: Mapping[str, Sequence[int]], seed: int) -> dict[str, Array]:
    """All tensors of `network`; the vectors of spectral norms come from power iterations."""
    out = {
        name: tensor(network, name, shape, seed)
        for name, shape in shapes.items()
        if not name.endswith(("weight_u", "weight_v"))
    }
    for name, shape in shapes.items():
        if not name.endswith("weight_u"):
            continue
        stem = name.removesuffix("_u")
        matrix = out[f"{stem}_orig"].reshape(shape[0], -1).astype(np.float64)
        u = normal(f"{network}/{name}", shape, seed).astype(np.float64)
        for _ in range(POWER_ITERATIONS):
            v = matrix.T @ u
            v /= np.linalg.norm(v)
            u = matrix @ v
            u /= np.linalg.norm(u)
        out[name] = u.astype(np.float32)
        out[f"{stem}_v"] = v.astype(np.float32)
    return {name: out[name] for name in shapes}
