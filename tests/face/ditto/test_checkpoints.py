"""The checkpoint comes from a hub, whole and as released, or a sentence says why not."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ditto_avatar.errors import InvalidCheckpoint, ProviderFailed, StorageFull
from ditto_avatar.face.ditto.checkpoint_files import FILES, place
from ditto_avatar.face.ditto.checkpoints import download_checkpoints, verify_checkpoints
from ditto_avatar.face.ditto.weights import manifest
from tests.fakes import model_hub

REPOSITORY = "someone/ditto"
BIG = "ditto_pytorch/models/decoder.pth"


def content(path: str) -> bytes:
    """Something for every file: small ones of text, large ones of noise."""
    size = 300_000 if path == BIG else 20_000 if path.endswith(".pth") else 500
    return np.random.default_rng(len(path)).bytes(size)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[model_hub.ModelHub]:
    monkeypatch.setenv("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    files = {entry.path: content(entry.path) for entry in FILES.values()}
    files["ditto_pytorch/aux_models/det_10g.onnx"] = b"not needed"
    with model_hub.serve(REPOSITORY, files) as served:
        yield served


def fetch(hub: model_hub.ModelHub, target: Path) -> list[str]:
    said: list[str] = []
    download_checkpoints(target, endpoint=hub.address, repository=REPOSITORY, tell=said.append)
    return said


def test_everything_needed_arrives_and_nothing_else(
    hub: model_hub.ModelHub, tmp_path: Path
) -> None:
    said = fetch(hub, tmp_path / "checkpoints")
    for entry in FILES.values():
        assert (tmp_path / "checkpoints" / entry.path).read_bytes() == content(entry.path)
    assert len(said) == len(FILES)
    assert not (tmp_path / "checkpoints/ditto_pytorch/aux_models/det_10g.onnx").exists()
    assert any("MIT (LivePortrait)" in line for line in said)


def test_what_is_there_is_not_fetched_again(hub: model_hub.ModelHub, tmp_path: Path) -> None:
    fetch(hub, tmp_path)
    hub.requests.clear()
    assert fetch(hub, tmp_path) == [f"{len(FILES)} of {len(FILES)} files are there already."]
    assert hub.requests == []


def test_a_changed_file_is_fetched_again(hub: model_hub.ModelHub, tmp_path: Path) -> None:
    fetch(hub, tmp_path)
    whole = (tmp_path / BIG).read_bytes()
    (tmp_path / BIG).write_bytes(whole[:-1] + b"?")
    fetch(hub, tmp_path)
    assert (tmp_path / BIG).read_bytes() == whole


def test_a_transfer_that_broke_off_is_continued(hub: model_hub.ModelHub, tmp_path: Path) -> None:
    # The library keeps pieces of ten megabytes.
    large = np.random.default_rng(1).bytes(22_000_000)
    hub.files = {**hub.files, BIG: large}
    hub.cut[BIG] = 15_000_000
    try:
        fetch(hub, tmp_path)
    except ProviderFailed:
        fetch(hub, tmp_path)
    ranges = [wanted for name, wanted in hub.requests if name == BIG]
    assert any(wanted is not None and not wanted.startswith("bytes=0-") for wanted in ranges)
    assert (tmp_path / BIG).read_bytes() == large


def test_a_file_that_stays_damaged_is_refused(hub: model_hub.ModelHub, tmp_path: Path) -> None:
    hub.spoiled.add(BIG)
    with pytest.raises(InvalidCheckpoint, match=r"decoder\.pth arrived damaged 2 times"):
        fetch(hub, tmp_path)
    assert not (tmp_path / BIG).exists()


def test_a_hub_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ProviderFailed, match=r"127\.0\.0\.1:1 does not answer"):
        download_checkpoints(tmp_path, endpoint="http://127.0.0.1:1", repository=REPOSITORY)


def test_a_file_the_hub_lacks_is_named(hub: model_hub.ModelHub, tmp_path: Path) -> None:
    hub.files = {path: data for path, data in hub.files.items() if path != BIG}
    with pytest.raises(ProviderFailed, match=r"has no .*decoder\.pth"):
        fetch(hub, tmp_path)


def test_a_full_disk_is_told_before_anything_is_fetched(
    hub: model_hub.ModelHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=1_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(StorageFull, match="make room"):
        fetch(hub, tmp_path)
    assert hub.requests == []


def test_a_released_folder_is_found_in_order(checkpoints: Path) -> None:
    report = verify_checkpoints(checkpoints)
    assert report.ok, [file.problem for file in report.files if file.problem]
    assert len(report.files) == len(FILES)
    details = {file.path: file.detail for file in report.files}
    assert details[BIG] == f"{len(manifest()['decoder'].shapes)} tensors as in the manifest"
    assert all(file.license for file in report.files)
    assert all(file.bytes > 0 for file in report.files)


def test_each_problem_is_told_beside_the_files_that_are_well(
    checkpoints: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(checkpoints, broken, copy_function=lambda a, b: Path(b).symlink_to(a))
    place(broken, "decoder").unlink()
    place(broken, "stitch_network").unlink()
    place(broken, "stitch_network").write_bytes(
        place(checkpoints, "stitch_network").read_bytes()[:999]
    )
    place(broken, "face_mesh").unlink()
    place(broken, "face_mesh").write_bytes(b"<html>")
    report = verify_checkpoints(broken)
    problems = {file.path: file.problem for file in report.files if file.problem}
    assert not report.ok
    assert set(problems) == {
        FILES[name].path for name in ("decoder", "stitch_network", "face_mesh")
    }
    assert "is missing" in str(problems[FILES["decoder"].path])
    assert "cut short" in str(problems[FILES["stitch_network"].path])
    assert "not an ONNX model" in str(problems[FILES["face_mesh"].path])
