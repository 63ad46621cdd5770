"""A whole checkpoint folder of full size, from files to frames."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from ditto_avatar.errors import InvalidCheckpoint, InvalidInput, Unavailable
from ditto_avatar.face.avatar import Avatar
from ditto_avatar.face.ditto import loading
from ditto_avatar.face.ditto.checkpoint_files import FILES, place, weights_key
from ditto_avatar.face.ditto.engine import DittoEngine
from ditto_avatar.face.ditto.loading import load_models
from ditto_avatar.face.ditto.models import choose_device, limit_memory
from ditto_avatar.face.ditto.options import DittoOptions
from ditto_avatar.face.ditto.runtime.candidates import Candidate
from ditto_avatar.models.files import file_key


async def test_a_released_folder_draws_frames(checkpoints: Path, avatar: Avatar) -> None:
    options = DittoOptions(checkpoints, device="cpu", sampling_timesteps=1)
    told: list[str] = []
    models = load_models(options, told.append)
    assert len(told) == 7
    engine = DittoEngine(models, options)
    stream = await engine.open(avatar, start_frame=3)
    await stream.push(np.zeros(900, np.float32))
    await stream.finish()
    frames = [frame async for frame in stream]
    await engine.close()
    assert [frame.idle_frame for frame in frames] == [3, 4]
    assert all(frame.yuv.shape == (480, 256) for frame in frames)
    assert not np.array_equal(frames[0].yuv, avatar.idle_frames[3])


def test_a_folder_without_its_files_says_how_to_get_them(tmp_path: Path) -> None:
    with pytest.raises(InvalidCheckpoint, match=r"and 10 more files are missing; .*download"):
        load_models(DittoOptions(tmp_path))


def test_the_key_changes_with_the_weights(checkpoints: Path, tmp_path: Path) -> None:
    path = place(checkpoints, "stitch_network")
    copy = tmp_path / "copy.pth"
    copy.write_bytes(path.read_bytes())
    assert file_key([path]) == file_key([copy])
    copy.write_bytes(path.read_bytes()[:-1] + b"?")
    assert file_key([path]) != file_key([copy])


def test_the_device_is_checked_first() -> None:
    assert choose_device("cpu") == torch.device("cpu")
    with pytest.raises(Unavailable, match="'toaster' is no device"):
        choose_device("toaster")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
def test_a_missing_gpu_is_named() -> None:
    assert choose_device("auto") == torch.device("cpu")
    with pytest.raises(Unavailable, match="There is no CUDA device"):
        choose_device("cuda")


def test_a_gpu_beyond_the_last_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert choose_device("cuda:1") == torch.device("cuda", 1)
    with pytest.raises(Unavailable, match="no device cuda:2; there are 2, counted from cuda:0"):
        choose_device("cuda:2")


def test_presets_fill_in_what_is_not_set(tmp_path: Path) -> None:
    speed = DittoOptions(tmp_path)
    assert (speed.steps, speed.longest_side, speed.template_frames) == (10, 512, 3)
    quality = replace(speed, preset="quality")
    assert (quality.steps, quality.longest_side, quality.template_frames) == (50, 1_920, -1)
    assert replace(quality, sampling_timesteps=7).steps == 7


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sampling_timesteps", 0),
        ("sampling_timesteps", 1_001),
        ("overlap", 39),
        ("overlap", 80),
        ("template_n_frames", -2),
        ("max_size", 0),
        ("feature_cache_mb", 0),
        ("max_streams", 0),
    ],
)
def test_a_value_that_nothing_can_run_with_is_refused_at_once(
    tmp_path: Path, name: str, value: int
) -> None:
    good: dict[str, Any] = {"sampling_timesteps": 1_000, "overlap": 40}
    assert DittoOptions(tmp_path, **good).steps == 1_000
    with pytest.raises(InvalidInput, match=f"{name}: expected .*, came {value}"):
        DittoOptions(tmp_path, **(good | {name: value}))


def test_the_networks_key_is_that_of_their_files_alone(tmp_path: Path) -> None:
    for name, entry in FILES.items():
        place(tmp_path, name).parent.mkdir(parents=True, exist_ok=True)
        place(tmp_path, name).write_bytes(entry.path.encode())
    key = weights_key(tmp_path)
    place(tmp_path, "audio_encoder").write_bytes(b"another encoder")
    assert weights_key(tmp_path) == key
    place(tmp_path, "decoder").write_bytes(b"another decoder")
    assert weights_key(tmp_path) != key


@pytest.mark.parametrize(
    ("card_gb", "limit_mb", "small", "share"),
    [
        (80, None, False, None),
        (24, None, True, None),
        (80, 4_000, True, 0.05),
        (8, 9_000, True, None),
    ],
)
def test_the_memory_that_is_taken_is_limited(
    monkeypatch: pytest.MonkeyPatch,
    card_gb: int,
    limit_mb: int | None,
    small: bool,
    share: float | None,
) -> None:
    shares: list[float] = []
    card = SimpleNamespace(total_memory=card_gb * 1_000_000_000)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: card)

    def limit(part: float, device: int | None) -> None:
        assert device is None
        shares.append(part)

    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", limit)
    assert limit_memory(torch.device("cuda"), limit_mb) == small
    assert shares == ([] if share is None else [share])
    assert not limit_memory(torch.device("cpu"), limit_mb)


@pytest.mark.parametrize(("limit_mb", "waited_for"), [(None, False), (8_000, False), (7_999, True)])
def test_two_backends_need_room(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, limit_mb: int | None, waited_for: bool
) -> None:
    monkeypatch.setattr(loading, "candidates", lambda *_: [Candidate("compiled")])
    options = DittoOptions(tmp_path, device_memory_mb=limit_mb)
    found = loading.Loading(options, torch.device("cuda"), small=True, tell=print)
    assert loading.slow_to_prepare(found) == (None if waited_for else "compiled")
