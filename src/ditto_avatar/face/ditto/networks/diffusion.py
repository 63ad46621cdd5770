"""Latent motion diffusion model: from sound and expression to a clip of motion.

A transformer over the clip's frames (Li et al., arXiv 2411.19509; decoder after EDGE, Tseng et
al., arXiv 2211.10658). Each layer attends to the frames, then to the condition, each result
scaled and shifted by the diffusion time (FiLM). It predicts the clean motion.

The work is split by what it depends on. `encode` reads the condition and the frame that the clip
continues: once per clip. `forward` is one diffusion step. Both halves of the guidance, with the
condition and without it, are one batch: the first b rows see it, the last b rows the null
embeddings.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ditto_avatar.face.ditto.networks.sizes import RELEASED, Sizes

GUIDANCE = 2.0
TIME_TOKENS = 2
ROTARY_BASE = 10_000.0


class ClipContext(NamedTuple):
    """What every diffusion step of a clip has in common (b clips, 2 b guidance halves).

    `pooled` (2b, 512) enters FiLM; `keys` and `values` (layers, 2b, 80, 512) are the condition as
    each layer's cross-attention sees it; `start` (b, 1, 512) is the projected first frame.
    """

    pooled: Tensor
    keys: Tensor
    values: Tensor
    start: Tensor


class Rotary(nn.Module):
    """Rotary positions over the whole width, neighbouring numbers in pairs (b, n, 512)."""

    def __init__(self, width: int, positions: int) -> None:
        super().__init__()
        rates = 1.0 / ROTARY_BASE ** (torch.arange(0, width, 2).float() / width)
        angles = torch.arange(positions).float()[:, None] * rates  # (positions, width / 2)
        angles = angles.repeat_interleave(2, dim=-1)
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)
        self.cos: Tensor
        self.sin: Tensor

    def forward(self, x: Tensor, first: int = 0) -> Tensor:
        last = first + x.shape[-2]
        pairs = torch.unflatten(x, -1, (-1, 2))
        turned = torch.stack([-pairs[..., 1], pairs[..., 0]], dim=-1).flatten(-2)
        return x * self.cos[first:last] + turned * self.sin[first:last]


class Attention(nn.Module):
    """Multi-head attention whose values are not rotated; sequences are (b, n, width)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)

    def split(self, x: Tensor) -> Tensor:
        return torch.unflatten(x, -1, (self.heads, -1)).transpose(
            -2, -3
        )  # (b, heads, n, width / heads)

    def attend(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        mixed = F.scaled_dot_product_attention(
            self.split(query), self.split(key), self.split(value)
        )
        y: Tensor = self.out(mixed.transpose(-2, -3).flatten(-2))
        return y

    def forward(self, rotated: Tensor, plain: Tensor) -> Tensor:
        """Self-attention: positions in `rotated`, content in `plain`."""
        return self.attend(self.query(rotated), self.key(rotated), self.value(plain))


class FeedForward(nn.Module):
    """Two linear layers with a GELU between."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.widen = nn.Linear(width, hidden)
        self.narrow = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.narrow(F.gelu(self.widen(x)))
        return y


class EncoderLayer(nn.Module):
    """Self-attention and feed-forward, each behind a norm and added to its input."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(sizes.latent)
        self.attention = Attention(sizes.latent, sizes.heads)
        self.norm2 = nn.LayerNorm(sizes.latent)
        self.feedforward = FeedForward(sizes.latent, sizes.feedforward)

    def forward(self, x: Tensor, rotary: Rotary) -> Tensor:
        y: Tensor = self.norm1(x)
        x = x + self.attention(rotary(y), y)
        y = self.feedforward(self.norm2(x))
        return x + y


class DecoderLayer(nn.Module):
    """Self-attention, cross-attention and feed-forward under FiLM."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        width = sizes.latent
        self.norm1 = nn.LayerNorm(width)
        self.attention = Attention(width, sizes.heads)
        self.norm2 = nn.LayerNorm(width)
        self.cross = Attention(width, sizes.heads)
        self.norm3 = nn.LayerNorm(width)
        self.feedforward = FeedForward(width, sizes.feedforward)
        # Factor and offset for each of the three results; the checkpoint's (factor + 1) is in
        # the bias.
        self.film = nn.Linear(width, 6 * width)

    def forward(
        self, x: Tensor, film: Tensor, keys: Tensor, values: Tensor, rotary: Rotary
    ) -> Tensor:
        f1, o1, f2, o2, f3, o3 = self.film(film)[:, None].chunk(6, dim=-1)  # (2b, 1, 512) each
        y: Tensor = self.norm1(x)
        x = x + self.attention(rotary(y), y) * f1 + o1
        y = self.cross.query(rotary(self.norm2(x)))
        x = x + self.cross.attend(y, keys, values) * f2 + o2
        y = self.feedforward(self.norm3(x))
        x = x + y * f3 + o3
        return x


class MotionDiffusion(nn.Module):
    """Predicts a clip's clean motion (b, 80, 265) from a noisy one."""

    def __init__(self, sizes: Sizes = RELEASED) -> None:
        super().__init__()
        width = sizes.latent
        self.width = width
        self.condition_in = nn.Linear(sizes.condition, width)
        self.encoder = nn.ModuleList(EncoderLayer(sizes) for _ in range(sizes.encoder_layers))
        self.pooled_norm = nn.LayerNorm(width)
        self.pooled_in = nn.Linear(width, width)
        self.pooled_out = nn.Linear(width, width)
        self.null_tokens = nn.Parameter(torch.zeros(1, sizes.clip_frames, width))
        self.null_pooled = nn.Parameter(torch.zeros(1, width))
        self.token_norm = nn.LayerNorm(width)

        self.motion_in = nn.Linear(sizes.motion, width, bias=False)
        self.start_in = nn.Linear(sizes.motion, width)
        self.time_in = nn.Linear(width, 4 * width)
        self.time_film = nn.Linear(4 * width, width)
        self.time_tokens = nn.Linear(4 * width, TIME_TOKENS * width)
        self.rotary = Rotary(width, sizes.clip_frames + TIME_TOKENS)
        self.decoder = nn.ModuleList(DecoderLayer(sizes) for _ in range(sizes.decoder_layers))
        self.motion_out = nn.Linear(width, sizes.motion)

    def encode(self, condition: Tensor, start: Tensor) -> ClipContext:
        """`condition` (b, 80, 1103) and the frame to continue from `start` (b, 265)."""
        x = self.condition_in(condition)  # (b, 80, 512)
        for layer in self.encoder:
            x = layer(x, self.rotary)
        pooled = self.pooled_out(F.silu(self.pooled_in(self.pooled_norm(x.mean(dim=1)))))
        batch = condition.shape[0]
        pooled = torch.cat([pooled, self.null_pooled.expand(batch, -1)])  # (2b, 512)
        tokens = self.token_norm(torch.cat([x, self.null_tokens.expand(batch, -1, -1)]))
        rotated = self.rotary(tokens)  # (2b, 80, 512)
        layers = cast(Iterable[DecoderLayer], self.decoder)
        keys = torch.stack([layer.cross.key(rotated) for layer in layers])
        values = torch.stack([layer.cross.value(tokens) for layer in layers])
        return ClipContext(pooled, keys, values, self.start_in(start)[:, None])

    def embed_time(self, time: Tensor) -> tuple[Tensor, Tensor]:
        """Diffusion times (b,) as FiLM input (b, 512) and tokens (b, 2, 512)."""
        half = self.width // 2
        steps = torch.arange(half, device=time.device, dtype=torch.float32)
        rates = torch.exp(steps * (-math.log(ROTARY_BASE) / (half - 1)))
        angles = time[:, None].float() * rates
        waves = torch.cat([angles.sin(), angles.cos()], dim=-1).to(self.time_in.weight.dtype)
        hidden = F.mish(self.time_in(waves))  # (b, 2048)
        tokens = torch.unflatten(self.time_tokens(hidden), -1, (TIME_TOKENS, -1))
        return self.time_film(hidden), tokens

    def forward(
        self, x: Tensor, time: Tensor, pooled: Tensor, keys: Tensor, values: Tensor, start: Tensor
    ) -> Tensor:
        """One step: noisy motion `x` (b, 80, 265) at `time` (b,) with a `ClipContext`."""
        film, time_tokens = self.embed_time(time)
        film = F.mish(film.repeat(2, 1) + pooled)  # (2b, 512)
        tokens = self.token_norm(time_tokens)
        rotated = self.rotary(tokens, first=keys.shape[2])
        y = self.motion_in(x) + start  # (b, 80, 512)
        y = y.repeat(2, 1, 1)
        for index, layer in enumerate(cast(Iterable[DecoderLayer], self.decoder)):
            key = torch.cat([keys[index], layer.cross.key(rotated).repeat(2, 1, 1)], dim=1)
            value = torch.cat([values[index], layer.cross.value(tokens).repeat(2, 1, 1)], dim=1)
            y = layer(y, film, key, value, self.rotary)
        guided, free = self.motion_out(y).chunk(2)
        clean: Tensor = free + (guided - free) * GUIDANCE
        return clean
