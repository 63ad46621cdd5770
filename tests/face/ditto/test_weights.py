"""Checkpoints are taken exactly as released, and refused with a sentence otherwise."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch

from ditto_avatar.errors import InvalidCheckpoint
from ditto_avatar.face.ditto import weights
from tests.face.ditto.reference import given, network, tensors

NAME = "stitch_network"


def save(path: Path, **changes: torch.Tensor | None) -> Path:
    """The stitch network as it is released, with some tensors changed or (None) left out."""
    state: dict[str, torch.Tensor | None] = {**tensors(NAME), **changes}
    named = {f"module.{name}": value for name, value in state.items() if value is not None}
    torch.save({"retarget_shoulder": named}, path)
    return path


def test_a_released_file_gives_the_network_it_describes(tmp_path: Path) -> None:
    loaded = weights.load_network(NAME, save(tmp_path / "stitch_network.pth"))
    source, driving = given("kp_source", 1, 21, 3), given("kp_delta", 1, 21, 3)
    assert torch.equal(loaded(source, driving), network(NAME)(source, driving))


@pytest.mark.parametrize("name", sorted(weights.manifest()))
def test_every_network_uses_every_tensor_it_is_given(name: str) -> None:
    build, convert = weights.BUILDERS[name]
    own = {key: value.shape for key, value in build().state_dict().items()}
    assert {key: value.shape for key, value in convert(tensors(name)).items()} == own
    unused = set(tensors(name)) - used_tensors(name)
    assert all(key.endswith(("num_batches_tracked", "rotary.freqs")) for key in unused), unused


def used_tensors(name: str) -> set[str]:
    seen: set[str] = set()

    class Watched(dict[str, torch.Tensor]):
        def __getitem__(self, key: str) -> torch.Tensor:
            seen.add(key)
            return super().__getitem__(key)

    weights.BUILDERS[name][1](Watched(tensors(name)))
    return seen


def test_a_missing_tensor_is_named(tmp_path: Path) -> None:
    path = save(tmp_path / "s.pth", **{"mlp.4.bias": None})
    with pytest.raises(InvalidCheckpoint, match=r"mlp\.4\.bias of shape \(64,\) is missing"):
        weights.load_network(NAME, path)


def test_a_misshapen_tensor_is_named_with_both_shapes(tmp_path: Path) -> None:
    path = save(tmp_path / "s.pth", **{"mlp.4.bias": torch.zeros(63)})
    with pytest.raises(InvalidCheckpoint, match=r"mlp\.4\.bias should have shape \(64,\), not"):
        weights.load_network(NAME, path)


def test_an_extra_tensor_is_named(tmp_path: Path) -> None:
    path = save(tmp_path / "s.pth", **{"mlp.9.bias": torch.zeros(1)})
    with pytest.raises(InvalidCheckpoint, match=r"mlp\.9\.bias does not belong to the stitch"):
        weights.load_network(NAME, path)


def test_a_missing_container_is_named(tmp_path: Path) -> None:
    torch.save(tensors(NAME), tmp_path / "s.pth")
    with pytest.raises(InvalidCheckpoint, match="retarget_shoulder"):
        weights.load_network(NAME, tmp_path / "s.pth")


def test_a_missing_file_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(InvalidCheckpoint, match="checkpoints download"):
        weights.load_network(NAME, tmp_path / "nothing.pth")


@pytest.mark.parametrize("kept", [0, 100, 20_000])
def test_a_file_cut_short_is_refused(tmp_path: Path, kept: int) -> None:
    whole = save(tmp_path / "whole.pth").read_bytes()
    (tmp_path / "cut.pth").write_bytes(whole[:kept])
    with pytest.raises(InvalidCheckpoint, match="damaged or cut short"):
        weights.load_network(NAME, tmp_path / "cut.pth")


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "page.pth").write_text("<html>quota exceeded</html>")
    with pytest.raises(InvalidCheckpoint):
        weights.load_network(NAME, tmp_path / "page.pth")


class Caller:
    """What a malicious file does: a call while it is read."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.target,)


def test_a_pickle_that_calls_code_is_refused_and_calls_nothing(tmp_path: Path) -> None:
    trace = tmp_path / "called"
    torch.save({"retarget_shoulder": Caller(trace)}, tmp_path / "evil.pth")
    with pytest.raises(InvalidCheckpoint, match="more than tensors"):
        weights.load_network(NAME, tmp_path / "evil.pth")
    (tmp_path / "plain.pth").write_bytes(pickle.dumps(Caller(trace)))
    with pytest.raises(InvalidCheckpoint):
        weights.load_network(NAME, tmp_path / "plain.pth")
    assert not trace.exists()
