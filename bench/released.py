"""The Ditto networks laid out as they are released, to measure against: nothing folded, nothing
merged, one operator at a time. Weights go in under the checkpoint's own names."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import spectral_norm


class Block2d(nn.Module):
    """Convolution, batch norm, activation."""

    def __init__(self, inside: int, outside: int, slope: float = 0.0) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inside, outside, 3, padding=1)
        self.norm = nn.BatchNorm2d(outside)
        self.slope = slope

    def forward(self, x: Tensor) -> Tensor:
        return F.leaky_relu(self.norm(self.conv(x)), self.slope)


class Block3d(nn.Module):
    def __init__(self, inside: int, outside: int, up: bool = False, down: bool = False) -> None:
        super().__init__()
        self.conv = nn.Conv3d(inside, outside, 3, padding=1)
        self.norm = nn.BatchNorm3d(outside)
        self.up, self.down = up, down

    def forward(self, x: Tensor) -> Tensor:
        if self.up:
            x = F.interpolate(x, scale_factor=(1.0, 2.0, 2.0))
        x = F.relu(self.norm(self.conv(x)))
        return F.avg_pool3d(x, (1, 2, 2)) if self.down else x


class Encoder(nn.Module):
    def __init__(self, widths: list[int]) -> None:
        super().__init__()
        self.down_blocks = nn.ModuleList(Block3d(a, b, down=True) for a, b in pairwise(widths))

    def forward(self, x: Tensor) -> list[Tensor]:
        outputs = [x]
        for block in self.down_blocks:
            outputs.append(block(outputs[-1]))
        return outputs


class HourglassDecoder(nn.Module):
    def __init__(self, widths: list[int], inside: int) -> None:
        super().__init__()
        self.up_blocks = nn.ModuleList(
            Block3d(2 * widths[i + 1] if i < 4 else widths[i + 1], widths[i], up=True)
            for i in reversed(range(5))
        )
        self.conv = nn.Conv3d(widths[0] + inside, widths[0] + inside, 3, padding=1)
        self.norm = nn.BatchNorm3d(widths[0] + inside)

    def forward(self, outputs: list[Tensor]) -> Tensor:
        x = outputs.pop()
        for block in self.up_blocks:
            x = torch.cat([block(x), outputs.pop()], dim=1)
        return F.relu(self.norm(self.conv(x)))


class Hourglass(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        widths = [32 * 2**level for level in range(6)]
        self.encoder = Encoder([110, *widths[1:]])
        self.decoder = HourglassDecoder(widths, 110)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.decoder(self.encoder(x))
        return result


def grid(depth: int, height: int, width: int, like: Tensor) -> Tensor:
    axes = [
        2 * torch.arange(n, device=like.device, dtype=like.dtype) / (n - 1) - 1
        for n in (depth, height, width)
    ]
    z, y, x = torch.meshgrid(*axes, indexing="ij")
    return torch.stack([x, y, z], dim=-1)


class DenseMotion(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.hourglass = Hourglass()
        self.mask = nn.Conv3d(142, 22, 7, padding=3)
        self.compress = nn.Conv3d(32, 4, 1)
        self.norm = nn.BatchNorm3d(4)
        self.occlusion = nn.Conv2d(142 * 16, 1, 7, padding=3)

    def forward(self, volume: Tensor, source: Tensor, driving: Tensor) -> tuple[Tensor, Tensor]:
        x = F.relu(self.norm(self.compress(volume)))
        b, c, d, h, w = x.shape
        rest = grid(d, h, w, source)[None, None]
        moved = rest - driving[:, :, None, None, None] + source[:, :, None, None, None]
        motions = torch.cat([rest.expand(b, -1, -1, -1, -1, -1), moved], dim=1)
        repeated = x[:, None].expand(-1, 22, -1, -1, -1, -1).reshape(b * 22, c, d, h, w)
        sampled = F.grid_sample(repeated, motions.reshape(b * 22, d, h, w, 3), align_corners=False)
        heat = [
            torch.exp(-50 * (rest - kp[:, :, None, None, None]).square().sum(-1))
            for kp in (driving, source)
        ]
        difference = F.pad(heat[0] - heat[1], (0, 0, 0, 0, 0, 0, 1, 0))
        joined = torch.cat([difference[:, :, None], sampled.view(b, 22, c, d, h, w)], dim=2)
        x = self.hourglass(joined.flatten(1, 2))
        mask = self.mask(x).softmax(dim=1)[:, :, None]
        flow = (motions.permute(0, 1, 5, 2, 3, 4) * mask).sum(dim=1).permute(0, 2, 3, 4, 1)
        return flow, torch.sigmoid(self.occlusion(x.flatten(1, 2)))


class ReleasedWarp(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.dense_motion_network = DenseMotion()
        self.third = Block2d(512, 256, slope=0.01)
        self.fourth = nn.Conv2d(256, 256, 1)

    def forward(self, volume: Tensor, source: Tensor, driving: Tensor) -> Tensor:
        flow, occlusion = self.dense_motion_network(volume, source, driving)
        x = F.grid_sample(volume, flow, align_corners=False).flatten(1, 2)
        result: Tensor = self.fourth(self.third(x)) * occlusion
        return result


class Spade(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mlp_shared = nn.Sequential(nn.Conv2d(256, 128, 3, padding=1), nn.ReLU())
        self.mlp_gamma = nn.Conv2d(128, channels, 3, padding=1)
        self.mlp_beta = nn.Conv2d(128, channels, 3, padding=1)

    def forward(self, x: Tensor, features: Tensor) -> Tensor:
        size = [int(side) for side in x.shape[2:]]
        hidden = self.mlp_shared(F.interpolate(features, size=size, mode="nearest"))
        result: Tensor = F.instance_norm(x) * (1 + self.mlp_gamma(hidden)) + self.mlp_beta(hidden)
        return result


class SpadeResnet(nn.Module):
    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        middle = min(inside, outside)
        self.conv_0 = spectral_norm(nn.Conv2d(inside, middle, 3, padding=1))
        self.conv_1 = spectral_norm(nn.Conv2d(middle, outside, 3, padding=1))
        self.norm_0, self.norm_1 = Spade(inside), Spade(middle)
        self.learned = inside != outside
        if self.learned:
            self.conv_s = spectral_norm(nn.Conv2d(inside, outside, 1, bias=False))
            self.norm_s = Spade(inside)

    def forward(self, x: Tensor, features: Tensor) -> Tensor:
        short = self.conv_s(self.norm_s(x, features)) if self.learned else x
        y = self.conv_0(F.leaky_relu(self.norm_0(x, features), 0.2))
        y = self.conv_1(F.leaky_relu(self.norm_1(y, features), 0.2))
        result: Tensor = short + y
        return result


class ReleasedDecoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Conv2d(256, 512, 3, padding=1)
        for index in range(6):
            setattr(self, f"G_middle_{index}", SpadeResnet(512, 512))
        self.up_0, self.up_1 = SpadeResnet(512, 256), SpadeResnet(256, 64)
        self.conv_img = nn.Sequential(nn.Conv2d(64, 12, 3, padding=1), nn.PixelShuffle(2))

    def forward(self, features: Tensor) -> Tensor:
        x = self.fc(features)
        for index in range(6):
            x = getattr(self, f"G_middle_{index}")(x, features)
        x = self.up_0(F.interpolate(x, scale_factor=2.0), features)
        x = self.up_1(F.interpolate(x, scale_factor=2.0), features)
        return torch.sigmoid(self.conv_img(F.leaky_relu(x, 0.2)))


class Rotation(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("freqs", torch.zeros(256))
        self.freqs: Tensor

    def forward(self, x: Tensor) -> Tensor:
        places = torch.arange(x.shape[1], device=x.device).float()
        angles = (places[:, None] * self.freqs).repeat_interleave(2, dim=-1)
        pairs = torch.unflatten(x, -1, (-1, 2))
        turned = torch.stack([-pairs[..., 1], pairs[..., 0]], dim=-1).flatten(-2)
        return x * angles.cos() + turned * angles.sin()


class EncoderLayer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.self_attn = nn.MultiheadAttention(512, 8, batch_first=True)
        self.linear1, self.linear2 = nn.Linear(512, 1024), nn.Linear(1024, 512)
        self.norm1, self.norm2 = nn.LayerNorm(512), nn.LayerNorm(512)
        self.rotary = Rotation()

    def attend(self, x: Tensor) -> Tensor:
        turned = self.rotary(x)
        result: Tensor = self.self_attn(turned, turned, x, need_weights=False)[0]
        return result

    def feed(self, x: Tensor) -> Tensor:
        result: Tensor = self.linear2(F.gelu(self.linear1(x)))
        return result

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attend(self.norm1(x))
        return x + self.feed(self.norm2(x))


class Film(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.block = nn.Sequential(nn.Mish(), nn.Linear(512, 1024))

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        factor, offset = self.block(time)[:, None].chunk(2, dim=-1)
        result: Tensor = (factor + 1) * x + offset
        return result


class DecoderLayer(EncoderLayer):
    def __init__(self) -> None:
        super().__init__()
        self.multihead_attn = nn.MultiheadAttention(512, 8, batch_first=True)
        self.norm3 = nn.LayerNorm(512)
        self.film1, self.film2, self.film3 = Film(), Film(), Film()

    def look(self, x: Tensor, memory: Tensor) -> Tensor:
        query, key = self.rotary(x), self.rotary(memory)
        result: Tensor = self.multihead_attn(query, key, memory, need_weights=False)[0]
        return result

    def step(self, x: Tensor, memory: Tensor, time: Tensor) -> Tensor:
        x = x + self.film1(self.attend(self.norm1(x)), time)
        x = x + self.film2(self.look(self.norm2(x), memory), time)
        result: Tensor = x + self.film3(self.feed(self.norm3(x)), time)
        return result


class Waves(nn.Module):
    def forward(self, time: Tensor) -> Tensor:
        rates = torch.exp(torch.arange(256, device=time.device) * (-math.log(10000) / 255))
        angles = time[:, None] * rates
        return torch.cat([angles.sin(), angles.cos()], dim=-1)


class Stack(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stack = nn.ModuleList(DecoderLayer() for _ in range(8))


class ReleasedDiffusion(nn.Module):
    """One guided step: two passes, each with the condition encoder."""

    def __init__(self) -> None:
        super().__init__()
        self.null_cond_embed = nn.Parameter(torch.zeros(1, 80, 512))
        self.null_cond_hidden = nn.Parameter(torch.zeros(1, 512))
        self.rotary = Rotation()
        self.time_mlp = nn.Sequential(Waves(), nn.Linear(512, 2048), nn.Mish())
        self.to_time_cond = nn.Sequential(nn.Linear(2048, 512))
        self.to_time_tokens = nn.Sequential(nn.Linear(2048, 1024))
        self.norm_cond = nn.LayerNorm(512)
        self.input_projection = nn.Linear(530, 512)
        self.cond_encoder = nn.Sequential(EncoderLayer(), EncoderLayer())
        self.cond_projection = nn.Linear(1103, 512)
        self.non_attn_cond_projection = nn.Sequential(
            nn.LayerNorm(512), nn.Linear(512, 512), nn.SiLU(), nn.Linear(512, 512)
        )
        self.seqTransDecoder = Stack()
        self.final_layer = nn.Linear(512, 265)

    def once(self, x: Tensor, first: Tensor, cond: Tensor, time: Tensor, free: bool) -> Tensor:
        x = self.input_projection(torch.cat([x, first[:, None].expand(-1, 80, -1)], dim=-1))
        tokens = self.cond_encoder(self.cond_projection(cond))
        if free:
            tokens = self.null_cond_embed.expand_as(tokens)
        hidden = self.non_attn_cond_projection(tokens.mean(dim=1))
        if free:
            hidden = self.null_cond_hidden.expand_as(hidden)
        waves = self.time_mlp(time)
        film = self.to_time_cond(waves) + hidden
        times = torch.unflatten(self.to_time_tokens(waves), -1, (2, 512))
        memory = self.norm_cond(torch.cat([tokens, times], dim=1))
        for layer in self.seqTransDecoder.stack:
            assert isinstance(layer, DecoderLayer)
            x = layer.step(x, memory, film)
        result: Tensor = self.final_layer(x)
        return result

    def forward(self, x: Tensor, first: Tensor, cond: Tensor, time: Tensor) -> Tensor:
        free = self.once(x, first, cond, time, True)
        return free + (self.once(x, first, cond, time, False) - free) * 2
