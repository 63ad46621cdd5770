"""A HuBERT as its authors describe it (Hsu et al., arXiv 2106.07447), with seeded weights, written
as ONNX by torch's exporter: what the released audio encoder is made of, in any size."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

WINDOW = 6_480
STRIDES, KERNELS = (5, 2, 2, 2, 2, 2, 2), (10, 3, 3, 3, 3, 2, 2)


@dataclass(frozen=True, slots=True)
class HubertSizes:
    """The defaults are HuBERT large: 315 million weights."""

    channels: int = 512
    width: int = 1024
    heads: int = 16
    inner: int = 4096
    layers: int = 24
    kernel: int = 128
    groups: int = 16


LARGE = HubertSizes()
FEW_LAYERS = HubertSizes(layers=2)
TINY = HubertSizes(channels=16, width=64, heads=4, inner=96, layers=2, kernel=16, groups=4)


class Convolutions(nn.Module):
    """Sound (b, n) to (b, m, channels), 50 rows a second; a norm over channels after each."""

    def __init__(self, sizes: HubertSizes) -> None:
        super().__init__()
        inside = [1, *[sizes.channels] * (len(KERNELS) - 1)]
        self.convs = nn.ModuleList(
            nn.Conv1d(channels, sizes.channels, kernel, stride)
            for channels, kernel, stride in zip(inside, KERNELS, STRIDES, strict=True)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(sizes.channels) for _ in KERNELS)

    def forward(self, sound: Tensor) -> Tensor:
        x = sound[:, None]
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = F.gelu(norm(conv(x).transpose(1, 2)).transpose(1, 2))
        return x.transpose(1, 2)


class Attention(nn.Module):
    def __init__(self, sizes: HubertSizes) -> None:
        super().__init__()
        self.heads, self.size = sizes.heads, sizes.width // sizes.heads
        self.query, self.key, self.value, self.out = (
            nn.Linear(sizes.width, sizes.width) for _ in range(4)
        )

    def split(self, x: Tensor) -> Tensor:
        return x.view(x.shape[0], -1, self.heads, self.size).transpose(1, 2)

    def forward(self, x: Tensor) -> Tensor:
        query = self.split(self.query(x) * self.size**-0.5)
        shares = torch.softmax(query @ self.split(self.key(x)).transpose(2, 3), dim=-1)
        mixed = (shares @ self.split(self.value(x))).transpose(1, 2)
        return self.out(mixed.reshape(x.shape))  # type: ignore[no-any-return]


class Layer(nn.Module):
    def __init__(self, sizes: HubertSizes) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(sizes.width), nn.LayerNorm(sizes.width)
        self.attention = Attention(sizes)
        self.inner = nn.Linear(sizes.width, sizes.inner)
        self.outer = nn.Linear(sizes.inner, sizes.width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm1(x))
        return x + self.outer(F.gelu(self.inner(self.norm2(x))))  # type: ignore[no-any-return]


class Hubert(nn.Module):
    """Sound (b, 6480) to rows (b, 20, width); a linear layer widens narrower ones to 1024."""

    def __init__(self, sizes: HubertSizes) -> None:
        super().__init__()
        self.convolutions = Convolutions(sizes)
        self.norm = nn.LayerNorm(sizes.channels)
        self.project = nn.Linear(sizes.channels, sizes.width)
        self.places = weight_norm(
            nn.Conv1d(
                sizes.width,
                sizes.width,
                sizes.kernel,
                padding=sizes.kernel // 2,
                groups=sizes.groups,
            ),
            dim=2,
        )
        self.layers = nn.ModuleList(Layer(sizes) for _ in range(sizes.layers))
        self.last = nn.LayerNorm(sizes.width)
        self.widen = nn.Identity() if sizes.width == 1024 else nn.Linear(sizes.width, 1024)

    def forward(self, sound: Tensor) -> Tensor:
        x = self.project(self.norm(self.convolutions(sound)))
        places = self.places(x.transpose(1, 2))[..., : x.shape[1]]
        x = x + F.gelu(places).transpose(1, 2)
        for layer in self.layers:
            x = layer(x)
        return self.widen(self.last(x))  # type: ignore[no-any-return]


def seeded_hubert(sizes: HubertSizes) -> Hubert:
    """The network with the same random weights every time; padded in front of the sound so that
    6,480 samples give twenty rows."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = Hubert(sizes).eval().requires_grad_(False)
        for name, parameter in network.named_parameters():
            if name.endswith("bias"):
                parameter.normal_(0, 0.05)
            elif parameter.dim() == 1:
                parameter.add_(0.1 * torch.randn_like(parameter))
    return network


def write_hubert(path: Path, sizes: HubertSizes, opset: int = 17, dynamic: bool = False) -> Path:
    """The network as an ONNX file, its sound's length fixed or open. Before opset 17 a norm is
    nine operators."""
    with warnings.catch_warnings():
        # The tracing exporter is on its way out; the new one needs a package more.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            seeded_hubert(sizes),
            (torch.zeros(1, WINDOW),),
            str(path),
            input_names=["input_values"],
            output_names=["encoding_out"],
            dynamic_axes={"input_values": {0: "b", 1: "n"}} if dynamic else None,
            opset_version=opset,
            dynamo=False,
        )
    return path


def rows_of(samples: int) -> int:
    """How many rows the convolutions make of so many samples."""
    for kernel, stride in zip(KERNELS, STRIDES, strict=True):
        samples = math.floor((samples - kernel) / stride) + 1
    return samples
