"""Which engines are built, for which shapes, and which of those on disk may be used."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from ditto_avatar.errors import InvalidInput, Unavailable
from ditto_avatar.face.ditto.networks import RELEASED, Sizes
from ditto_avatar.face.ditto.runtime.tensorrt.graphs import GraphSpec, Shape, specs
from ditto_avatar.files import write_whole

BATCHES = (1, 2, 4, 8)
GRAPHS_FILE = "graphs.json"
# What stands for the weights of a graph that came with the checkpoint: no runner takes such an
# engine, its graph has other inputs than ours.
RELEASED_WEIGHTS = "released"


def engines_folder(checkpoints: Path) -> Path:
    """Where the engines for a checkpoint folder lie."""
    return checkpoints / "engines"


@dataclass(frozen=True, slots=True)
class Profile:
    """The shapes an engine is tuned for: smallest, best and largest, for each input."""

    shapes: tuple[tuple[str, Shape, Shape, Shape], ...]


def profiles(spec: GraphSpec, batches: Sequence[int] = BATCHES) -> list[Profile]:
    """One profile for each bucket: its own size is best, smaller ones down to the next bucket
    still fit, so that every batch has exactly one profile."""
    found, before = [], 0
    for batch in sorted(batches):
        low, best = spec.inputs(before + 1), spec.inputs(batch)
        found.append(Profile(tuple((name, low[name], best[name], best[name]) for name in best)))
        before = batch
    return found


def profile_for(batch: int, batches: Sequence[int] = BATCHES) -> int:
    """The index of the profile that a batch belongs to. Raises `ValueError` beyond the last."""
    for index, size in enumerate(sorted(batches)):
        if batch <= size:
            return index
    raise ValueError(f"a batch holds at most {max(batches)}, not {batch}; split it.")


def shapes_key(found: Iterable[Profile]) -> str:
    """Twelve hex digits that change with the profiles."""
    content = json.dumps([profile.shapes for profile in found])
    return hashlib.sha256(content.encode()).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class BuildJob:
    """A graph to build an engine from. `weights` is the key of the checkpoint's networks,
    `batches` are the buckets that the profiles belong to, none if the batch is fixed."""

    onnx: Path
    weights: str
    precision: str
    batches: tuple[int, ...]
    profiles: tuple[Profile, ...]


@dataclass(frozen=True, slots=True)
class EngineKey:
    """What an engine depends on: it is built again when any of it changes.

    `graph` is the hash of the ONNX file, `weights` of the checkpoint's networks, `shapes` of the
    profiles; `architecture` is the GPU's compute capability, or those of several with commas
    between them, `version` TensorRT's. It lies as JSON beside its engine, so that nobody reads a
    graph to find one."""

    name: str
    graph: str
    weights: str
    precision: str
    batches: tuple[int, ...]
    shapes: str
    version: str
    architecture: str

    @property
    def digest(self) -> str:
        content = json.dumps(asdict(self), sort_keys=True).encode()
        return hashlib.sha256(content).hexdigest()[:16]

    def path(self, folder: Path) -> Path:
        return folder / f"{self.name}.{self.digest}.engine"

    def write(self, engine: Path) -> None:
        """Beside its engine, which is whole by then: an engine without it is none."""
        _write(engine.with_suffix(".json"), json.dumps(asdict(self), indent=1))

    @classmethod
    def read(cls, path: Path) -> EngineKey:
        """Raises `ValueError` for a file that holds no key."""
        try:
            values = json.loads(path.read_bytes())
            key = cls(**{**values, "batches": tuple(values["batches"])})
        except (TypeError, KeyError, OSError) as error:
            raise ValueError(f"{path.name} holds no engine's key: {error}") from error
        return key


@dataclass(frozen=True, slots=True)
class FoundEngine:
    """An engine on disk."""

    key: EngineKey
    path: Path


@dataclass(frozen=True, slots=True)
class Exported:
    """What the graphs of a folder were exported from; written when all of them are there."""

    weights: str
    precision: str

    def write(self, folder: Path) -> None:
        _write(folder / GRAPHS_FILE, json.dumps(asdict(self), indent=1))

    @classmethod
    def read(cls, folder: Path) -> Exported:
        """Raises `InvalidInput` for a file that does not say it."""
        path = folder / GRAPHS_FILE
        try:
            return cls(**json.loads(path.read_bytes()))
        except (TypeError, ValueError, OSError) as error:
            raise InvalidInput(
                f"{path} does not say what the graphs were exported from; "
                "`ditto-avatar engines export` writes it."
            ) from error


def exported_jobs(
    folder: Path, sizes: Sizes = RELEASED, batches: Sequence[int] = BATCHES
) -> list[BuildJob]:
    """A job for each graph that `engines export` wrote. Raises `InvalidInput` if one is missing."""
    about = Exported.read(folder)
    graphs = [(folder / f"{spec.name}.onnx", spec) for spec in specs(sizes)]
    missing = [path.name for path, _ in graphs if not path.is_file()]
    if missing:
        raise InvalidInput(
            f"{folder} lacks {', '.join(missing)}; `ditto-avatar engines export` writes them."
        )
    return [
        BuildJob(
            path, about.weights, about.precision, tuple(batches), tuple(profiles(spec, batches))
        )
        for path, spec in graphs
    ]


# The open inputs of the checkpoint's own graphs: sound, in samples at 16 kHz.
RELEASED_SHAPES: Mapping[str, Profile] = {
    "hubert": Profile((("input_values", (1, 3_240), (1, 6_480), (1, 12_960)),)),
}


def released_jobs(folder: Path) -> tuple[list[BuildJob], list[str]]:
    """A job for each of the checkpoint's own graphs that needs no plugin, and why the others
    have none. Each is built in its own precision."""
    found, skipped = [], []
    for path in sorted(folder.glob("*.onnx")):
        if path.stem.startswith("warp_network"):
            skipped.append(
                f"{path.name} samples volumes with a five-dimensional GridSample, which TensorRT "
                "has only as a plugin; the exported warp_network.onnx needs none."
            )
            continue
        shapes = RELEASED_SHAPES.get(path.stem)
        found.append(BuildJob(path, RELEASED_WEIGHTS, "own", (), (shapes,) if shapes else ()))
    return found, skipped


def is_exported(folder: Path) -> bool:
    """Whether `engines export` wrote the graphs of a folder."""
    return (folder / GRAPHS_FILE).is_file()


def jobs_of(folder: Path) -> tuple[list[BuildJob], list[str]]:
    """The jobs for a folder of exported graphs or of the checkpoint's own, and why graphs in it
    have none. Raises `InvalidInput` for a folder without graphs."""
    if is_exported(folder):
        return exported_jobs(folder), []
    if any(folder.glob("*.onnx")):
        return released_jobs(folder)
    raise InvalidInput(f"{folder} holds no graphs; `ditto-avatar engines export` writes them.")


def find_engines(
    folder: Path, graphs: Iterable[GraphSpec], weights: str, version: str, architecture: str
) -> dict[str, FoundEngine]:
    """The engine to use for each graph; of several that fit, the one built last.

    Raises `Unavailable` with the reason if a graph has none."""
    sidecars = sorted(folder.glob("*.json"), key=lambda path: (path.stat().st_mtime_ns, path.name))
    engines, damaged = [], []
    for path in sidecars:
        if path.name == GRAPHS_FILE:
            continue
        try:
            engines.append(FoundEngine(EngineKey.read(path), path.with_suffix(".engine")))
        except ValueError:
            damaged.append(path.name)
    result = {}
    for spec in graphs:
        own = [engine for engine in engines if engine.key.name == spec.name]
        faults = [list(_faults(engine, spec, weights, version, architecture)) for engine in own]
        fitting = [engine for engine, found in zip(own, faults, strict=True) if not found]
        if not fitting:
            # Of several that do not fit, the nearest one tells most.
            reason = min(faults, key=len)[0] if faults else f"there is no engine of {spec.name}"
            broken = [name for name in damaged if name.startswith(f"{spec.name}.")]
            if broken:
                reason += f", and {broken[0]} is damaged"
            raise Unavailable(f"{reason}; `ditto-avatar engines build` builds it.")
        result[spec.name] = fitting[-1]
    return result


def _faults(
    engine: FoundEngine, spec: GraphSpec, weights: str, version: str, architecture: str
) -> Iterator[str]:
    """Why an engine cannot be used for a graph."""
    key, name = engine.key, engine.path.name
    if key.weights != weights:
        yield f"{name} was built from other weights"
    if key.version != version:
        yield f"{name} was built with TensorRT {key.version}, and this is {version}"
    if architecture not in key.architecture.split(","):
        yield f"{name} was built for {key.architecture}, and this GPU is {architecture}"
    if key.shapes != shapes_key(profiles(spec, key.batches)):
        yield f"{name} was built for other shapes"
    if not engine.path.is_file():
        yield f"{name} is missing"


def _write(path: Path, text: str) -> None:
    write_whole(path, lambda unfinished: unfinished.write_text(text, encoding="utf-8"))
