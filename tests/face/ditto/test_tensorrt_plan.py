"""Which engines are built, and which of those on disk are taken."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from ditto_avatar.errors import InvalidInput, Unavailable
from ditto_avatar.face.ditto.runtime.tensorrt.graphs import specs
from ditto_avatar.face.ditto.runtime.tensorrt.plan import (
    EngineKey,
    Exported,
    exported_jobs,
    find_engines,
    jobs_of,
    profile_for,
    profiles,
    released_jobs,
    shapes_key,
)
from tests.face.ditto.small import SMALL

GRAPHS = {spec.name: spec for spec in specs(SMALL)}
TWO = [GRAPHS["decoder"], GRAPHS["stitch_network"]]


def key_of(name: str) -> EngineKey:
    shapes = shapes_key(profiles(GRAPHS[name], (1, 8)))
    return EngineKey(name, "0123", "weights", "half", (1, 8), shapes, "10.4", "sm_90")


def put(folder: Path, key: EngineKey, content: bytes = b"engine") -> Path:
    path = key.path(folder)
    path.write_bytes(content)
    key.write(path)
    return path


def find(folder: Path) -> dict[str, Path]:
    found = find_engines(folder, TWO, "weights", "10.4", "sm_90")
    return {name: engine.path for name, engine in found.items()}


def test_every_batch_has_one_profile() -> None:
    found = profiles(GRAPHS["decoder"], (1, 4, 8))
    ranges = [(entry.shapes[0][1][0], entry.shapes[0][3][0]) for entry in found]
    assert ranges == [(1, 1), (2, 4), (5, 8)]
    assert [profile_for(batch, (1, 4, 8)) for batch in (1, 2, 4, 5, 8)] == [0, 1, 1, 2, 2]
    with pytest.raises(ValueError, match="at most 8, not 9"):
        profile_for(9, (1, 4, 8))


def test_profiles_follow_inputs_that_hold_both_guidance_halves() -> None:
    (entry,) = profiles(GRAPHS["lmdm_step"], (4,))
    shapes = {name: (low, high) for name, low, _, high in entry.shapes}
    assert shapes["x"] == ((1, 80, 265), (4, 80, 265))
    assert shapes["keys"] == ((2, 2, 80, 32), (2, 8, 80, 32))


def test_an_engine_is_another_when_anything_changes() -> None:
    key = key_of("decoder")
    names = asdict(key).keys() - {"batches"}
    others = [EngineKey(**{**asdict(key), name: f"other {name}"}) for name in sorted(names)]
    others.append(replace(key, batches=(1, 4)))
    assert len({entry.digest for entry in [key, *others]}) == len(names) + 2
    assert key.path(Path()).name.startswith("decoder.")


def test_fitting_engines_are_found(tmp_path: Path) -> None:
    paths = {spec.name: put(tmp_path, key_of(spec.name)) for spec in TWO}
    Exported("weights", "half").write(tmp_path)
    assert find(tmp_path) == paths


def test_of_several_that_fit_the_one_built_last_is_taken(tmp_path: Path) -> None:
    put(tmp_path, key_of("stitch_network"))
    first = put(tmp_path, key_of("decoder"))
    second = put(tmp_path, replace(key_of("decoder"), precision="single"))
    for order, last in (((1, 2), second), ((2, 1), first)):
        for path, time in zip((first, second), order, strict=True):
            os.utime(path.with_suffix(".json"), (time, time))
        assert find(tmp_path)["decoder"] == last


def remove_engine(path: Path) -> None:
    path.unlink()


def remove_both(path: Path) -> None:
    path.unlink()
    path.with_suffix(".json").unlink()


def damage(path: Path) -> None:
    path.with_suffix(".json").write_text("{")


def change(**values: object) -> Callable[[Path], None]:
    def rewrite(path: Path) -> None:
        about = path.with_suffix(".json")
        about.write_text(json.dumps({**json.loads(about.read_text()), **values}))

    return rewrite


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (remove_both, r"there is no engine of decoder; `ditto-avatar engines build`"),
        (remove_engine, r"decoder\.\w+\.engine is missing"),
        (damage, r"no engine of decoder, and decoder\.\w+\.json is damaged"),
        (change(batches=None), r"decoder\.\w+\.json is damaged"),
        (change(nonsense=1), r"decoder\.\w+\.json is damaged"),
        (change(weights="others"), r"decoder\.\w+\.engine was built from other weights"),
        (change(weights="released"), r"decoder\.\w+\.engine was built from other weights"),
        (change(version="9.1"), r"was built with TensorRT 9\.1, and this is 10\.4"),
        (change(architecture="sm_86"), r"was built for sm_86, and this GPU is sm_90"),
        (change(batches=[1, 4]), r"was built for other shapes"),
    ],
)
def test_engines_that_do_not_fit_are_told_apart(
    spoil: Callable[[Path], None], reason: str, tmp_path: Path
) -> None:
    put(tmp_path, key_of("stitch_network"))
    spoil(put(tmp_path, key_of("decoder")))
    with pytest.raises(Unavailable, match=reason):
        find(tmp_path)


def test_the_nearest_engine_gives_the_reason(tmp_path: Path) -> None:
    put(tmp_path, replace(key_of("decoder"), version="9.1", architecture="sm_86"))
    put(tmp_path, replace(key_of("decoder"), weights="others"))
    with pytest.raises(Unavailable, match="other weights"):
        find(tmp_path)


def test_exported_graphs_are_built_as_they_were_exported(tmp_path: Path) -> None:
    for name in GRAPHS:
        (tmp_path / f"{name}.onnx").touch()
    Exported("abc", "half").write(tmp_path)
    jobs = exported_jobs(tmp_path, SMALL, (1, 2))
    assert [job.onnx.stem for job in jobs] == list(GRAPHS)
    assert {(job.weights, job.precision, job.batches) for job in jobs} == {("abc", "half", (1, 2))}
    assert {len(job.profiles) for job in jobs} == {2}


def test_graphs_that_are_missing_are_named(tmp_path: Path) -> None:
    Exported("abc", "half").write(tmp_path)
    with pytest.raises(InvalidInput, match=r"lacks appearance_extractor\.onnx, .*engines export"):
        jobs_of(tmp_path)
    with pytest.raises(InvalidInput, match="holds no graphs; `ditto-avatar engines export`"):
        jobs_of(tmp_path / "none")


def test_a_damaged_note_about_the_graphs_is_one_sentence(tmp_path: Path) -> None:
    for content in ("", "[]", '{"weights": "abc"}'):
        (tmp_path / "graphs.json").write_text(content)
        with pytest.raises(InvalidInput, match="does not say what the graphs were exported from"):
            jobs_of(tmp_path)


def test_the_checkpoints_own_graphs_are_taken_where_no_plugin_is_needed(tmp_path: Path) -> None:
    for name in ("decoder", "hubert", "warp_network", "warp_network_ori", "blaze_face"):
        (tmp_path / f"{name}.onnx").touch()
    jobs, skipped = released_jobs(tmp_path)
    assert {job.onnx.stem: len(job.profiles) for job in jobs} == {
        "blaze_face": 0,
        "decoder": 0,
        "hubert": 1,
    }
    assert {job.precision for job in jobs} == {"own"}
    assert len(skipped) == 2
    assert "only as a plugin" in skipped[0]
    assert jobs_of(tmp_path) == (jobs, skipped)
