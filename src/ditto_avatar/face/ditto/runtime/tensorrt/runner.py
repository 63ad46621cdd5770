"""Engines as networks: the call signature of the module they were exported from.

Inputs and outputs are torch tensors on the device; the engine reads and writes them in place.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ditto_avatar.errors import InvalidCheckpoint
from ditto_avatar.face.ditto.runtime.tensorrt.graphs import GraphSpec
from ditto_avatar.face.ditto.runtime.tensorrt.library import Library, active, library_of
from ditto_avatar.face.ditto.runtime.tensorrt.plan import FoundEngine, profile_for
from ditto_avatar.face.ditto.runtime.tensorrt.rtx_kernels import RtxKernels

ALIGNMENT = 256  # bytes; TensorRT takes no other addresses


class EngineRunner:
    """One engine on one device, for one thread at a time. Outputs are allocated by torch.

    Where it is `recorded` and the library records CUDA graphs, each batch size has inputs and
    outputs of its own, as a graph is of fixed addresses: the next call overwrites the result.

    Raises `Unavailable` where the library it was built with is not there, `InvalidCheckpoint` for
    an engine of another GPU or of other inputs than `spec` has; a call raises `ValueError` for a
    batch beyond the largest bucket and `RuntimeError` for what TensorRT refuses."""

    def __init__(
        self,
        found: FoundEngine,
        spec: GraphSpec,
        device: torch.device,
        stream: torch.cuda.Stream,
        recorded: bool = False,
    ) -> None:
        library = library_of(found.key.version)
        self._name = found.path.name
        self._spec = spec
        self.batches = found.key.batches
        self._device = device
        # Not torch's own stream: on the default one TensorRT would wait for the device at each
        # call, and the processor could not prepare the next batch meanwhile.
        self._stream = stream
        self._fixed: dict[int, dict[str, Tensor]] | None = None
        self._kernels: RtxKernels | None = None
        self._ran: set[int] = set()
        with active(device):
            # Kept, since the engine is the runtime's.
            self._runtime = library.api.Runtime(library.logger)
            self._engine: Any = self._runtime.deserialize_cuda_engine(found.path.read_bytes())
            if self._engine is None:
                raise InvalidCheckpoint(
                    f"{self._name} was built for another GPU or TensorRT; build it again."
                )
            self.dtypes = self._kinds(library.api)
            if library.rtx:
                self._kernels = RtxKernels(library.api, self._engine, found.path, recorded)
                self._fixed = {} if recorded else None
            self._contexts = [self._context(library, index) for index in range(len(self.batches))]
            stream.synchronize()

    def _kinds(self, trt: Any) -> dict[str, torch.dtype]:
        kinds = {
            trt.DataType.FLOAT: torch.float32,
            trt.DataType.HALF: torch.float16,
            trt.DataType.INT64: torch.int64,
            trt.DataType.INT32: torch.int32,
        }
        engine = self._engine
        names = {engine.get_tensor_name(index) for index in range(engine.num_io_tensors)}
        wanted = {*self._spec.inputs(1), *self._spec.outputs}
        if names != wanted:
            raise InvalidCheckpoint(
                f"{self._name} has the tensors {', '.join(sorted(names))}, and "
                f"{', '.join(sorted(wanted))} were expected; export and build it again."
            )
        return {name: kinds[engine.get_tensor_dtype(name)] for name in names}

    def _context(self, library: Library, profile: int) -> Any:
        """A context of its own for each profile, with no more memory than that profile needs."""
        if self._kernels is not None:
            context = self._engine.create_execution_context(runtime_config=self._kernels.config)
        else:
            strategy = library.api.ExecutionContextAllocationStrategy.ON_PROFILE_CHANGE
            context = self._engine.create_execution_context(strategy)
        if context is None:
            raise RuntimeError(f"TensorRT has no memory for a context of {self._name}.")
        self._accepted(
            context.set_optimization_profile_async(profile, self._stream.cuda_stream),
            f"profile {profile}",
        )
        return context

    def __call__(self, *inputs: Tensor) -> Any:
        """A tensor, or a tuple of them where the graph has several outputs."""
        batch = inputs[0].shape[0]
        profile = profile_for(batch, self.batches)
        context = self._contexts[profile]
        with active(self._device):
            held = self._placed_all(batch, inputs)
            for name, ready in held.items():
                shape = tuple(ready.shape)
                self._accepted(context.set_input_shape(name, shape), f"{name} of shape {shape}")
                self._bind(context, name, ready)
            outputs = [self._output(context, batch, name) for name in self._spec.outputs]
            # What torch did before is waited for, and torch waits for what follows: the inputs'
            # memory is not used again before the engine has read it.
            current = torch.cuda.current_stream(self._device)
            self._stream.wait_stream(current)
            self._accepted(context.execute_async_v3(self._stream.cuda_stream), "to run")
            current.wait_stream(self._stream)
            self._keep_kernels(profile)
        return outputs[0] if len(outputs) == 1 else tuple(outputs)

    def _placed_all(self, batch: int, inputs: Sequence[Tensor]) -> dict[str, Tensor]:
        """Each input where the engine reads it."""
        placed = {}
        for name, tensor in zip(self._spec.inputs(batch), inputs, strict=True):
            if self._fixed is None:
                placed[name] = self._placed(name, tensor)
                continue
            own = self._fixed.setdefault(batch, {})
            if name not in own or own[name].shape != tensor.shape:
                own[name] = torch.empty(tensor.shape, dtype=self.dtypes[name], device=tensor.device)
            placed[name] = own[name].copy_(tensor, non_blocking=True)
        return placed

    def _output(self, context: Any, batch: int, name: str) -> Tensor:
        """Where the engine writes an output."""
        own = {} if self._fixed is None else self._fixed[batch]
        if name not in own:
            shape = tuple(context.get_tensor_shape(name))
            own[name] = torch.empty(shape, dtype=self.dtypes[name], device=self._device)
        self._bind(context, name, own[name])
        return own[name]

    def _keep_kernels(self, profile: int) -> None:
        """Store what the library compiled for a profile when it ran for the first time."""
        if self._kernels is not None and profile not in self._ran:
            self._ran.add(profile)
            self._stream.synchronize()
            self._kernels.keep()

    def _placed(self, name: str, tensor: Tensor) -> Tensor:
        """The tensor itself where TensorRT can read it as it is."""
        ready = tensor.to(self.dtypes[name]).contiguous()
        return ready.clone() if ready.data_ptr() % ALIGNMENT else ready

    def _bind(self, context: Any, name: str, tensor: Tensor) -> None:
        self._accepted(context.set_tensor_address(name, tensor.data_ptr()), f"the place of {name}")

    def _accepted(self, answer: bool, what: str) -> None:
        if not answer:
            raise RuntimeError(f"TensorRT refuses {what}; the engine is {self._name}.")
