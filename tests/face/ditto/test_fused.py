"""The kernels of our own, interpreted where there is no GPU, against the plain networks."""

from __future__ import annotations

import copy
import gc
import re
import weakref
from dataclasses import dataclass, replace
from importlib import metadata
from types import SimpleNamespace
from typing import Any, TypeVar, cast

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ditto_avatar.face.ditto.networks import (
    Decoder,
    FramePath,
    Sizes,
    StitchNetwork,
    WarpNetwork,
)
from ditto_avatar.face.ditto.networks.decoder import Modulation
from ditto_avatar.face.ditto.networks.warp import Up
from ditto_avatar.face.ditto.runtime.fused.margins import (
    EMPTY,
    eight_bits,
    with_margin,
    without_margin,
)
from ditto_avatar.face.ditto.runtime.fused.support import kernels_refused
from tests.face.ditto.reference import distance, given
from tests.face.ditto.small import FITTING, SMALL, of_enlarged

pytest.importorskip("triton.tools.tensor_descriptor", reason="needs Triton 3.4 or newer")

from ditto_avatar.face.ditto.runtime.fused.decoder import (
    FusedDecoder,
    FusedModulation,
    Hidden,
    instance_norm,
    largest_of,
)
from ditto_avatar.face.ditto.runtime.fused.operators import (
    bend,
    convolve,
    convolve_runs,
    modulate,
    propose,
)
from ditto_avatar.face.ditto.runtime.fused.path import fused_path
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
EIGHT_CLOSE = 2e-2
SIDE = FITTING.feature
M = TypeVar("M", bound=nn.Module)
# Where kernels are interpreted, one tiny shape of each is enough; the rest runs on a GPU.
SLOW = pytest.mark.slow_kernels


def placed(module: M) -> M:
    """Weights that depend on nothing but the seed, large enough for a visible result."""
    generator = torch.Generator().manual_seed(3)
    for parameter in module.parameters():
        spread = 1.5 / max(1, parameter[0].numel()) ** 0.5
        parameter.data = spread * torch.randn(parameter.shape, generator=generator)
    for inner in module.modules():
        if isinstance(inner, nn.ConvTranspose2d) and inner.stride[0] == 4:
            of_enlarged(inner)
    return module.eval().requires_grad_(False).to(DEVICE, KIND)


def maps(label: str, *shape: int) -> Tensor:
    return given(label, *shape).to(DEVICE, KIND)


def far(found: Tensor, expected: Tensor) -> float:
    assert found.shape == expected.shape
    return distance(found.float().cpu(), expected.float().cpu().numpy())


def enlarged(planes: Tensor, factor: int) -> Tensor:
    """A group's planes (p², n, s + 1, s + 1, c) as the map that they stand for."""
    read = {1: (0,), 2: (0, 1), 4: (0, 1, 1, 2)}[factor]
    along = len(set(read))
    _, count, line, _, width = planes.shape
    side = line - 1
    large = planes.new_empty(count, width, factor * side, factor * side)
    for above, y in enumerate(read):
        for left, x in enumerate(read):
            large[:, :, above::factor, left::factor] = without_margin(planes[along * y + x])
    return large


def with_planes(maps: Tensor, factor: int) -> Tensor:
    """The way back for a map (n, c, s, s) of which the places in the middle are the same."""
    places = {1: (0,), 2: (0, 1), 4: (0, 1, 3)}[factor]
    parts = [maps[:, :, above::factor, left::factor] for above in places for left in places]
    return torch.stack([with_margin(part) for part in parts])


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
    groups, _ = Hidden(conv)(with_margin(features))
    factor = conv.stride[0] if isinstance(conv, nn.ConvTranspose2d) else 1
    hidden = torch.cat([enlarged(group, factor) for group in groups], dim=1)
    assert far(hidden, F.relu(conv(features))) < CLOSE
    assert not groups[..., 0, :, :].any()
    assert not groups[..., 0, :].any()


@pytest.mark.parametrize("channels", [64, 256])
@pytest.mark.parametrize(("factor", "up"), [(1, 1), (1, 2), (2, 2), (4, 1), (4, 2)])
@pytest.mark.parametrize("leaky", [True, False])
@torch.inference_mode()
def test_a_modulation_reads_its_own_group(channels: int, factor: int, up: int, leaky: bool) -> None:
    plain = placed(Modulation(channels, 128))
    side = 8
    x = maps("x", 2, channels, side // up, side // up).contiguous(memory_format=torch.channels_last)
    planes = [
        with_planes(maps(f"hidden {group}", 2, 128, side, side), factor) for group in range(3)
    ]
    expected = plain(F.interpolate(x, scale_factor=float(up)), enlarged(planes[1], factor))
    if leaky:
        expected = F.leaky_relu(expected, 0.2)
    modulation = FusedModulation(plain, 1, leaky, factor)
    found = modulation(x, instance_norm(x), (torch.stack(planes), None))
    assert far(found, expected) < CLOSE


def test_weights_for_another_enlargement_are_refused() -> None:
    """They would read other taps, and nobody would see why a face is wrong."""
    x = maps("x", 1, 64, 8, 8).contiguous(memory_format=torch.channels_last)
    planes = with_planes(maps("hidden", 1, 128, 8, 8), 2)
    modulation = FusedModulation(placed(Modulation(64, 128)), 0, False, factor=4)
    with pytest.raises(ValueError, match="not for maps enlarged by 2"):
        modulation(x, instance_norm(x), (planes[None], None))


@pytest.mark.parametrize("channels", [64, 256])
@pytest.mark.parametrize("factor", [2, 4])
@torch.inference_mode()
def test_a_modulation_of_eight_bits_is_near_the_exact_one(channels: int, factor: int) -> None:
    """Hidden maps a thousand times as large or as small make no difference."""
    features = maps("features", 2, 64, 5, 5)
    plain = placed(Modulation(channels, 128))
    side = 5 * factor
    x = maps("x", 2, channels, side, side).contiguous(memory_format=torch.channels_last)
    for scale in (0.01, 1.0, 100.0):
        conv = placed(nn.ConvTranspose2d(64, 128, factor + 2, stride=factor, padding=1))
        for parameter in conv.parameters():
            parameter.mul_(scale)
        expected = plain(x, F.relu(conv(features)))
        hidden = Hidden(conv)
        hidden.calibrate(with_margin(features), largest_of(features))
        maps_of_eight, levels = hidden(with_margin(features), largest_of(features))
        assert maps_of_eight.dtype == torch.int8
        eight = FusedModulation(plain, 0, False, factor, eight=True)
        found = eight(x, instance_norm(x), (maps_of_eight, levels))
        assert 1e-6 < far(found, expected) < EIGHT_CLOSE


def test_weights_of_eight_bits_are_rounded_so_that_the_taps_sum_is_kept() -> None:
    """Each is at most one level off, their sum half a level, where nine may be four and a half."""
    weights = given("weights", 16, 3, 3, 32)
    weights[3] = 0
    levels, units = eight_bits(weights)
    exact = weights / units[:, None, None, None]
    assert levels.dtype == torch.int8
    assert levels.float().abs().amax() == 127
    assert not levels[3].any()
    off = (levels.float() - exact).flatten(1, 2)
    assert off.abs().amax() <= 1.01
    # Where a level beyond the range was wanted, that much is missing as well.
    assert off.sum(1).abs().quantile(0.99) <= 0.51
    alone = (exact.round() - exact).flatten(1, 2).sum(1)
    assert off.sum(1).square().mean() < 0.2 * alone.square().mean()


@torch.inference_mode()
def test_places_of_nothing_are_the_lowest_level_also_behind_the_last_map() -> None:
    """The bottom line of the last map reads on there."""
    conv = placed(nn.Conv2d(64, 256, 3, padding=1))
    features = with_margin(maps("features", 2, 64, 5, 5))
    hidden = Hidden(conv)
    hidden.calibrate(features, torch.ones(2, device=DEVICE))
    levels, _ = hidden(features, torch.ones(2, device=DEVICE))
    assert (levels[..., 0, :, :] == EMPTY).all()
    assert (levels[..., 0, :] == EMPTY).all()
    assert 90 < levels.max() < 127, "there is room above the largest"
    behind = levels.as_strided((7, 128), (128, 1), levels.numel())
    assert (behind == EMPTY).all()


@torch.inference_mode()
def test_dim_images_have_levels_of_their_own() -> None:
    """An image a hundred times as dark as another one in the batch is as exact as it is alone."""
    conv = nn.Conv2d(64, 128, 3, padding=1, bias=False)
    conv = placed(conv)
    features = maps("features", 2, 64, 5, 5)
    features[1] = features[0] / 64
    conv.bias = nn.Parameter(torch.zeros(128, device=DEVICE, dtype=KIND), requires_grad=False)
    hidden = Hidden(conv)
    hidden.calibrate(with_margin(features[:1]), largest_of(features[:1]))
    levels, scales = hidden(with_margin(features), largest_of(features))
    assert scales is not None
    assert float(scales[1] / scales[0]) == pytest.approx(64, rel=1e-2)
    assert (levels[:, :, 0].int() - levels[:, :, 1].int()).abs().amax() <= 1


@pytest.mark.parametrize(("count", "side"), [(1, 2), pytest.param(2, SIDE, marks=SLOW)])
@torch.inference_mode()
def test_the_decoder_draws_the_same_without_the_biases_that_norms_take_away(
    count: int, side: int
) -> None:
    plain = placed(Decoder(FITTING))
    features = maps("features", count, FITTING.feature_channels, side, side)
    expected = plain(features)
    assert expected.std() > 0.05, "a grey picture is near every other one"
    assert far(FusedDecoder(plain)(features), expected) < CLOSE


@pytest.mark.parametrize(("outputs", "kernel"), [(24, 3), (40, 3), (24, 5)])
@torch.inference_mode()
def test_a_volume_is_convolved_by_runs(outputs: int, kernel: int) -> None:
    conv = placed(nn.Conv3d(16, outputs, kernel, padding=kernel // 2))
    x = maps("volume", 2, 16, 3, 6, 6)
    assert far(RunConvolution(conv)(x), conv(x)) < CLOSE


@torch.inference_mode()
def test_an_enlarged_map_is_convolved_before_it_is_enlarged() -> None:
    plain = placed(Up(16, 8))
    x = maps("volume", 2, 16, 3, 5, 5)
    assert far(FoldedUp(plain)(x), plain(x)) < CLOSE


@pytest.mark.parametrize(
    ("count", "reach", "kernel"),
    [
        pytest.param(1, 0.05, 3, id="inside"),
        pytest.param(2, 0.05, 3, id="two inside", marks=SLOW),
        pytest.param(2, 1.5, 3, id="beyond the volume", marks=SLOW),
        pytest.param(2, 0.05, 7, id="a kernel deeper than the volume", marks=SLOW),
    ],
)
@torch.inference_mode()
def test_the_volume_is_bent_as_by_the_plain_network(count: int, reach: float, kernel: int) -> None:
    plain = placed(WarpNetwork(replace(FITTING, mask_kernel=kernel)))
    volume = maps("volume", count, FITTING.volume_channels, FITTING.volume_depth, SIDE, SIDE)
    source = 0.3 * given("kp_source", count, 21, 3).to(DEVICE)
    driving = source + reach * given("kp_delta", count, 21, 3).to(DEVICE)
    expected = plain(volume, source, driving)
    assert far(FusedWarp(plain)(volume, source, driving), expected) < CLOSE


@torch.inference_mode()
def test_what_is_visible_is_told_beside_the_taps() -> None:
    heads = placed(WarpNetwork(FITTING)).heads
    x = maps("hourglass", 2, heads.conv.in_channels, FITTING.volume_depth, SIDE, SIDE)
    _, visible = RunHeads(heads)(x)
    assert far(visible, heads(x)[1]) < CLOSE


@torch.inference_mode()
def test_narrow_convolutions_are_folded_and_wide_ones_left() -> None:
    plain = WarpNetwork(replace(FITTING, hourglass_width=32, hourglass_limit=256))
    ups = FusedWarp(plain).hourglass.ups
    widths = [cast(Up, up).conv.out_channels for up in plain.hourglass.ups]
    assert widths == [64, 32]
    assert [type(up) for up in ups] == [FoldedUp, FoldedUp]
    plain = WarpNetwork(replace(FITTING, hourglass_width=64, hourglass_limit=256))
    assert [type(up) for up in FusedWarp(plain).hourglass.ups] == [Up, FoldedUp]


def test_runs_that_the_copy_engine_cannot_fetch_are_refused() -> None:
    with pytest.raises(ValueError, match="12 channels are no multiple of 8"):
        RunConvolution(nn.Conv3d(12, 24, 3, padding=1))


def test_the_plain_weights_are_let_go_of() -> None:
    warp, decoder = placed(WarpNetwork(FITTING)), placed(Decoder(FITTING))
    held = [weakref.ref(warp), weakref.ref(decoder)]
    path = fused_path(FramePath(StitchNetwork(FITTING), warp, decoder))
    compress = cast(Any, path.warp).compress
    del warp, decoder
    gc.collect()
    assert [cast(Any, reference)() for reference in held] == [None, None]
    assert compress is not None


@SLOW
def test_operators_say_what_they_give() -> None:
    """What a compiler is told of shapes and layouts is what comes."""
    features, hidden = maps("features", 2, 5, 5, 64), maps("hidden", 2, 4, 2, 5, 5, 128)
    x = maps("x", 2, 64, 4, 4).contiguous(memory_format=torch.channels_last)
    norm = torch.ones(2, 64, device=DEVICE)
    volume, points = maps("volume", 2, 4, 8, 8, 2), given("points", 2, 5, 3).to(DEVICE)
    taps = maps("taps", 8, 9, 9, 48)
    calls: list[tuple[Any, tuple[Any, ...]]] = [
        (convolve, (features, maps("w", 128, 9 * 64), norm.new_ones(128), 1)),
        (convolve, (features, maps("w", 128, 16 * 64), norm.new_ones(128), 2)),
        (modulate, (x, norm, norm, hidden, 1, maps("w", 128, 9 * 128), norm.new_ones(128), True)),
        (convolve_runs, (maps("runs", 5, 9, 9, 16), maps("w", 48, 9 * 64), 2, 3, 16)),
        (propose, (volume, points, points, 24)),
        (bend, (volume, taps, maps("bias", 48), points, 3)),
    ]
    for operator, arguments in calls:
        torch.library.opcheck(operator, arguments, test_utils=("test_schema", "test_faketensor"))


@torch.inference_mode()
def test_the_plain_path_stays_as_it_was_for_the_next_backend() -> None:
    plain = placed(FramePath(StitchNetwork(FITTING), WarpNetwork(FITTING), Decoder(FITTING)))
    before = copy.deepcopy(plain.state_dict())
    fused_path(plain)
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


@dataclass(frozen=True, slots=True)
class Card:
    """What the kernels ask a GPU and its software for; an H100 with today's."""

    major: int = 9
    shared_kb: int | None = 227
    triton: str | None = "3.6.0"


@pytest.mark.parametrize(
    ("card", "reason"),
    [
        (Card(), None),
        (Card(8, 163), "a GPU like H100, with compute capability 9 .* this one has 8 and 163 kB"),
        (Card(8, 227), "this one has 8 and 227 kB"),
        (Card(12, 99), "this one has 12 and 99 kB"),
        (Card(shared_kb=None), "this one has 9 and 0 kB"),
        (Card(triton="3.2.0"), "need Triton 3.4 or newer; this one is 3.2.0"),
        (Card(triton=None), "need Triton, which is not installed"),
    ],
    ids=["H100", "A100", "old", "desktop", "old torch", "old Triton", "no Triton"],
)
def test_the_kernels_ask_for_what_their_tiles_need(
    monkeypatch: pytest.MonkeyPatch, card: Card, reason: str | None
) -> None:
    def version(_: str) -> str:
        if card.triton is None:
            raise metadata.PackageNotFoundError
        return card.triton

    properties = SimpleNamespace(major=card.major)
    if card.shared_kb is not None:
        properties.shared_memory_per_block_optin = 1024 * card.shared_kb
    monkeypatch.setattr(metadata, "version", version)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: properties)
    found = kernels_refused(torch.device("cuda"))
    if reason is None:
        assert found is None
    else:
        assert re.search(reason, found or "")


def test_a_decoder_that_does_not_enlarge_its_features_is_refused() -> None:
    decoder = placed(Decoder(FITTING))
    decoder.hidden_x4.weight[0, 0, 3, 0] += 1
    with pytest.raises(ValueError, match="is not one of an enlarged map"):
        FusedDecoder(decoder)
