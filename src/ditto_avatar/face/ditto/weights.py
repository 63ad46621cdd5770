"""From the released checkpoint's tensors to the networks' own, folded on the way.

`load_network("decoder", path)` reads a `.pth` with `weights_only=True`, holds its tensors against
the manifest and returns the network. `from_tensors` does the same for tensors in memory.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ditto_avatar.errors import InvalidCheckpoint
from ditto_avatar.face.ditto.networks import (
    RELEASED,
    AppearanceExtractor,
    Decoder,
    MotionDiffusion,
    MotionExtractor,
    StitchNetwork,
    WarpNetwork,
)
from ditto_avatar.face.ditto.networks.warp import rounded_up

Tensors = Mapping[str, Tensor]
State = dict[str, Tensor]
NORM_EPSILON = 1e-5  # torch's default, which the released networks use


@dataclass(frozen=True, slots=True)
class NetworkFile:
    """One released file: its name, the key the tensors lie under (None for the top), the prefix
    of their names, and each tensor's shape."""

    file: str
    container: str | None
    prefix: str
    shapes: Mapping[str, tuple[int, ...]]


@cache
def manifest() -> Mapping[str, NetworkFile]:
    """Every tensor of the released networks, by network name."""
    text = resources.files(__package__).joinpath("manifest.json").read_text("utf-8")
    return {
        name: NetworkFile(
            entry["file"],
            entry["container"],
            entry["key_prefix"],
            {tensor: tuple(shape) for tensor, shape in entry["tensors"].items()},
        )
        for name, entry in json.loads(text).items()
    }


def check_tensors(network: str, tensors: Mapping[str, Any], where: str) -> None:
    """Raises `InvalidCheckpoint` naming the first tensor that is missing, misshapen or extra."""
    shapes = manifest()[network].shapes
    for name, shape in shapes.items():
        if name not in tensors:
            raise InvalidCheckpoint(f"{where}: tensor {name} of shape {shape} is missing.")
        found = tuple(tensors[name].shape) if isinstance(tensors[name], Tensor) else None
        if found != shape:
            came = "no tensor" if found is None else f"shape {found}"
            raise InvalidCheckpoint(
                f"{where}: tensor {name} should have shape {shape}, not {came}."
            )
    extra = sorted(set(tensors) - set(shapes))
    if extra:
        raise InvalidCheckpoint(
            f"{where}: tensor {extra[0]} does not belong to the {network.replace('_', ' ')}"
            + (f" (nor do {len(extra) - 1} more)." if len(extra) > 1 else ".")
        )


def read_tensors(network: str, path: Path) -> State:
    """The checked tensors of a released `.pth`, prefixes removed. Raises `InvalidCheckpoint`."""
    entry = manifest()[network]
    if not path.is_file():
        raise InvalidCheckpoint(
            f"{path} is missing; `ditto-avatar checkpoints download` fetches the checkpoints."
        )
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError as error:
        raise InvalidCheckpoint(
            f"{path} holds more than tensors and was not opened; download it again."
        ) from error
    except (RuntimeError, EOFError, ValueError, OSError) as error:
        raise InvalidCheckpoint(
            f"{path} is damaged or cut short and cannot be read; download it again."
        ) from error
    if entry.container is not None:
        if not isinstance(content, dict) or entry.container not in content:
            raise InvalidCheckpoint(f"{path} should hold its tensors under {entry.container!r}.")
        content = content[entry.container]
    if not isinstance(content, dict):
        raise InvalidCheckpoint(f"{path} should hold named tensors, not {type(content).__name__}.")
    tensors = {str(name).removeprefix(entry.prefix): value for name, value in content.items()}
    check_tensors(network, tensors, str(path))
    return tensors


def load_network(network: str, path: Path) -> nn.Module:
    """The network of that name in the manifest, float32 on the CPU, in evaluation mode."""
    return build_network(network, read_tensors(network, path))


def from_tensors(network: str, tensors: Tensors) -> nn.Module:
    """As `load_network`, from tensors under the checkpoint's names (prefixes removed)."""
    check_tensors(network, tensors, network)
    return build_network(network, tensors)


def build_network(network: str, tensors: Tensors) -> nn.Module:
    build, convert = BUILDERS[network]
    module = build()
    module.load_state_dict(convert(tensors), assign=True)
    return module.eval().requires_grad_(False)


# Folding ------------------------------------------------------------------------------------


def norm_affine(tensors: Tensors, name: str) -> tuple[Tensor, Tensor]:
    """A batch norm in evaluation as factor and offset (c,): x * factor + offset."""
    deviation = (tensors[f"{name}.running_var"].double() + NORM_EPSILON).sqrt()
    factor = tensors[f"{name}.weight"].double() / deviation
    offset = tensors[f"{name}.bias"].double() - tensors[f"{name}.running_mean"].double() * factor
    return factor, offset


def normed_conv(tensors: Tensors, conv: str, norm: str) -> State:
    """A convolution with the batch norm that follows it, as one: the norm is linear in each
    output channel, so it scales that channel's kernel and moves its bias."""
    factor, offset = norm_affine(tensors, norm)
    weight = tensors[f"{conv}.weight"].double()
    weight = weight * factor.view(-1, *(1,) * (weight.ndim - 1))
    bias = tensors[f"{conv}.bias"].double() * factor + offset
    return {"weight": weight.float(), "bias": bias.float()}


def plain(tensors: Tensors, name: str) -> State:
    """Weight and bias as they are."""
    return {"weight": tensors[f"{name}.weight"], "bias": tensors[f"{name}.bias"]}


def spectral_conv(tensors: Tensors, name: str) -> State:
    """A spectrally normalised convolution: the stored weight over its largest singular value, as
    the stored vectors u and v tell it."""
    weight = tensors[f"{name}.weight_orig"]
    sigma = torch.dot(
        tensors[f"{name}.weight_u"], torch.mv(weight.flatten(1), tensors[f"{name}.weight_v"])
    )
    state = {"weight": weight / sigma}
    if f"{name}.bias" in tensors:
        state["bias"] = tensors[f"{name}.bias"]
    return state


def stacked(*states: State) -> State:
    """Layers that read the same input as one layer with all their outputs."""
    return {key: torch.cat([state[key] for state in states]) for key in states[0]}


def upsampled(state: State, factor: int) -> State:
    """A 3×3 convolution of a map upsampled by `factor` (nearest) as a transposed convolution of
    the map itself: stride `factor`, padding 1, kernel the 3×3 one widened by the box of the
    upsampling."""
    weight = state["weight"].double().flip(2, 3)  # (out, in, 3, 3)
    outside, inside, height, width = weight.shape
    wide = weight.new_zeros(outside, inside, height + factor - 1, width + factor - 1)
    for row in range(factor):
        for column in range(factor):
            wide[:, :, row : row + height, column : column + width] += weight
    return {"weight": wide.transpose(0, 1).float().contiguous(), "bias": state["bias"]}


def prefixed(parts: Mapping[str, State]) -> State:
    """{'a': {'weight': …}} as {'a.weight': …}."""
    return {f"{name}.{key}": value for name, state in parts.items() for key, value in state.items()}


# The networks -------------------------------------------------------------------------------


def convert_appearance(t: Tensors) -> State:
    parts = {
        "first": normed_conv(t, "first.conv", "first.norm"),
        "down1": normed_conv(t, "down_blocks.0.conv", "down_blocks.0.norm"),
        "down2": normed_conv(t, "down_blocks.1.conv", "down_blocks.1.norm"),
        "expand": plain(t, "second"),
    }
    for index in range(RELEASED.appearance_residuals):
        old, new = f"resblocks_3d.3dr{index}", f"residuals.{index}"
        factor, offset = norm_affine(t, f"{old}.norm1")
        parts[f"{new}.norm"] = {
            "factor": factor.float().view(-1, 1, 1, 1),
            "offset": offset.float().view(-1, 1, 1, 1),
        }
        parts[f"{new}.conv1"] = normed_conv(t, f"{old}.conv1", f"{old}.norm2")
        parts[f"{new}.conv2"] = plain(t, f"{old}.conv2")
    return prefixed(parts)


def convert_pose(t: Tensors) -> State:
    parts = {
        "stem": plain(t, "detector.downsample_layers.0.0"),
        "stem_norm": plain(t, "detector.downsample_layers.0.1"),
        "norm": plain(t, "detector.norm"),
        "heads": stacked(
            *(
                plain(t, f"detector.fc_{head}")
                for head in ("pitch", "yaw", "roll", "t", "exp", "scale", "kp")
            )
        ),
    }
    for index in range(3):
        parts[f"down_norms.{index}"] = plain(t, f"detector.downsample_layers.{index + 1}.0")
        parts[f"downs.{index}"] = plain(t, f"detector.downsample_layers.{index + 1}.1")
    for stage, depth in enumerate(RELEASED.extractor_depths):
        for index in range(depth):
            old, new = f"detector.stages.{stage}.{index}", f"stages.{stage}.{index}"
            parts[f"{new}.depthwise"] = plain(t, f"{old}.dwconv")
            parts[f"{new}.norm"] = plain(t, f"{old}.norm")
            parts[f"{new}.widen"] = plain(t, f"{old}.pwconv1")
            parts[f"{new}.response"] = {
                "gamma": t[f"{old}.grn.gamma"].flatten(),
                "beta": t[f"{old}.grn.beta"].flatten(),
            }
            parts[f"{new}.narrow"] = plain(t, f"{old}.pwconv2")
    return prefixed(parts)


def convert_stitch(t: Tensors) -> State:
    return prefixed({f"layers.{index}": plain(t, f"mlp.{2 * index}") for index in range(4)})


def widened(state: State, inside: int | None = None, outside: int | None = None) -> State:
    """A convolution with zero channels added behind its own, so that there are that many."""
    weight, bias = state["weight"], state["bias"]
    more_in = (inside or weight.shape[1]) - weight.shape[1]
    more_out = (outside or weight.shape[0]) - weight.shape[0]
    places = (0, 0) * (weight.ndim - 2)
    return {
        "weight": F.pad(weight, (*places, 0, more_in, 0, more_out)),
        "bias": F.pad(bias, (0, more_out)),
    }


def flow_heads(mask: State, occlusion: State) -> State:
    """`FlowHeads`' convolution from a 3-D one and one over channels and depth together."""
    taps = mask["weight"].permute(2, 0, 1, 3, 4).flatten(0, 1)  # (k * motions, c, k, k)
    motions, channels = mask["weight"].shape[:2]
    places = torch.unflatten(occlusion["weight"][0], 0, (channels, -1)).transpose(
        0, 1
    )  # (d, c, k, k)
    bias = taps.new_zeros(len(taps) + len(places))
    middle = mask["weight"].shape[2] // 2 * motions
    bias[middle : middle + motions] = mask["bias"]
    bias[len(taps)] = occlusion["bias"][0]
    weight = torch.cat([taps, places])
    return widened({"weight": weight, "bias": bias}, rounded_up(channels), rounded_up(len(weight)))


def convert_warp(t: Tensors) -> State:
    flow = "dense_motion_network"
    glass = f"{flow}.hourglass"
    last = normed_conv(t, f"{glass}.decoder.conv", f"{glass}.decoder.norm")
    channels = rounded_up(len(last["weight"]))
    parts = {
        "compression": normed_conv(t, f"{flow}.compress", f"{flow}.norm"),
        "hourglass.last": widened(last, channels, channels),
        "heads.conv": flow_heads(plain(t, f"{flow}.mask"), plain(t, f"{flow}.occlusion")),
        "third": normed_conv(t, "third.conv", "third.norm"),
        "fourth": plain(t, "fourth"),
    }
    for index in range(RELEASED.hourglass_levels):
        down = f"{glass}.encoder.down_blocks.{index}"
        up = f"{glass}.decoder.up_blocks.{index}"
        conv = normed_conv(t, f"{down}.conv", f"{down}.norm")
        if index == 0:
            conv = widened(conv, rounded_up(conv["weight"].shape[1]))
        parts[f"hourglass.downs.{index}.conv"] = conv
        parts[f"hourglass.ups.{index}.conv"] = normed_conv(t, f"{up}.conv", f"{up}.norm")
    return prefixed(parts)


def modulation_maps(t: Tensors, name: str) -> State:
    """Factor and offset maps as one convolution; the formula's (1 + gamma) is in the bias."""
    gamma, beta = plain(t, f"{name}.mlp_gamma"), plain(t, f"{name}.mlp_beta")
    return stacked({"weight": gamma["weight"], "bias": gamma["bias"] + 1}, beta)


def convert_decoder(t: Tensors) -> State:
    def hidden(block: str, *norms: str) -> list[State]:
        return [plain(t, f"{block}.{norm}.mlp_shared.0") for norm in norms]

    middle = range(RELEASED.decoder_blocks)
    both, three = ("norm_0", "norm_1"), ("norm_0", "norm_1", "norm_s")
    parts = {
        "first": plain(t, "fc"),
        "hidden": stacked(*(s for i in middle for s in hidden(f"G_middle_{i}", *both))),
        "hidden_x2": upsampled(stacked(*hidden("up_0", *three)), 2),
        "hidden_x4": upsampled(stacked(*hidden("up_1", *three)), 4),
        "last": plain(t, "conv_img.0"),
    }
    blocks = {f"G_middle_{i}": f"middle.{i}" for i in middle} | {"up_0": "up0", "up_1": "up1"}
    for old, new in blocks.items():
        for index in (0, 1):
            parts[f"{new}.norm{index}.maps"] = modulation_maps(t, f"{old}.norm_{index}")
            parts[f"{new}.conv{index}"] = spectral_conv(t, f"{old}.conv_{index}")
        if f"{old}.conv_s.weight_orig" in t:
            parts[f"{new}.shortcut_norm.maps"] = modulation_maps(t, f"{old}.norm_s")
            parts[f"{new}.shortcut"] = spectral_conv(t, f"{old}.conv_s")
    return prefixed(parts)


def attention(t: Tensors, old: str, new: str) -> dict[str, State]:
    weights = t[f"{old}.in_proj_weight"].chunk(3)
    biases = t[f"{old}.in_proj_bias"].chunk(3)
    parts = {
        f"{new}.{name}": {"weight": weight, "bias": bias}
        for name, weight, bias in zip(("query", "key", "value"), weights, biases, strict=True)
    }
    return parts | {f"{new}.out": plain(t, f"{old}.out_proj")}


def feedforward(t: Tensors, old: str, new: str) -> dict[str, State]:
    return {f"{new}.widen": plain(t, f"{old}.linear1"), f"{new}.narrow": plain(t, f"{old}.linear2")}


def film(t: Tensors, name: str) -> State:
    """The three FiLM layers of a block as one, the formula's (1 + factor) in the bias."""
    states = []
    for index in (1, 2, 3):
        state = plain(t, f"{name}.film{index}.block.1")
        factor, offset = state["bias"].chunk(2)
        states.append({"weight": state["weight"], "bias": torch.cat([factor + 1, offset])})
    return stacked(*states)


def convert_diffusion(t: Tensors) -> State:
    motion = RELEASED.motion
    joint = t["input_projection.weight"]
    parts: dict[str, State] = {
        "condition_in": plain(t, "cond_projection"),
        "pooled_norm": plain(t, "non_attn_cond_projection.0"),
        "pooled_in": plain(t, "non_attn_cond_projection.1"),
        "pooled_out": plain(t, "non_attn_cond_projection.3"),
        "token_norm": plain(t, "norm_cond"),
        "motion_in": {"weight": joint[:, :motion].contiguous()},
        "start_in": {
            "weight": joint[:, motion:].contiguous(),
            "bias": t["input_projection.bias"],
        },
        "time_in": plain(t, "time_mlp.1"),
        "time_film": plain(t, "to_time_cond.0"),
        "time_tokens": plain(t, "to_time_tokens.0"),
        "motion_out": plain(t, "final_layer"),
    }
    for index in range(RELEASED.encoder_layers):
        old, new = f"cond_encoder.{index}", f"encoder.{index}"
        parts |= {f"{new}.norm{i}": plain(t, f"{old}.norm{i}") for i in (1, 2)}
        parts |= attention(t, f"{old}.self_attn", f"{new}.attention")
        parts |= feedforward(t, old, f"{new}.feedforward")
    for index in range(RELEASED.decoder_layers):
        old, new = f"seqTransDecoder.stack.{index}", f"decoder.{index}"
        parts |= {f"{new}.norm{i}": plain(t, f"{old}.norm{i}") for i in (1, 2, 3)}
        parts |= attention(t, f"{old}.self_attn", f"{new}.attention")
        parts |= attention(t, f"{old}.multihead_attn", f"{new}.cross")
        parts |= feedforward(t, old, f"{new}.feedforward")
        parts[f"{new}.film"] = film(t, old)
    return prefixed(parts) | {
        "null_tokens": t["null_cond_embed"],
        "null_pooled": t["null_cond_hidden"],
    }


BUILDERS: Mapping[str, tuple[Callable[[], nn.Module], Callable[[Tensors], State]]] = {
    "appearance_extractor": (AppearanceExtractor, convert_appearance),
    "motion_extractor": (MotionExtractor, convert_pose),
    "stitch_network": (StitchNetwork, convert_stitch),
    "warp_network": (WarpNetwork, convert_warp),
    "decoder": (Decoder, convert_decoder),
    "lmdm": (MotionDiffusion, convert_diffusion),
}
