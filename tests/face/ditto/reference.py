"""Golden tensors, the stand-in networks they were made with, and the distance to them.

`DITTO_GOLDEN` and `DITTO_SEED` choose another folder of golden files and the seed they belong to.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ditto_avatar.face.ditto import weights
from tests.face.ditto import seeded

Array = npt.NDArray[Any]
FloatArray = npt.NDArray[np.float32]

FOLDER = Path(os.environ.get("DITTO_GOLDEN", Path(__file__).parent / "golden"))
SEED = int(os.environ.get("DITTO_SEED", "0"))
NETWORK_TOLERANCE = 1e-4
MOTION_TOLERANCE = 1e-3


def golden(name: str) -> dict[str, Array]:
    """The arrays of one golden file."""
    with np.load(FOLDER / f"{name}.npz") as file:
        return dict(file)


def normal(label: str, *shape: int) -> FloatArray:
    """A golden input: standard normal numbers fixed by a label."""
    return seeded.normal(label, shape, SEED)


def given(label: str, *shape: int) -> Tensor:
    """`normal("input/<label>")` as a tensor."""
    return torch.from_numpy(normal(f"input/{label}", *shape))


@cache
def tensors(network: str) -> dict[str, Tensor]:
    """The stand-in checkpoint of a network, under the released names."""
    shapes = weights.manifest()[network].shapes
    arrays = seeded.state_dict(network, shapes, SEED)
    return {name: torch.from_numpy(np.asarray(array)) for name, array in arrays.items()}


@cache
def network(name: str) -> Any:
    """A network with stand-in weights, made once for all tests."""
    return weights.from_tensors(name, tensors(name))


def distance(found: Tensor | Array, expected: Array) -> float:
    """‖found − expected‖ / ‖expected‖."""
    difference = np.asarray(found, np.float64) - expected
    return float(np.linalg.norm(difference) / np.linalg.norm(expected))
