"""The networks compiled for a GPU: half precision, fused kernels, one graph a batch size.

`torch.compile` fuses what lies between the convolutions; a CUDA graph then replays the whole path
of a frame, or all steps of a clip, in one launch. Batches are filled up to a bucket, so that a
few graphs serve every batch. Without CUDA the same code runs without graphs.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ditto_avatar.face.ditto.runtime.base import Runners
from ditto_avatar.face.ditto.runtime.eager import StepwiseClips, place_networks
from ditto_avatar.face.ditto.runtime.graphs import GraphedFunction

log = logging.getLogger(__name__)

Function = Callable[..., Tensor]


@dataclass(frozen=True, slots=True)
class CompileOptions:
    """`compiler` is torch.compile's backend (None: not compiled), `tune` lets it try variants of
    kernels, which takes minutes, `graphs` records CUDA graphs, `channels_last` lays pictures out
    as tensor cores read them, `motion_dtype` is what the diffusion model computes in."""

    compiler: str | None = "inductor"
    tune: bool = False
    graphs: bool = True
    channels_last: bool = True
    motion_dtype: torch.dtype = torch.float16
    batches: tuple[int, ...] = (1, 2, 4, 8)


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

    def __call__(self, *inputs: Tensor) -> Tensor:
        count = inputs[0].shape[self._axes[0]]
        if count > self._batches[-1]:
            raise ValueError(f"a batch holds at most {self._batches[-1]}, not {count}; split it.")
        bucket = next(size for size in self._batches if size >= count)
        filled = [
            _filled(tensor, axis, bucket) for tensor, axis in zip(inputs, self._axes, strict=True)
        ]
        if not self._graphs:
            return self._function(*filled)[:count]
        key = tuple(tuple(tensor.shape) for tensor in filled)
        if key not in self._recorded:
            self._recorded[key] = GraphedFunction(self._function, filled, self._pool)
            self._pool = self._recorded[key].pool
        return self._recorded[key](*filled)[:count]


def _filled(tensor: Tensor, axis: int, size: int) -> Tensor:
    """The batch with its last member repeated up to `size`."""
    missing = size - tensor.shape[axis]
    if missing == 0:
        return tensor
    last = tensor.narrow(axis, tensor.shape[axis] - 1, 1)
    shape = list(last.shape)
    shape[axis] = missing
    return torch.cat([tensor, last.expand(shape)], dim=axis)


class CompiledClips:
    """Clips of any number of steps, each number a path of its own."""

    def __init__(self, clips: StepwiseClips, make: Callable[[nn.Module], Function]) -> None:
        self._clips = clips
        self._make = make
        self._made: dict[int, Function] = {}

    def __call__(self, condition: Tensor, first: Tensor, start: Tensor, noises: Tensor) -> Tensor:
        steps = len(noises) + 1
        if steps not in self._made:
            self._made[steps] = self._make(self._clips.path(steps))
        return self._made[steps](condition, first, start, noises)


def compiled_runners(
    networks: Mapping[str, nn.Module],
    device: torch.device,
    dtype: torch.dtype = torch.float16,
    options: CompileOptions | None = None,
) -> Runners:
    """Runners that are compiled at their first call of each size; `warm_up` does it beforehand."""
    options = options or CompileOptions()
    appearance, motion, frame, diffusion = place_networks(networks, device, dtype)
    diffusion.to(options.motion_dtype)
    if options.channels_last:
        frame.decoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        frame.warp.hourglass.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        frame.warp.mask.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    graphs = options.graphs and device.type == "cuda"

    def made(module: nn.Module, axes: Sequence[int]) -> Function:
        function: Function = module
        if options.compiler is not None:
            mode = "max-autotune-no-cudagraphs" if options.tune else None
            function = torch.compile(
                module, backend=options.compiler, fullgraph=True, dynamic=False, mode=mode
            )
        return Bucketed(function, axes, options.batches, graphs)

    return Runners(
        "compiled",
        device,
        dtype,
        appearance=appearance,
        compress=frame.warp.compress,
        motion=motion,
        frame=made(frame, (0, 0, 0, 0)),
        clip=CompiledClips(StepwiseClips(diffusion), lambda path: made(path, (0, 0, 0, 1))),
        batches=options.batches,
    )
