"""The backends there are, and why one cannot be used on this machine."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from ditto_avatar.errors import Unavailable
from ditto_avatar.face.ditto.networks import RELEASED, Sizes
from ditto_avatar.face.ditto.options import BACKENDS, Backend
from ditto_avatar.face.ditto.runtime.fused.support import kernels_refused
from ditto_avatar.face.ditto.runtime.tensorrt.plan import FoundEngine
from ditto_avatar.face.ditto.runtime.tensorrt.runners import fitting_engines

# What takes minutes where nothing is kept: others draw meanwhile.
COMPILED = ("fused", "compiled")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A backend and, where it cannot be used, the reason, without a full stop. `engines` are those
    that the backend tensorrt would run."""

    name: str
    refused: str | None = None
    engines: Mapping[str, FoundEngine] = field(default_factory=dict)


def candidates(
    device: torch.device, checkpoints: Path | None = None, sizes: Sizes = RELEASED
) -> list[Candidate]:
    """List every backend on this machine for the weights in a folder: engines, then the others, of
    which the preferred one is first. For the doctor, too."""
    tensorrt = _tensorrt(device, checkpoints, sizes)
    if device.type != "cuda":
        compiled = Candidate("compiled", "compiling pays off on a CUDA device only")
        graphs = Candidate("graphs", "CUDA graphs need a CUDA device")
    elif importlib.util.find_spec("triton") is None:
        compiled = Candidate("compiled", "torch.compile needs Triton, which is not installed")
        graphs = Candidate("graphs")
    else:
        compiled, graphs = Candidate("compiled"), Candidate("graphs")
    fused = Candidate("fused", kernels_refused(device))
    return [tensorrt, fused, compiled, graphs, Candidate("eager")]


def _tensorrt(device: torch.device, checkpoints: Path | None, sizes: Sizes) -> Candidate:
    if device.type != "cuda":
        return Candidate("tensorrt", "engines run on a CUDA device only")
    if checkpoints is None:
        return Candidate("tensorrt", "there is no checkpoint folder that could hold engines")
    try:
        return Candidate("tensorrt", engines=fitting_engines(checkpoints, device, sizes))
    except Unavailable as error:
        return Candidate("tensorrt", str(error).removesuffix("."))


def asked_for(table: Sequence[Candidate], backend: Backend) -> Candidate:
    """The candidate of that name; for "auto" the first that is not refused, engines left aside:
    these are timed first. Raises `Unavailable` for a name that there is not."""
    if backend == "auto":
        usable = [each for each in table if each.refused is None]
        return next((each for each in usable if each.name != "tensorrt"), usable[0])
    found = [each for each in table if each.name == backend]
    if not found:
        raise Unavailable(f"There is no backend {backend!r}; there are: {', '.join(BACKENDS)}.")
    return found[0]
