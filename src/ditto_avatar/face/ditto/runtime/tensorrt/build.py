"""Engines out of ONNX, with the Python interface of TensorRT 10 and 11, or for RTX cards."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch

from ditto_avatar.errors import InvalidCheckpoint, Unavailable
from ditto_avatar.face.ditto.runtime.tensorrt.library import (
    Library,
    active,
    architecture,
    load_rtx,
    load_tensorrt,
)
from ditto_avatar.face.ditto.runtime.tensorrt.plan import (
    BuildJob,
    EngineKey,
    shapes_key,
)
from ditto_avatar.files import write_whole
from ditto_avatar.models.files import file_key

log = logging.getLogger(__name__)

TIMING_CACHE = "timing.cache"
OPEN = -1  # what TensorRT says of an input's side that is not fixed


def build_engines(
    jobs: Iterable[BuildJob],
    folder: Path,
    device: torch.device,
    tell: Callable[[str], None] | None = None,
    targets: Sequence[str] = (),
) -> list[Path]:
    """An engine in `folder` for each job. One that fails does not keep the others from being
    built: `InvalidCheckpoint` is raised at the end and tells all that failed. See `build_engine`
    for `targets`."""
    tell = tell or log.info
    built, failed = [], []
    for job in jobs:
        try:
            built.append(build_engine(job, folder, device, tell, targets))
        except InvalidCheckpoint as error:
            tell(str(error))
            failed.append(str(error))
    if failed:
        raise InvalidCheckpoint(" ".join(failed))
    return built


def build_engine(
    job: BuildJob,
    folder: Path,
    device: torch.device,
    tell: Callable[[str], None] | None = None,
    targets: Sequence[str] = (),
) -> Path:
    """The engine for a graph, built unless one with the same key is there. Takes seconds to
    minutes.

    It is built for `device`, or for `targets`, architectures such as 'sm_89', of which none need
    be here: one engine for all of them, which is no larger than one for each. The network is
    strongly typed: it computes in the precision of the graph. Raises `InvalidCheckpoint` when
    TensorRT cannot read or build the graph, `Unavailable` without the library or a CUDA device,
    `InvalidInput` for an architecture that the library does not know."""
    library = load_rtx(targets) if targets else load_tensorrt()
    tell = tell or log.info
    key = EngineKey(
        name=job.onnx.stem,
        graph=file_key([job.onnx]),
        weights=job.weights,
        precision=job.precision,
        batches=job.batches,
        shapes=shapes_key(job.profiles),
        version=library.version,
        architecture=",".join(targets) or _own(library, device),
    )
    target = key.path(folder)
    if target.is_file():
        tell(f"{target.name} is there already")
    else:
        tell(f"building {target.name}, which takes minutes")
        with nullcontext() if targets else active(device):
            content = _serialized(library, job, folder, targets)
        write_whole(target, lambda path: path.write_bytes(content))
    key.write(target)
    return target


def _own(library: Library, device: torch.device) -> str:
    """The device's architecture. TensorRT for RTX builds for any GPU that is there, and runs on
    some: raises `Unavailable` for others."""
    own = architecture(device)
    if library.rtx and own not in library.targets:
        raise Unavailable(
            f"{library.name} has no engines for this GPU, {own}; it runs on "
            f"{', '.join(library.targets)}."
        )
    return own


def _serialized(library: Library, job: BuildJob, folder: Path, targets: Sequence[str]) -> bytes:
    trt, logger = library.api, library.logger
    builder = trt.Builder(logger)
    # TensorRT 11 knows strongly typed networks only and takes no notice of the flag.
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse_from_file(str(job.onnx)):
        reasons = "; ".join(str(parser.get_error(i)) for i in range(parser.num_errors))
        raise InvalidCheckpoint(f"TensorRT cannot read {job.onnx.name}: {reasons}.")
    config = builder.create_builder_config()
    # For RTX nothing is timed before it runs.
    cache = None if library.rtx else _timing_cache(config, folder)
    _aim(library, config, targets)
    _add_profiles(builder, network, config, job)
    content = builder.build_serialized_network(network, config)
    if content is None:
        raise InvalidCheckpoint(f"TensorRT could not build an engine from {job.onnx.name}.")
    if cache is not None:
        timings = bytes(cache.serialize())
        write_whole(folder / TIMING_CACHE, lambda path: path.write_bytes(timings))
    return bytes(content)


def _aim(library: Library, config: Any, targets: Sequence[str]) -> None:
    """Name the GPUs to build for; without any it is the one at hand."""
    if targets:
        config.num_compute_capabilities = len(targets)
    for index, target in enumerate(targets):
        kind = library.api.ComputeCapability.__members__[f"SM{target.removeprefix('sm_')}"]
        if not config.set_compute_capability(kind, index):
            raise InvalidCheckpoint(f"{library.name} refuses to build for {target}.")


def _add_profiles(builder: Any, network: Any, config: Any, job: BuildJob) -> None:
    """Raises `InvalidCheckpoint` for an open input whose shapes the job does not say."""
    inputs = [network.get_input(index) for index in range(network.num_inputs)]
    opened = {tensor.name for tensor in inputs if OPEN in tuple(tensor.shape)}
    planned = {name for profile in job.profiles for name, *_ in profile.shapes}
    unknown = sorted(opened - planned)
    if unknown:
        raise InvalidCheckpoint(
            f"{job.onnx.name} leaves the shape of {', '.join(unknown)} open, and it is not known "
            "which shapes to build it for."
        )
    for entry in job.profiles if opened else ():
        profile = builder.create_optimization_profile()
        for name, low, best, high in entry.shapes:
            if name in opened:
                profile.set_shape(name, low, best, high)
        if config.add_optimization_profile(profile) < 0:
            raise InvalidCheckpoint(f"TensorRT refuses these shapes of {job.onnx.name}: {entry}.")


def _timing_cache(config: Any, folder: Path) -> Any:
    """What earlier builds measured; layers alike are not timed again."""
    path = folder / TIMING_CACHE
    if path.is_file():
        cache = config.create_timing_cache(path.read_bytes())
        if cache is not None and config.set_timing_cache(cache, ignore_mismatch=False):
            return cache
        log.info("%s is of another GPU or TensorRT and is begun anew.", path)
    cache = config.create_timing_cache(b"")
    config.set_timing_cache(cache, ignore_mismatch=False)
    return cache
