"""Functions of batches, of which each is filled up to one of a few sizes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ditto_avatar.face.ditto.networks.paths import Function
from ditto_avatar.face.ditto.runtime.graphs import GraphedFunction


class Bucketed:
    """A function of batches, called with the smallest bucket that holds the batch.

    `axes` says where each input's batch lies. Calls are counted so that a test can see which
    buckets were used."""

    def __init__(
        self, function: Function, axes: Sequence[int], batches: Sequence[int], graphs: bool
    ) -> None:
        self._function = function
        self._axes = tuple(axes)
        self._batches = tuple(sorted(batches))
        self._graphs = graphs
        self._recorded: dict[tuple[tuple[int, ...], ...], GraphedFunction] = {}
        self._pool: object = None

    def compile_ahead(self, *inputs: Tensor) -> None:
        """Call the function once for the bucket of these inputs and record nothing: whatever it
        compiles is there afterwards, for every thread."""
        filled, _ = self._fill(inputs)
        self._function(*filled)

    def __call__(self, *inputs: Tensor) -> Tensor:
        filled, count = self._fill(inputs)
        if not self._graphs:
            plain: Tensor = self._function(*filled)
            return plain[:count]
        key = tuple(tuple(tensor.shape) for tensor in filled)
        if key not in self._recorded:
            self._recorded[key] = GraphedFunction(self._function, filled, self._pool)
            self._pool = self._recorded[key].pool
        return self._recorded[key](*filled)[:count]

    def _fill(self, inputs: Sequence[Tensor]) -> tuple[list[Tensor], int]:
        """The inputs of a whole bucket, and how many of it were given."""
        count = inputs[0].shape[self._axes[0]]
        if count > self._batches[-1]:
            raise ValueError(f"a batch holds at most {self._batches[-1]}, not {count}; split it.")
        bucket = next(size for size in self._batches if size >= count)
        filled = [
            _filled(tensor, axis, bucket) for tensor, axis in zip(inputs, self._axes, strict=True)
        ]
        return filled, count


def _filled(tensor: Tensor, axis: int, size: int) -> Tensor:
    """The batch with its last member repeated up to `size`."""
    missing = size - tensor.shape[axis]
    if missing == 0:
        return tensor
    last = tensor.narrow(axis, tensor.shape[axis] - 1, 1)
    shape = list(last.shape)
    shape[axis] = missing
    return torch.cat([tensor, last.expand(shape)], dim=axis)
