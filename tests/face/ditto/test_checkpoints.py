"""The checkpoint comes from a hub, whole and as released, or a sentence says why not."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

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


async def test_everything_needed_arrives_and_nothing_else(tmp_path: Path) -> None:
    files = {entry.path: content(entry.path) for entry in FILES.values()}
    files["ditto_pytorch/aux_models/det_10g.onnx"] = b"not needed"
    target = tmp_path / "checkpoints"
    with model_hub.serve(REPOSITORY, files) as hub:
        fetched = await download_checkpoints(target, endpoint=hub.address, repository=REPOSITORY)
        again = await download_checkpoints(target, endpoint=hub.address, repository=REPOSITORY)
    assert len(fetched) == len(FILES)
    assert again == []
    for entry in FILES.values():
        assert (target / entry.path).read_bytes() == content(entry.path)
    assert not (target / "ditto_pytorch/aux_models/det_10g.onnx").exists()


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
