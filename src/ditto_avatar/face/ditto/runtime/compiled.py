"""The networks compiled for a GPU: half precision, fused kernels, one graph a batch size.

`torch.compile` fuses what lies between the convolutions; a CUDA graph then replays the whole path
of a frame, or all steps of a clip, in one launch. Batches are filled up to a bucket, so that a
few graphs serve every batch. Without CUDA the same code runs without graphs.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from ditto_avatar.face.ditto.networks import RELEASED, FramePath, Sizes
from ditto_avatar.face.ditto.networks.paths import Function
from ditto_avatar.face.ditto.runtime.base import Runners
from ditto_avatar.face.ditto.runtime.buckets import Bucketed
from ditto_avatar.face.ditto.runtime.eager import Appearance, StepwiseClips, place_networks
from ditto_avatar.face.ditto.runtime.joined import JoinedDiffusion
from ditto_avatar.face.ditto.runtime.kept_graphs import KeptMethod

log = logging.getLogger(__name__)

# By so many the ranges of eight bits are chosen.
SEEN_FACES = 8


@dataclass(frozen=True, slots=True)
class CompileOptions:
    """`compiler` is torch.compile's backend (None: not compiled), `tune` lets it try variants of
    kernels, which takes minutes, `graphs` records CUDA graphs, `channels_last` lays pictures out
    as tensor cores read them, `fused` takes the kernels of our own (`fused.support` says where they
    run), `eight_bits` lets them multiply integers of eight bits, which are scaled by faces of
    `sizes`, `motion_dtype` is what the diffusion model computes in, `kept` is the folder of
    `kept_graphs` (None: nothing is kept)."""

    compiler: str | None = "inductor"
    tune: bool = False
    graphs: bool = True
    channels_last: bool = True
    fused: bool = False
    eight_bits: bool = False
    sizes: Sizes = RELEASED
    motion_dtype: torch.dtype = torch.float16
    batches: tuple[int, ...] = (1, 4, 8, 16)
    clip_batches: tuple[int, ...] = (1, 4, 16)
    kept: Path | None = None

    @property
    def backend(self) -> str:
        """The name in the table of backends."""
        if self.fused:
            return "fused int8" if self.eight_bits else "fused"
        return "graphs" if self.compiler is None else "compiled"


def compiled_runners(
    networks: Mapping[str, nn.Module],
    device: torch.device,
    dtype: torch.dtype = torch.float16,
    options: CompileOptions | None = None,
) -> Runners:
    """Runners that are compiled at their first call of each size; `warm_up` does it beforehand."""
    options = options or CompileOptions()
    appearance, motion, frame, diffusion = place_networks(networks, device, dtype)
    if options.channels_last:
        frame.decoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        frame.warp.hourglass.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        frame.warp.heads.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        frame.warp.third.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        frame.warp.fourth.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if options.fused:
        # Imported where it runs: Triton is not installed everywhere.
        from ditto_avatar.face.ditto.runtime.fused.path import fused_path

        features = _some_features(appearance, frame, options.sizes) if options.eight_bits else None
        frame = fused_path(frame, features)
    # It copies the weights: should this backend fail, the next one must not find rounded ones.
    steps = JoinedDiffusion(diffusion).to(options.motion_dtype)
    graphs = options.graphs and device.type == "cuda"
    mode = "max-autotune-no-cudagraphs" if options.tune else None

    # For each bucket anew: kernels that know the batch are a few percent quicker.
    compile_method = partial(
        torch.compile, backend=options.compiler, fullgraph=True, dynamic=False, mode=mode
    )

    def compiled(owner: nn.Module, method: str = "forward") -> Function:
        plain: Function = getattr(owner, method)
        if options.compiler is None:
            return plain
        if options.kept is None:
            fast: Function = compile_method(plain)
            return fast
        # Which batches there are changes none of them.
        settings = repr(replace(options, kept=None, batches=(), clip_batches=()))
        return KeptMethod(owner, method, compile_method, options.kept, options.backend, settings)

    def bucketed(function: Function, axes: Sequence[int], batches: Sequence[int]) -> Function:
        return Bucketed(function, axes, batches, graphs)

    return Runners(
        options.backend,
        device,
        dtype,
        appearance=appearance,
        compress=frame.warp.compress,
        motion=motion,
        frame=bucketed(compiled(frame), (0, 0, 0, 0), options.batches),
        clip=StepwiseClips(
            compiled(steps, "encode"),
            compiled(steps),
            options.motion_dtype,
            lambda path: bucketed(path, (0, 0, 0, 1), options.clip_batches),
        ),
        batches=options.batches,
        clip_batches=options.clip_batches,
    )


@torch.inference_mode()
def _some_features(appearance: Appearance, frame: FramePath, sizes: Sizes) -> Tensor:
    """What the decoder gets of a random face that is moved a little, in some poses:
    (8, 256, 64, 64)."""
    generator = torch.Generator().manual_seed(0)
    device = next(frame.warp.parameters()).device

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator).to(device)

    volume = appearance(torch.sigmoid(draw(1, 3, sizes.crop, sizes.crop)))
    source = 0.2 * draw(SEEN_FACES, sizes.keypoints, 3)
    driving = source + 0.05 * draw(SEEN_FACES, sizes.keypoints, 3)
    # One by one: eager networks take much memory.
    poses = zip(torch.split(source, 1), torch.split(driving, 1), strict=True)
    return torch.cat([frame.warp(volume, *pose) for pose in poses])
