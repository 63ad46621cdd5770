"""Engines out of ONNX, with the TensorRT 10 or 11 Python API."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from ditto_avatar.errors import InvalidCheckpoint, Unavailable
from ditto_avatar.face.ditto.runtime.tensorrt.graphs import GraphSpec
from ditto_avatar.face.ditto.runtime.tensorrt.plan import BATCHES, engine_key, profiles

TIMING_CACHE = "timing.cache"


def load_tensorrt() -> Any:
    """The library. Raises `Unavailable` where it is not installed."""
    try:
        import tensorrt
    except ImportError as error:
        raise Unavailable(
            "TensorRT is not installed; install NVIDIA's package 'tensorrt' (10 or 11), or use "
            "the backend compiled."
        ) from error
    return tensorrt


def architecture() -> str:
    """The GPU's compute capability, as in 'sm_90'. Raises `Unavailable` without one."""
    if not torch.cuda.is_available():
        raise Unavailable("Engines are built on the GPU they run on, and there is none here.")
    major, minor = torch.cuda.get_device_capability()
    return f"sm_{major}{minor}"


def build_engine(
    onnx: Path,
    spec: GraphSpec,
    folder: Path,
    *,
    precision: str = "half",
    batches: Sequence[int] = BATCHES,
    tell: Callable[[str], None] | None = None,
) -> Path:
    """The engine for a graph, built unless one with the same key is there. Takes minutes.

    The network is strongly typed: it computes in the precision of the graph. Raises
    `InvalidCheckpoint` when TensorRT cannot read the graph."""
    trt = load_tensorrt()
    key = engine_key(onnx, precision, batches, trt.__version__, architecture())
    target = key.path(folder)
    if target.is_file():
        return target
    (tell or (lambda text: None))(f"building {target.name}")
    logger = trt.Logger(trt.Logger.WARNING)
    builder = trt.Builder(logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse_from_file(str(onnx)):
        reasons = "; ".join(str(parser.get_error(i)) for i in range(parser.num_errors))
        raise InvalidCheckpoint(f"TensorRT cannot read {onnx.name}: {reasons}.")
    config = builder.create_builder_config()
    cache = _timing_cache(config, folder)
    for entry in profiles(spec, batches):
        profile = builder.create_optimization_profile()
        for name, low, best, high in entry.shapes:
            profile.set_shape(name, low, best, high)
        config.add_optimization_profile(profile)
    content = builder.build_serialized_network(network, config)
    if content is None:
        raise InvalidCheckpoint(f"TensorRT could not build an engine from {onnx.name}.")
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / TIMING_CACHE, bytes(cache.serialize()))
    _write(target, bytes(content))
    return target


def _timing_cache(config: Any, folder: Path) -> Any:
    """What earlier builds measured; layers alike are not timed again."""
    path = folder / TIMING_CACHE
    cache = config.create_timing_cache(path.read_bytes() if path.is_file() else b"")
    config.set_timing_cache(cache, ignore_mismatch=False)
    return cache


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_bytes(content)
    temporary.replace(path)
