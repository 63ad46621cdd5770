"""Engines out of ONNX, with the TensorRT 10 or 11 Python API."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch

from ditto_avatar.errors import InvalidCheckpoint
from ditto_avatar.face.ditto.runtime.tensorrt.library import active, architecture, load_tensorrt
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
) -> list[Path]:
    """An engine in `folder` for each job. One that fails does not keep the others from being
    built: `InvalidCheckpoint` is raised at the end and tells all that failed."""
    tell = tell or log.info
    built, failed = [], []
    for job in jobs:
        try:
            built.append(build_engine(job, folder, device, tell))
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
) -> Path:
    """The engine for a graph, built unless one with the same key is there. Takes minutes.

    The network is strongly typed: it computes in the precision of the graph. Raises
    `InvalidCheckpoint` when TensorRT cannot read or build the graph, `Unavailable` without the
    library or a CUDA device."""
    trt = load_tensorrt()
    tell = tell or log.info
    key = EngineKey(
        name=job.onnx.stem,
        graph=file_key([job.onnx]),
        weights=job.weights,
        precision=job.precision,
        batches=job.batches,
        shapes=shapes_key(job.profiles),
        version=trt.__version__,
        architecture=architecture(device),
    )
    target = key.path(folder)
    if target.is_file():
        tell(f"{target.name} is there already")
    else:
        tell(f"building {target.name}, which takes minutes")
        with active(device):
            content = _serialized(trt, job, folder)
        write_whole(target, lambda path: path.write_bytes(content))
    key.write(target)
    return target


def _serialized(trt: Any, job: BuildJob, folder: Path) -> bytes:
    logger = trt.Logger(trt.Logger.WARNING)
    builder = trt.Builder(logger)
    # TensorRT 11 knows strongly typed networks only and takes no notice of the flag.
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse_from_file(str(job.onnx)):
        reasons = "; ".join(str(parser.get_error(i)) for i in range(parser.num_errors))
        raise InvalidCheckpoint(f"TensorRT cannot read {job.onnx.name}: {reasons}.")
    config = builder.create_builder_config()
    cache = _timing_cache(config, folder)
    _add_profiles(builder, network, config, job)
    content = builder.build_serialized_network(network, config)
    if content is None:
        raise InvalidCheckpoint(f"TensorRT could not build an engine from {job.onnx.name}.")
    timings = bytes(cache.serialize())
    write_whole(folder / TIMING_CACHE, lambda path: path.write_bytes(timings))
    return bytes(content)


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
