"""The diffusion model with fewer, larger products a step, made from the plain one: called as that
is, and computing the same.

A step of one viewer is some ten GFLOP in hundreds of launches: its time is their number. What
depends on the diffusion time alone is looked up instead of computed, and products of the same
numbers are one.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ditto_avatar.face.ditto.networks import MotionDiffusion
from ditto_avatar.face.ditto.networks.diffusion import (
    GUIDANCE,
    Attention,
    ClipContext,
    DecoderLayer,
    Rotary,
)
from ditto_avatar.face.ditto.sampler import TRAINING_STEPS


def joined(layers: Iterable[nn.Linear]) -> nn.Linear:
    """Linear layers of one input as one, their outputs side by side."""
    layers = list(layers)
    weight = torch.cat([layer.weight.detach() for layer in layers])
    result = nn.Linear(weight.shape[1], weight.shape[0], device="meta")
    result.weight = nn.Parameter(weight, requires_grad=False)
    bias = torch.cat([layer.bias.detach() for layer in layers])
    result.bias = nn.Parameter(bias, requires_grad=False)
    return result


class JoinedAttention(nn.Module):
    """Self-attention (b, n, 512) whose queries and keys, both of rotated content, are one
    product."""

    def __init__(self, plain: Attention) -> None:
        super().__init__()
        self.plain = plain
        self.query_key = joined((plain.query, plain.key))

    def forward(self, rotated: Tensor, content: Tensor) -> Tensor:
        query, key = self.query_key(rotated).chunk(2, dim=-1)
        return self.plain.attend(query, key, self.plain.value(content))


class JoinedLayer(nn.Module):
    """A `DecoderLayer` that is given its factors and offsets (2b, 6, 512)."""

    def __init__(self, plain: DecoderLayer) -> None:
        super().__init__()
        self.plain = plain
        self.attention = JoinedAttention(plain.attention)

    def forward(
        self, x: Tensor, film: Tensor, keys: Tensor, values: Tensor, rotary: Rotary
    ) -> Tensor:
        plain = self.plain
        f1, o1, f2, o2, f3, o3 = film[:, :, None].unbind(1)  # (2b, 1, 512) each
        y: Tensor = plain.norm1(x)
        x = x + self.attention(rotary(y), y) * f1 + o1
        y = plain.cross.query(rotary(plain.norm2(x)))
        x = x + plain.cross.attend(y, keys, values) * f2 + o2
        y = plain.feedforward(plain.norm3(x))
        return x + y * f3 + o3


class JoinedDiffusion(nn.Module):
    """A `MotionDiffusion` of copied weights. To be made in single precision and cast afterwards:
    angles of a thousand times are not for half precision."""

    film_of_time: Tensor
    keys_of_time: Tensor
    values_of_time: Tensor

    def __init__(self, plain: MotionDiffusion) -> None:
        super().__init__()
        self.plain = plain = copy.deepcopy(plain)
        layers = [cast(DecoderLayer, layer) for layer in plain.decoder]
        self.layers = nn.ModuleList(JoinedLayer(layer) for layer in layers)
        self.film = joined(layer.film for layer in layers)
        with torch.no_grad():
            times = torch.arange(TRAINING_STEPS, device=self.film.weight.device)
            film, tokens = plain.embed_time(times)  # (1000, 512), (1000, 2, 512)
            tokens = plain.token_norm(tokens)
            rotated = plain.rotary(tokens, first=plain.null_tokens.shape[1])
            keys = torch.stack([layer.cross.key(rotated) for layer in layers], dim=1)
            values = torch.stack([layer.cross.value(tokens) for layer in layers], dim=1)
        self.register_buffer("film_of_time", film)
        self.register_buffer("keys_of_time", keys)  # (1000, layers, 2, 512)
        self.register_buffer("values_of_time", values)
        for layer in layers:  # what the joined ones stand for
            del layer.film, layer.attention.query, layer.attention.key
        del plain.time_in, plain.time_film, plain.time_tokens

    def encode(self, condition: Tensor, start: Tensor) -> ClipContext:
        return self.plain.encode(condition, start)

    def forward(
        self, x: Tensor, time: Tensor, pooled: Tensor, keys: Tensor, values: Tensor, start: Tensor
    ) -> Tensor:
        film = F.mish(self.film_of_time[time].repeat(2, 1) + pooled)  # (2b, 512)
        film = self.film(film).reshape(len(film), len(self.layers), 6, -1)
        keys = torch.cat([keys, _for_both_halves(self.keys_of_time[time])], dim=2)
        values = torch.cat([values, _for_both_halves(self.values_of_time[time])], dim=2)
        y = self.plain.motion_in(x) + start  # (b, 80, 512)
        y = y.repeat(2, 1, 1)
        for index, layer in enumerate(self.layers):
            y = layer(y, film[:, index], keys[index], values[index], self.plain.rotary)
        guided, free = self.plain.motion_out(y).chunk(2)
        clean: Tensor = free + (guided - free) * GUIDANCE
        return clean


def _for_both_halves(of_time: Tensor) -> Tensor:
    """(b, layers, 2, 512) to (layers, 2b, 2, 512)"""
    return of_time.transpose(0, 1).repeat(1, 2, 1, 1)
