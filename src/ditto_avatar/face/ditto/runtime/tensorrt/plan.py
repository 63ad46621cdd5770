"""Which engines are built, for which shapes, and when one may be used again. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from ditto_avatar.face.ditto.runtime.tensorrt.graphs import GraphSpec, Shape

BATCHES = (1, 2, 4, 8)


@dataclass(frozen=True, slots=True)
class Profile:
    """The shapes an engine is tuned for: smallest, best and largest, for each input."""

    batch: int
    shapes: tuple[tuple[str, Shape, Shape, Shape], ...]


def profiles(spec: GraphSpec, batches: Sequence[int] = BATCHES) -> list[Profile]:
    """One profile for each bucket: its own size is best, smaller ones down to the next bucket
    still fit, so that every batch has exactly one profile."""
    found, before = [], 0
    for batch in sorted(batches):
        low, best = spec.inputs(before + 1), spec.inputs(batch)
        shapes = tuple((name, low[name], best[name], best[name]) for name in best)
        found.append(Profile(batch, shapes))
        before = batch
    return found


def profile_for(batch: int, batches: Sequence[int] = BATCHES) -> int:
    """The index of the profile that a batch belongs to. Raises `ValueError` beyond the last."""
    for index, size in enumerate(sorted(batches)):
        if batch <= size:
            return index
    raise ValueError(f"a batch holds at most {max(batches)}, not {batch}; split it.")


@dataclass(frozen=True, slots=True)
class EngineKey:
    """What an engine depends on: it is built again when any of it changes.

    `graph` is the hash of the ONNX file, weights included; `architecture` the GPU's compute
    capability, `version` TensorRT's."""

    name: str
    graph: str
    precision: str
    batches: tuple[int, ...]
    version: str
    architecture: str

    @property
    def digest(self) -> str:
        content = json.dumps(asdict(self), sort_keys=True).encode()
        return hashlib.sha256(content).hexdigest()[:16]

    def path(self, folder: Path) -> Path:
        return folder / f"{self.name}.{self.digest}.engine"


def engine_key(
    onnx: Path, precision: str, batches: Iterable[int], version: str, architecture: str
) -> EngineKey:
    """The key of the engine that would be built from `onnx`."""
    with onnx.open("rb") as file:
        graph = hashlib.file_digest(file, "sha256").hexdigest()
    return EngineKey(onnx.stem, graph, precision, tuple(batches), version, architecture)


# The graphs that come with the checkpoint, and in which precision each of them is built.
RELEASED_GRAPHS = {
    "appearance_extractor": "half",
    "decoder": "half",
    "hubert": "single",
    "lmdm_v0.4_hubert": "single",
    "motion_extractor": "single",
    "stitch_network": "half",
}


def released_graphs(folder: Path) -> tuple[list[Path], list[str]]:
    """The checkpoint's own graphs that can be built without a plugin, and why others cannot."""
    found, skipped = [], []
    for path in sorted(folder.glob("*.onnx")):
        if path.stem in RELEASED_GRAPHS:
            found.append(path)
        elif path.stem.startswith("warp_network"):
            skipped.append(
                f"{path.name} samples volumes with a five-dimensional GridSample, which TensorRT "
                "has only as a plugin; the exported warp_network.onnx needs none."
            )
    return found, skipped
