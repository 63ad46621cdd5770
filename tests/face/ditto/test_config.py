"""The released configuration is read, and nothing in it is ever called."""

from __future__ import annotations

import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ditto_avatar.errors import InvalidCheckpoint
from ditto_avatar.face.ditto.config import ReleasedConfig, read_config, read_pickle


def released() -> dict[str, Any]:
    """What the online file holds, as far as it is known."""
    return {
        "base_cfg": {"decoder_cfg": {"model_path": "decoder.engine", "device": "cuda"}},
        "audio2motion_cfg": OrderedDict(w2f_type="hubert", use_emo=True, seq_frames=80),
        "default_kwargs": {
            "online_mode": True,
            "overlap_v2": 60,
            "fix_kp_cond": 2,
            "fix_kp_cond_dim": [0, 202],
            "smo_k_d": 5,
            "sampling_timesteps": np.int64(10),
            "delta_eye_arr": np.arange(945, dtype=np.float64).reshape(15, 63),
            "v_min_max_for_clip": np.zeros((4, 265), np.float32),
            "emo": np.ones((600, 8), np.float32),
            "overall_ctrl_info": {"delta_pitch": np.float32(2)},
        },
    }


def write(path: Path, content: object) -> Path:
    path.write_bytes(pickle.dumps(content))
    return path


def test_the_released_values_are_read(tmp_path: Path) -> None:
    config = read_config(write(tmp_path / "c.pkl", released()))
    assert (config.overlap, config.reset, config.kept) == (60, 2, (0, 202))
    assert config.smooth_motion == 5
    assert config.bounds is not None
    assert config.bounds.shape == (2, 265)
    assert config.blink is not None
    assert config.blink.dtype == np.float32


def test_a_configuration_that_does_not_stream_keeps_the_streaming_values(tmp_path: Path) -> None:
    content = released()
    content["default_kwargs"] |= {"online_mode": False, "overlap_v2": 10, "fix_kp_cond": 0}
    config = read_config(write(tmp_path / "c.pkl", content))
    default = ReleasedConfig()
    assert (config.overlap, config.reset) == (default.overlap, default.reset)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_are_read_whatever_wrote_them(tmp_path: Path, protocol: int) -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    content = {"a": array, "b": np.float32(1.5), "c": {1, 2}}
    path = tmp_path / "arrays.pkl"
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    found = read_pickle(path)
    assert np.array_equal(found["a"], array)
    assert found["b"] == 1.5
    assert found["c"] == {1, 2}


def test_arrays_of_older_numpy_are_read(tmp_path: Path) -> None:
    data = pickle.dumps(np.arange(3), protocol=2)
    older = data.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    (tmp_path / "old.pkl").write_bytes(older)
    assert read_pickle(tmp_path / "old.pkl").tolist() == [0, 1, 2]


class Caller:
    """What a malicious file does: a call while it is read."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.target,)


def test_a_pickle_that_calls_code_is_refused_and_calls_nothing(tmp_path: Path) -> None:
    trace = tmp_path / "called"
    content = released()
    content["default_kwargs"]["emo"] = Caller(trace)
    with pytest.raises(InvalidCheckpoint, match=r"asks for pathlib"):
        read_config(write(tmp_path / "evil.pkl", content))
    assert not trace.exists()


@pytest.mark.parametrize("name", ["builtins.eval", "os.system", "numpy.load", "builtins.getattr"])
def test_functions_are_never_looked_up(tmp_path: Path, name: str) -> None:
    module, function = name.split(".")
    data = f"c{module}\n{function}\n(S'1'\ntR.".encode()
    (tmp_path / "evil.pkl").write_bytes(data)
    with pytest.raises(InvalidCheckpoint, match=f"asks for {module}.{function}"):
        read_pickle(tmp_path / "evil.pkl")


def test_an_array_of_objects_cannot_smuggle_code(tmp_path: Path) -> None:
    trace = tmp_path / "called"
    smuggled = np.array([Caller(trace)], dtype=object)
    with pytest.raises(InvalidCheckpoint):
        read_pickle(write(tmp_path / "evil.pkl", smuggled))
    assert not trace.exists()


@pytest.mark.parametrize("kept", [0, 10, 3_000])
def test_a_file_cut_short_is_refused(tmp_path: Path, kept: int) -> None:
    data = pickle.dumps(released())
    (tmp_path / "cut.pkl").write_bytes(data[:kept])
    with pytest.raises(InvalidCheckpoint, match=r"damaged or cut short|was not opened"):
        read_config(tmp_path / "cut.pkl")


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("overlap_v2", "much", "overlap_v2 should be a whole number, not 'much'"),
        ("overlap_v2", 90, "overlap_v2 should be 40 to 79 frames, not 90"),
        ("fix_kp_cond_dim", [1], r"fix_kp_cond_dim should be two numbers, not \[1\]"),
        ("delta_eye_arr", np.zeros((15, 62)), r"delta_eye_arr should have the shape \(m, 63\)"),
    ],
)
def test_a_value_of_another_kind_is_named(
    tmp_path: Path, key: str, value: object, said: str
) -> None:
    content = released()
    content["default_kwargs"][key] = value
    with pytest.raises(InvalidCheckpoint, match=said):
        read_config(write(tmp_path / "c.pkl", content))


def test_a_missing_file_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(InvalidCheckpoint, match="checkpoints download"):
        read_config(tmp_path / "nothing.pkl")
