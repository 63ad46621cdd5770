"""The slice of TensorRT's Python API that Ditto uses, over ONNX Runtime on the processor's memory,
and that of TensorRT for RTX cards.

An engine really computes, from the addresses it is given to the addresses it is given. What the
library refuses is refused in its own way: by None, by False, and by a message in the parser.
"""

from __future__ import annotations

import ctypes
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from enum import Enum, IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
import torch

__version__ = "11.4.0"

MAGIC = b"ftrt"
CACHE_MAGIC = b"ftrt timing "
KERNELS_MAGIC = b"ftrt kernels "
Shape = tuple[int, ...]


class ILogger:
    """What a program's own logger is made from."""

    class Severity(IntEnum):
        INTERNAL_ERROR = 0
        ERROR = 1
        WARNING = 2
        INFO = 3
        VERBOSE = 4

    def log(self, severity: Severity, text: str) -> None:
        """Overridden by the program."""


class Loggers:
    """The library keeps the first logger of a process, and warns of another one."""

    first: ILogger | None = None

    @classmethod
    def take(cls, logger: ILogger) -> None:
        cls.first = cls.first or logger
        if logger is not cls.first:
            severity = ILogger.Severity.WARNING
            cls.first.log(severity, "The logger passed differs from the one already registered.")


class NetworkDefinitionCreationFlag(IntEnum):
    EXPLICIT_BATCH = 0
    STRONGLY_TYPED = 1


class ExecutionContextAllocationStrategy(Enum):
    STATIC = 0
    ON_PROFILE_CHANGE = 1


class DataType(Enum):
    FLOAT = 0
    HALF = 1
    INT32 = 3
    INT64 = 8


TYPES = {
    onnx.TensorProto.FLOAT: DataType.FLOAT,
    onnx.TensorProto.FLOAT16: DataType.HALF,
    onnx.TensorProto.INT32: DataType.INT32,
    onnx.TensorProto.INT64: DataType.INT64,
}
ARRAYS: Mapping[DataType, npt.DTypeLike] = {
    DataType.FLOAT: np.float32,
    DataType.HALF: np.float16,
    DataType.INT32: np.int32,
    DataType.INT64: np.int64,
}


@dataclass
class Tensor:
    name: str
    shape: Shape  # -1 where open
    dtype: DataType


@dataclass
class Network:
    model: Any = None
    inputs: list[Tensor] = field(default_factory=list)

    @property
    def num_inputs(self) -> int:
        return len(self.inputs)

    def get_input(self, index: int) -> Tensor:
        return self.inputs[index]


class OnnxParser:
    """Reads standard operators, except the one that the library has as a plugin only."""

    def __init__(self, network: Network, logger: ILogger) -> None:
        Loggers.take(logger)
        self._network = network
        self._errors: list[str] = []

    @property
    def num_errors(self) -> int:
        return len(self._errors)

    def get_error(self, index: int) -> str:
        return self._errors[index]

    def parse_from_file(self, path: str) -> bool:
        try:
            model = onnx.load(path)
            onnx.checker.check_model(model)
        except Exception as error:  # the reader of protocol buffers raises classes of its own
            self._errors.append(f"In parse_from_file: {type(error).__name__}")
            return False
        for node in model.graph.node:
            if node.op_type == "GridSample":
                self._errors.append(f"In node {node.name}: UNSUPPORTED_NODE GridSample")
                return False
        constants = {entry.name for entry in model.graph.initializer}
        self._network.model = model
        self._network.inputs = [
            _tensor(entry) for entry in model.graph.input if entry.name not in constants
        ]
        return True


def _tensor(entry: Any) -> Tensor:
    kind = entry.type.tensor_type
    shape = tuple(side.dim_value if side.HasField("dim_value") else -1 for side in kind.shape.dim)
    return Tensor(entry.name, shape, TYPES[kind.elem_type])


class Profile:
    def __init__(self) -> None:
        self.shapes: dict[str, tuple[Shape, Shape, Shape]] = {}

    def set_shape(self, name: str, low: Shape, best: Shape, high: Shape) -> None:
        for small, middle, large in zip(low, best, high, strict=True):
            if not small <= middle <= large:
                raise ValueError(f"{name}: {low}, {best}, {high} do not ascend")
        self.shapes[name] = (tuple(low), tuple(best), tuple(high))


class TimingCache:
    def __init__(self, fitting: bool, entries: int) -> None:
        self.fitting = fitting
        self.entries = entries

    def serialize(self) -> memoryview:
        return memoryview(CACHE_MAGIC + f"{__version__} {self.entries}".encode())


class ComputeCapability(Enum):
    """GPUs that TensorRT for RTX builds for; TensorRT itself has no such list."""

    NONE = 0
    CURRENT = 1
    SM80 = 80
    SM86 = 86
    SM89 = 89
    SM120 = 120


class CudaGraphStrategy(Enum):
    DISABLED = 0
    WHOLE_GRAPH_CAPTURE = 1


class RuntimeCache:
    """What was compiled on a card: here the names of profiles."""

    def __init__(self) -> None:
        self.compiled: set[str] = set()

    def deserialize(self, content: bytes) -> bool:
        if not content.startswith(KERNELS_MAGIC):
            return False
        self.compiled = set(json.loads(content.removeprefix(KERNELS_MAGIC)))
        return True

    def serialize(self) -> memoryview:
        return memoryview(KERNELS_MAGIC + json.dumps(sorted(self.compiled)).encode())


class RuntimeConfig:
    def __init__(self) -> None:
        self.cuda_graph_strategy = CudaGraphStrategy.DISABLED
        self.cache: RuntimeCache | None = None

    def set_execution_context_allocation_strategy(
        self, strategy: ExecutionContextAllocationStrategy
    ) -> None:
        assert isinstance(strategy, ExecutionContextAllocationStrategy)

    def create_runtime_cache(self) -> RuntimeCache:
        return RuntimeCache()

    def set_runtime_cache(self, cache: RuntimeCache) -> bool:
        self.cache = cache
        return True


class BuilderConfig:
    def __init__(self) -> None:
        self.profiles: list[Profile] = []
        self.cache: TimingCache | None = None
        self.num_compute_capabilities = 0
        self.targets: dict[int, ComputeCapability] = {}

    def set_compute_capability(self, target: ComputeCapability, index: int) -> bool:
        if not isinstance(target, ComputeCapability) or index >= self.num_compute_capabilities:
            return False
        self.targets[index] = target
        return True

    def add_optimization_profile(self, profile: Profile) -> int:
        self.profiles.append(profile)
        return len(self.profiles) - 1

    def create_timing_cache(self, content: bytes) -> TimingCache:
        if not content:
            return TimingCache(True, 0)
        version, _, entries = (
            content.removeprefix(CACHE_MAGIC).decode(errors="replace").partition(" ")
        )
        fitting = content.startswith(CACHE_MAGIC) and version == __version__
        return TimingCache(fitting, int(entries) if fitting else 0)

    def set_timing_cache(self, cache: TimingCache, ignore_mismatch: bool) -> bool:
        if not cache.fitting and not ignore_mismatch:
            return False
        self.cache = cache
        return True


class Builder:
    def __init__(self, logger: ILogger) -> None:
        Loggers.take(logger)

    def create_network(self, flags: int) -> Network:
        if not flags & 1 << NetworkDefinitionCreationFlag.STRONGLY_TYPED:
            raise ValueError("only strongly typed networks")
        return Network()

    def create_builder_config(self) -> BuilderConfig:
        return BuilderConfig()

    def create_optimization_profile(self) -> Profile:
        return Profile()

    def build_serialized_network(self, network: Network, config: BuilderConfig) -> Any:
        """None unless every open input has its shapes in every profile, and only open inputs."""
        opened = {tensor.name for tensor in network.inputs if -1 in tensor.shape}
        if opened and not config.profiles:
            return None
        if any(set(profile.shapes) != opened for profile in config.profiles):
            return None
        for profile in config.profiles:
            for tensor in network.inputs:
                for shape in profile.shapes.get(tensor.name, ()):
                    if not _fills(shape, tensor.shape):
                        return None
        if config.cache is not None:
            config.cache.entries += 1
        if len(config.targets) != config.num_compute_capabilities:
            return None
        header = json.dumps([profile.shapes for profile in config.profiles]).encode()
        return memoryview(
            b"\0".join((MAGIC, __version__.encode(), header))
            + b"\0"
            + network.model.SerializeToString()
        )


def _fills(shape: Sequence[int], template: Sequence[int]) -> bool:
    return len(shape) == len(template) and all(
        wanted in (-1, side) for side, wanted in zip(shape, template, strict=True)
    )


class Runtime:
    def __init__(self, logger: ILogger) -> None:
        Loggers.take(logger)

    def deserialize_cuda_engine(self, content: bytes) -> Engine | None:
        """None for what no builder of this version wrote, whole."""
        parts = content.split(b"\0", 3)
        if len(parts) < 4 or parts[0] != MAGIC or parts[1].decode() != __version__:
            return None
        try:
            return Engine(json.loads(parts[2]), parts[3])
        except Exception:  # whatever is wrong with a file, the library says None
            return None


class Engine:
    def __init__(
        self, profiles: Sequence[Mapping[str, tuple[Shape, Shape, Shape]]], model: bytes
    ) -> None:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(
            model, options, providers=["CPUExecutionProvider"]
        )
        self.profiles = profiles
        self.taken: set[int] = set()
        self.contexts: list[Context] = []
        graph = onnx.load_from_string(model).graph
        names = {entry.name for entry in self.session.get_inputs()}
        self.inputs = {e.name: _tensor(e) for e in graph.input if e.name in names}
        self.outputs = {e.name: _tensor(e) for e in graph.output}
        self.tensors = {**self.inputs, **self.outputs}

    @property
    def num_io_tensors(self) -> int:
        return len(self.tensors)

    @property
    def num_optimization_profiles(self) -> int:
        return max(1, len(self.profiles))

    def get_tensor_name(self, index: int) -> str:
        name: str = list(self.tensors)[index]
        return name

    def get_tensor_dtype(self, name: str) -> DataType:
        return self.tensors[name].dtype

    def create_execution_context(
        self,
        strategy: ExecutionContextAllocationStrategy = ExecutionContextAllocationStrategy.STATIC,
        *,
        runtime_config: RuntimeConfig | None = None,
    ) -> Context:
        assert isinstance(strategy, ExecutionContextAllocationStrategy)
        context = Context(self, runtime_config)
        self.contexts.append(context)
        return context

    def create_runtime_config(self) -> RuntimeConfig:
        return RuntimeConfig()


class Context:
    def __init__(self, engine: Engine, config: RuntimeConfig | None = None) -> None:
        self._engine = engine
        self._config = config
        self.captures = self.compilations = 0
        self._captured: set[tuple[object, ...]] = set()
        self._profile: int | None = None
        self._shapes: dict[str, Shape] = {}
        self._places: dict[str, int] = {}

    def set_optimization_profile_async(self, index: int, stream: int) -> bool:
        """A profile belongs to one context at a time."""
        if index >= self._engine.num_optimization_profiles or index in self._engine.taken:
            return False
        self._engine.taken.add(index)
        self._profile = index
        return True

    def set_input_shape(self, name: str, shape: Shape) -> bool:
        tensor = self._engine.inputs.get(name)
        if tensor is None or self._profile is None or not _fills(shape, tensor.shape):
            return False
        if self._engine.profiles and name in self._engine.profiles[self._profile]:
            low, _, high = self._engine.profiles[self._profile][name]
            if not all(a <= b <= c for a, b, c in zip(low, shape, high, strict=True)):
                return False
        self._shapes[name] = tuple(shape)
        return True

    def set_tensor_address(self, name: str, address: int) -> bool:
        if name not in self._engine.tensors or not address:
            return False
        self._places[name] = address
        return True

    def get_tensor_shape(self, name: str) -> Shape:
        """Open sides of an output are -1 until all inputs have their shapes."""
        if name in self._shapes:
            return self._shapes[name]
        if self._shapes.keys() != self._engine.inputs.keys():
            return self._engine.tensors[name].shape
        empty = {
            key: np.zeros(shape, ARRAYS[self._engine.inputs[key].dtype])
            for key, shape in self._shapes.items()
        }
        (found,) = self._engine.session.run([name], empty)
        return tuple(found.shape)

    def execute_async_v3(self, stream: int) -> bool:
        engine = self._engine
        if self._shapes.keys() != engine.inputs.keys() or self._places.keys() != set(
            engine.tensors
        ):
            return False
        self._prepare()
        fed = {name: self._array(name, shape) for name, shape in self._shapes.items()}
        for name, result in zip(
            engine.outputs, engine.session.run(list(engine.outputs), fed), strict=True
        ):
            self._array(name, result.shape)[...] = result
        return True

    def _prepare(self) -> None:
        """Compile what no cache holds, and capture the graph of these addresses."""
        if self._config is None:
            return
        cache = self._config.cache
        if cache is not None and f"profile {self._profile}" not in cache.compiled:
            cache.compiled.add(f"profile {self._profile}")
            self.compilations += 1
        run = (*sorted(self._shapes.items()), *sorted(self._places.items()))
        recorded = self._config.cuda_graph_strategy is CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
        if recorded and run not in self._captured:
            self._captured.add(run)
            self.captures += 1

    def _array(self, name: str, shape: Shape) -> npt.NDArray[Any]:
        """The memory at a tensor's address."""
        kind: np.dtype[Any] = np.dtype(ARRAYS[self._engine.tensors[name].dtype])
        size = int(np.prod(shape)) * kind.itemsize
        memory = memoryview((ctypes.c_byte * size).from_address(self._places[name]))
        array: npt.NDArray[Any] = np.frombuffer(memory, kind).reshape(shape)
        return array


class Stream:
    """In place of a CUDA stream: everything is done by the time a call returns."""

    cuda_stream = 1

    def __init__(self, device: object = None) -> None:
        self.device = device

    def wait_stream(self, other: Stream) -> None:
        assert isinstance(other, Stream)

    def synchronize(self) -> None:
        """Nothing is under way."""


def install(
    patch: pytest.MonkeyPatch, capability: tuple[int, int] = (9, 0), rtx: bool = False
) -> None:
    """Make this the only one of the libraries, `tensorrt` or the one for `rtx` cards, and a CUDA
    device of that capability the current one."""

    def current(device: object) -> AbstractContextManager[None]:
        return nullcontext()

    def of(value: object) -> Callable[..., Any]:
        return lambda *_: value

    here = sys.modules[__name__]
    for name in ("tensorrt", "tensorrt_rtx", "tensorrt_rtx_bindings"):
        patch.setitem(sys.modules, name, None)
    patch.setitem(sys.modules, "tensorrt_rtx" if rtx else "tensorrt", here)
    patch.setattr(torch.cuda, "get_device_capability", of(capability))
    patch.setattr(torch.cuda, "current_stream", of(Stream()))
    patch.setattr(torch.cuda, "Stream", Stream)
    patch.setattr(torch.cuda, "device", current)
