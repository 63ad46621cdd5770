"""The graphs that are exported: names and shapes of their inputs and outputs, by batch size."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ditto_avatar.face.ditto.networks import RELEASED, MotionDiffusion, Sizes

Shape = tuple[int, ...]
Shapes = Callable[[int], Mapping[str, Shape]]


@dataclass(frozen=True, slots=True)
class GraphSpec:
    """One exported graph: the network it is part of, its input shapes for a batch, and its
    outputs' names. `axes` says where the batch lies in inputs and outputs; `half` whether it may
    run in half precision: what measures and moves stays in float32."""

    name: str
    network: str
    inputs: Shapes
    outputs: tuple[str, ...]
    axes: Mapping[str, int]
    half: bool
    whole: tuple[str, ...] = ("time",)  # inputs of integers

    def examples(self, batch: int, dtype: torch.dtype) -> tuple[Tensor, ...]:
        """Random inputs, as the networks get them."""
        generator = torch.Generator().manual_seed(batch)
        tensors = []
        for name, shape in self.inputs(batch).items():
            if name in self.whole:
                tensors.append(torch.arange(shape[0]) * 100 + 50)
                continue
            scale = 0.2 if name in ("source", "driving") else 1.0
            draw = scale * torch.randn(shape, generator=generator)
            # Keypoints are places: they stay exact beside a picture in half precision.
            exact = name in ("source", "driving")
            tensors.append(draw if exact else draw.to(dtype))
        return tuple(tensors)


class Encode(nn.Module):
    """`MotionDiffusion.encode` as a module of its own."""

    def __init__(self, diffusion: MotionDiffusion) -> None:
        super().__init__()
        self.diffusion = diffusion

    def forward(self, condition: Tensor, start: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.diffusion.encode(condition, start))


class ExportableWarp(nn.Module):
    """The warp network from the volume alone, as the released graph has it."""

    def __init__(self, warp: nn.Module) -> None:
        super().__init__()
        self.warp = warp

    def forward(self, volume: Tensor, source: Tensor, driving: Tensor) -> Tensor:
        features: Tensor = self.warp(volume, source, driving)
        return features


def specs(sizes: Sizes = RELEASED) -> list[GraphSpec]:
    """All graphs that the runners need."""
    crop, feature = sizes.crop, sizes.feature
    points = (sizes.keypoints, 3)
    layers, frames, width = sizes.decoder_layers, sizes.clip_frames, sizes.latent
    volume = (sizes.volume_channels, sizes.volume_depth, feature, feature)

    def rows(**shapes: Shape) -> Shapes:
        return lambda batch: {name: (batch, *shape) for name, shape in shapes.items()}

    def step(batch: int) -> Mapping[str, Shape]:
        context = (layers, 2 * batch, frames, width)
        return {
            "x": (batch, frames, sizes.motion),
            "time": (batch,),
            "pooled": (2 * batch, width),
            "keys": context,
            "values": context,
            "start": (batch, 1, width),
        }

    motions = ("pitch", "yaw", "roll", "translation", "expression", "scale", "keypoints")
    image, pair = rows(image=(3, crop, crop)), rows(source=points, driving=points)
    warp = rows(volume=volume, source=points, driving=points)
    decoder = rows(features=(sizes.feature_channels, feature, feature))
    encode = rows(condition=(frames, sizes.condition), start=(sizes.motion,))
    context = ("pooled", "keys", "values", "first")
    inner = {"keys": 1, "values": 1}
    return [
        GraphSpec(
            "appearance_extractor", "appearance_extractor", image, ("volume",), {}, half=True
        ),
        GraphSpec("motion_extractor", "motion_extractor", image, motions, {}, half=False),
        GraphSpec("stitch_network", "stitch_network", pair, ("stitched",), {}, half=False),
        GraphSpec("warp_network", "warp_network", warp, ("features",), {}, half=True),
        GraphSpec("decoder", "decoder", decoder, ("face",), {}, half=True),
        GraphSpec("lmdm_encode", "lmdm", encode, context, inner, half=False),
        GraphSpec("lmdm_step", "lmdm", step, ("clean",), inner, half=False),
    ]


def module_of(spec: GraphSpec, networks: Mapping[str, Any]) -> nn.Module:
    """The part of the networks that a graph is exported from."""
    network: nn.Module = networks[spec.network]
    if spec.name == "lmdm_encode":
        assert isinstance(network, MotionDiffusion)
        return Encode(network)
    return ExportableWarp(network) if spec.name == "warp_network" else network
