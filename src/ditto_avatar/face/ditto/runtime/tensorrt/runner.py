"""Engines as networks: the call signature of the module they were exported from.

Inputs and outputs are torch tensors on the device; the engine reads and writes them in place.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ditto_avatar.errors import InvalidCheckpoint
from ditto_avatar.face.ditto.runtime.tensorrt.build import load_tensorrt
from ditto_avatar.face.ditto.runtime.tensorrt.graphs import GraphSpec
from ditto_avatar.face.ditto.runtime.tensorrt.plan import BATCHES, profile_for


class EngineRunner:
    """One engine. Calls run on torch's current stream; outputs are allocated by torch.

    Raises `InvalidCheckpoint` for an engine of another TensorRT or GPU, `ValueError` for a batch
    beyond the largest bucket."""

    def __init__(self, path: Path, spec: GraphSpec, batches: Sequence[int] = BATCHES) -> None:
        trt = load_tensorrt()
        self._spec = spec
        self._batches = tuple(batches)
        runtime = trt.Runtime(trt.Logger(trt.Logger.WARNING))
        self._engine: Any = runtime.deserialize_cuda_engine(path.read_bytes())
        if self._engine is None:
            raise InvalidCheckpoint(
                f"{path.name} was built for another GPU or TensorRT; build it again."
            )
        self._contexts = [
            self._engine.create_execution_context() for _ in range(len(self._batches))
        ]
        stream = torch.cuda.current_stream().cuda_stream
        for index, context in enumerate(self._contexts):
            context.set_optimization_profile_async(index, stream)
        kinds = {
            trt.DataType.FLOAT: torch.float32,
            trt.DataType.HALF: torch.float16,
            trt.DataType.INT64: torch.int64,
            trt.DataType.INT32: torch.int32,
        }
        names = [*spec.inputs(1), *spec.outputs]
        self._dtypes = {name: kinds[self._engine.get_tensor_dtype(name)] for name in names}

    def __call__(self, *inputs: Tensor) -> Tensor | tuple[Tensor, ...]:
        batch = inputs[0].shape[0]
        context = self._contexts[profile_for(batch, self._batches)]
        held = []
        for name, tensor in zip(self._spec.inputs(batch), inputs, strict=True):
            ready = tensor.to(self._dtypes[name]).contiguous()
            held.append(ready)
            context.set_input_shape(name, tuple(ready.shape))
            context.set_tensor_address(name, ready.data_ptr())
        outputs = []
        for name in self._spec.outputs:
            shape = tuple(context.get_tensor_shape(name))
            output = torch.empty(shape, dtype=self._dtypes[name], device=inputs[0].device)
            context.set_tensor_address(name, output.data_ptr())
            outputs.append(output)
        context.execute_async_v3(torch.cuda.current_stream().cuda_stream)
        return outputs[0] if len(outputs) == 1 else tuple(outputs)
