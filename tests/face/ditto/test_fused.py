"""The kernels of our own, interpreted where there is no GPU, against the plain networks."""

from __future__ import annotations

import copy
import re
from dataclasses import replace
from types import SimpleNamespace
from typing import TypeVar

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ditto_avatar.face.ditto.networks import (
    Decoder,
    FramePath,
    MotionDiffusion,
    Sizes,
    StitchNetwork,
    WarpNetwork,
)
from ditto_avatar.face.ditto.networks.decoder import Modulation
from ditto_avatar.face.ditto.networks.warp import Up
from ditto_avatar.face.ditto.runtime.compiled import CompileOptions, compiled_runners
from ditto_avatar.face.ditto.runtime.eager import eager_runners
from ditto_avatar.face.ditto.runtime.fused.margins import with_margin, without_margin
from ditto_avatar.face.ditto.runtime.fused.support import kernels_refused
from tests.face.ditto.reference import distance, given
from tests.face.ditto.small import BUILDERS, SMALL

pytest.importorskip("triton", reason="Triton, which interprets the kernels, is not installed")

from ditto_avatar.face.ditto.runtime.fused.decoder import (
    FusedDecoder,
    FusedModulation,
    Hidden,
    instance_norm,
)
from ditto_avatar.face.ditto.runtime.fused.diffusion import FusedDiffusion
from ditto_avatar.face.ditto.runtime.fused.paths import fused
from ditto_avatar.face.ditto.runtime.fused.warp import (
    FoldedUp,
    FusedWarp,
    RunConvolution,
    RunHeads,
    two_powers,
)

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
KIND = torch.float16 if torch.cuda.is_available() else torch.float32
CLOSE = 5e-3 if torch.cuda.is_available() else 1e-5
# The least that the kernels know, on maps of eight by eight.
FITTING = replace(
    SMALL,
    crop=32,
    volume_channels=8,
    volume_depth=4,
    feature_channels=64,
    compressed_channels=2,
    hourglass_width=8,
    decoder_width=256,
    decoder_last=64,
    modulation_width=128,
)
SIDE = FITTING.feature
M = TypeVar("M", bound=nn.Module)


def placed(module: M) -> M:
    """Weights that depend on nothing but the seed, large enough for a visible result."""
    generator = torch.Generator().manual_seed(3)
    for parameter in module.parameters():
        spread = 1.5 / max(1, parameter[0].numel()) ** 0.5
        parameter.data = spread * torch.randn(parameter.shape, generator=generator)
    return module.eval().requires_grad_(False).to(DEVICE, KIND)


def maps(label: str, *shape: int) -> Tensor:
    return given(label, *shape).to(DEVICE, KIND)


def far(found: Tensor, expected: Tensor) -> float:
    assert found.shape == expected.shape
    return distance(found.float().cpu(), expected.float().cpu().numpy())


@pytest.mark.parametrize(
    "conv",
    [
        nn.Conv2d(64, 128, 3, padding=1),
        nn.ConvTranspose2d(64, 128, 4, stride=2, padding=1),
        nn.ConvTranspose2d(64, 256, 6, stride=4, padding=1),
    ],
    ids=["same", "twice", "four times"],
)
@torch.inference_mode()
def test_hidden_maps_are_the_convolutions_with_an_empty_margin(conv: nn.Module) -> None:
    conv = placed(conv)
    features = maps("features", 3, 64, 5, 5)
    groups = Hidden(conv)(with_margin(features))
    hidden = torch.cat([without_margin(group) for group in groups], dim=1)
    assert far(hidden, F.relu(conv(features))) < CLOSE
    assert not groups[:, :, 0].any()
    assert not groups[:, :, :, 0].any()


@pytest.mark.parametrize("channels", [64, 256])
@pytest.mark.parametrize("up", [1, 2])
@pytest.mark.parametrize("leaky", [True, False])
@torch.inference_mode()
def test_a_modulation_reads_its_own_group(channels: int, up: int, leaky: bool) -> None:
    plain = placed(Modulation(channels, 128))
    x = maps("x", 2, channels, 6, 6).contiguous(memory_format=torch.channels_last)
    hidden = [maps(f"hidden {group}", 2, 128, 6 * up, 6 * up) for group in range(3)]
    expected = plain(F.interpolate(x, scale_factor=float(up)), hidden[1])
    if leaky:
        expected = F.leaky_relu(expected, 0.2)
    found = FusedModulation(plain, 1, leaky)(
        x, instance_norm(x), torch.stack([with_margin(group) for group in hidden])
    )
    assert far(found, expected) < CLOSE


@torch.inference_mode()
def test_the_decoder_draws_the_same_without_the_biases_that_norms_take_away() -> None:
    plain = placed(Decoder(FITTING))
    features = maps("features", 2, FITTING.feature_channels, SIDE, SIDE)
    expected = plain(features)
    assert expected.std() > 0.05, "a grey picture is near every other one"
    assert far(FusedDecoder(plain)(features), expected) < CLOSE


@pytest.mark.parametrize("outputs", [24, 40])
@torch.inference_mode()
def test_a_volume_is_convolved_by_runs(outputs: int) -> None:
    conv = placed(nn.Conv3d(16, outputs, 3, padding=1))
    x = maps("volume", 2, 16, 3, 6, 6)
    assert far(RunConvolution(conv)(x), conv(x)) < CLOSE


@torch.inference_mode()
def test_an_enlarged_map_is_convolved_before_it_is_enlarged() -> None:
    plain = placed(Up(16, 8))
    x = maps("volume", 2, 16, 3, 5, 5)
    assert far(FoldedUp(plain)(x), plain(x)) < CLOSE


@pytest.mark.parametrize("reach", [0.05, 1.5], ids=["inside", "beyond the volume"])
@torch.inference_mode()
def test_the_volume_is_bent_as_by_the_plain_network(reach: float) -> None:
    plain = placed(WarpNetwork(FITTING))
    volume = maps("volume", 2, FITTING.volume_channels, FITTING.volume_depth, SIDE, SIDE)
    source = 0.3 * given("kp_source", 2, 21, 3).to(DEVICE)
    driving = source + reach * given("kp_delta", 2, 21, 3).to(DEVICE)
    expected = plain(volume, source, driving)
    assert far(FusedWarp(plain)(volume, source, driving), expected) < CLOSE


@torch.inference_mode()
def test_what_is_visible_is_told_beside_the_taps() -> None:
    heads = placed(WarpNetwork(FITTING)).heads
    x = maps("hourglass", 2, heads.conv.in_channels, FITTING.volume_depth, SIDE, SIDE)
    _, visible = RunHeads(heads)(x)
    assert far(visible, heads(x)[1]) < CLOSE


def networks() -> dict[str, nn.Module]:
    """Small ones, but for the picture's."""
    torch.manual_seed(1)
    sizes = {name: FITTING if name in ("warp_network", "decoder") else SMALL for name in BUILDERS}
    made = {name: build(sizes[name]) for name, build in BUILDERS.items()}
    return {name: module.eval().requires_grad_(False) for name, module in made.items()}


@pytest.mark.parametrize("count", [1, 3])
@torch.no_grad()
def test_the_backend_fused_draws_the_frames_of_the_networks(count: int) -> None:
    options = CompileOptions(compiler=None, graphs=False, fused=True, batches=(1, 4))
    runners = compiled_runners(networks(), DEVICE, KIND, options)
    plain = eager_runners(networks(), DEVICE)
    volume = given("volume", count, 8, 4, SIDE, SIDE).to(DEVICE)
    source = 0.3 * given("kp_source", count, 21, 3).to(DEVICE)
    driving = source + 0.05 * given("kp_delta", count, 21, 3).to(DEVICE)
    expected = plain.frame(volume, plain.compress(volume), source, driving)
    own = volume.to(KIND)
    found = runners.frame(own, runners.compress(own), source, driving)
    assert far(found, expected) < CLOSE


@pytest.mark.parametrize("times", [[999, 999], [0, 417]], ids=["one time", "two times"])
@torch.inference_mode()
def test_a_diffusion_step_predicts_the_same(times: list[int]) -> None:
    torch.manual_seed(5)
    plain = MotionDiffusion(SMALL).eval()
    inputs = given("condition", 2, 80, 1103), given("first", 2, 265)
    x, time = given("start", 2, 80, 265), torch.tensor(times)
    expected = plain(x, time, *plain.encode(*inputs))
    joined = FusedDiffusion(plain)
    assert far(joined(x, time, *joined.encode(*inputs)), expected) < 1e-5


@torch.inference_mode()
def test_the_plain_path_stays_as_it_was_for_the_next_backend() -> None:
    plain = FramePath(StitchNetwork(FITTING), WarpNetwork(FITTING), Decoder(FITTING))
    before = copy.deepcopy(plain.state_dict())
    fused(plain, MotionDiffusion(SMALL))
    assert {type(module) for module in plain.children()} == {StitchNetwork, WarpNetwork, Decoder}
    after = plain.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], before[name]) for name in before)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        (SMALL, "16 channels are no multiple of 64"),
        (replace(FITTING, modulation_width=64), "64 hidden channels are not 128"),
        (replace(FITTING, decoder_last=32), "32 channels are neither 64 nor a multiple of 128"),
    ],
)
def test_widths_without_a_kernel_are_refused(sizes: Sizes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FusedDecoder(Decoder(sizes))


@pytest.mark.parametrize(
    ("outputs", "powers"),
    [(176, (128, 64)), (144, (128, 16)), (40, (32, 16)), (128, (64, 64)), (17, (16, 16))],
)
def test_numbers_of_outputs_are_rounded_up_to_two_powers(
    outputs: int, powers: tuple[int, int]
) -> None:
    assert two_powers(outputs) == powers


@pytest.mark.parametrize(
    ("major", "shared_kb", "reason"),
    [
        (9, 227, None),
        (
            8,
            163,
            "need a GPU like H100, with compute capability 9 .* this one has 8 and 163 kB",
        ),
        (12, 99, "this one has 12 and 99 kB"),
    ],
    ids=["H100", "A100", "a desktop card"],
)
def test_the_kernels_ask_for_what_their_tiles_need(
    monkeypatch: pytest.MonkeyPatch, major: int, shared_kb: int, reason: str | None
) -> None:
    properties = SimpleNamespace(major=major, shared_memory_per_block_optin=1024 * shared_kb)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: properties)
    found = kernels_refused(torch.device("cuda"))
    if reason is None:
        assert found is None
    else:
        assert re.search(reason, found or "")
