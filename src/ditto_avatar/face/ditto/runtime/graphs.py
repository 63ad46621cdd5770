"""CUDA graphs: a function's kernels recorded once and replayed without Python."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Function = Callable[..., Tensor]
WARM_UP = 3


class GraphedFunction:
    """A function of tensors, recorded for fixed shapes.

    Inputs are copied into the recording's own; the result is the recording's own too and is
    overwritten by the next call. Raises `ValueError` for other shapes than recorded."""

    def __init__(self, function: Function, examples: Sequence[Tensor], pool: object = None) -> None:
        self._inputs = [example.clone() for example in examples]
        side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARM_UP):
                function(*self._inputs)
        torch.cuda.current_stream().wait_stream(side)
        self._graph = torch.cuda.CUDAGraph()
        # Other threads may ask the driver for memory meanwhile: registrations, the preparation of
        # another backend.
        with torch.cuda.graph(
            self._graph,
            pool=pool,  # type: ignore[arg-type]
            capture_error_mode="thread_local",
        ):
            self._output = function(*self._inputs)

    @property
    def pool(self) -> object:
        """The memory that further recordings may share, as they never run at the same time."""
        return self._graph.pool()

    def __call__(self, *inputs: Tensor) -> Tensor:
        for own, given in zip(self._inputs, inputs, strict=True):
            if own.shape != given.shape or own.dtype != given.dtype:
                raise ValueError(
                    f"recorded for {tuple(own.shape)} {own.dtype}, called with "
                    f"{tuple(given.shape)} {given.dtype}; pad the batch to a recorded size."
                )
            own.copy_(given, non_blocking=True)
        self._graph.replay()
        return self._output
