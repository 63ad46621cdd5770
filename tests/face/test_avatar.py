"""The avatar pack: read completely or refused with one sentence."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from ditto_avatar.errors import InvalidAvatar
from ditto_avatar.face.pack import find_avatars, load_avatar
from tests.fakes.packs import FRAMES, HEIGHT, WIDTH, make_pack

Arrays = dict[str, npt.NDArray[Any]]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_pack(tmp_path_factory.mktemp("packs") / "oval")


@pytest.fixture
def pack(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "oval"))


def edit_arrays(pack: Path, change: Callable[[Arrays], object]) -> None:
    with np.load(pack / "avatar.npz") as file:
        arrays: Arrays = dict(file)
    change(arrays)
    np.savez(pack / "avatar.npz", **arrays)  # type: ignore[arg-type]


def edit_about(pack: Path, **changes: object) -> None:
    about = json.loads((pack / "about.json").read_text(encoding="utf-8"))
    (pack / "about.json").write_text(json.dumps(about | changes), encoding="utf-8")


def zipped(pack: Path, target: Path, prefix: str = "oval/") -> Path:
    with zipfile.ZipFile(target, "w") as archive:
        for file in sorted(pack.iterdir()):
            archive.write(file, prefix + file.name)
    return target


def refusal(path: Path) -> str:
    with pytest.raises(InvalidAvatar) as caught:
        load_avatar(path)
    return str(caught.value)


def test_a_pack_is_read_completely(original: Path) -> None:
    avatar = load_avatar(original)
    assert avatar.name == "oval"
    assert (avatar.width, avatar.height, avatar.frame_count) == (WIDTH, HEIGHT, FRAMES)
    assert avatar.about.display_name["ko"] == "동그라미"
    assert avatar.voices["espeak"]["ko"] == "ko"
    assert avatar.persona["en"] == "You are an oval."
    assert avatar.idle_path.is_file()
    assert avatar.poster_path.is_file()
    assert avatar.atlas is not None
    assert avatar.atlas.patches().shape[0] == len(avatar.atlas.names)


@pytest.mark.parametrize("prefix", ["", "oval/"])
def test_a_zip_is_read_like_a_folder(pack: Path, tmp_path: Path, prefix: str) -> None:
    avatar = load_avatar(zipped(pack, tmp_path / "oval.zip", prefix))
    assert avatar.name == "oval"
    assert avatar.idle_path.is_file()


def test_an_unpacked_zip_disappears_with_its_avatar(pack: Path, tmp_path: Path) -> None:
    avatar = load_avatar(zipped(pack, tmp_path / "oval.zip"))
    folder = avatar.folder
    assert folder.is_dir()
    del avatar
    assert not folder.exists()


def test_a_pack_may_come_without_atlas_shapes_and_eyes(pack: Path) -> None:
    (pack / "mouth.webp").unlink()
    keep = ("landmarks", "visibility", "head_rotation", "neutral_landmarks")

    def strip(arrays: Arrays) -> None:
        for key in set(arrays) - set(keep):
            del arrays[key]

    edit_arrays(pack, strip)
    avatar = load_avatar(pack)
    assert avatar.atlas is None
    assert avatar.arrays.blendshapes is None
    assert avatar.arrays.eye_closure is None


def test_packs_are_found_by_name(pack: Path, tmp_path: Path) -> None:
    make_pack(tmp_path / "anna", frames=2)
    zipped(pack, tmp_path / "zoe.zip", "")
    (tmp_path / "notes").mkdir()
    assert [path.name for path in find_avatars(tmp_path)] == ["anna", "oval", "zoe.zip"]
    assert find_avatars(tmp_path / "nowhere") == []


@pytest.mark.parametrize("name", ["about.json", "idle.mp4", "poster.webp", "avatar.npz"])
def test_a_missing_file_is_named(pack: Path, name: str) -> None:
    (pack / name).unlink()
    assert refusal(pack).startswith(f"{name}: expected")


@pytest.mark.parametrize("name", ["about.json", "idle.mp4", "poster.webp", "avatar.npz"])
@pytest.mark.parametrize("content", [b"", b"\x00\xff nothing", b"PK\x03\x04 broken"])
def test_a_broken_file_is_named(pack: Path, name: str, content: bytes) -> None:
    (pack / name).write_bytes(content)
    assert refusal(pack).startswith(f"{name}: expected")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("format", 2),
        ("name", "Oval"),
        ("name", "../oval"),
        ("name", "other"),
        ("license", ""),
        ("provenance", None),
        ("consent", "  "),
        ("display_name", {"ko": "미나"}),
        ("description", "a face"),
        ("voices", {"espeak": "en-us"}),
        ("persona", {"en": 5}),
    ],
)
def test_a_wrong_line_in_about_is_named(pack: Path, key: str, value: object) -> None:
    edit_about(pack, **{key: value})
    sentence = refusal(pack)
    assert sentence.startswith("about.json: ")
    assert ": expected" in sentence
    assert key in sentence or key == "voices"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("landmarks", np.zeros((FRAMES - 1, 478, 3), np.float32)),
        ("landmarks", np.zeros((FRAMES, 468, 3), np.float32)),
        ("landmarks", np.full((FRAMES, 478, 3), np.nan, np.float32)),
        ("visibility", np.ones((FRAMES, 478), np.float32)),
        ("head_rotation", np.zeros((FRAMES, 3), np.int32)),
        ("neutral_landmarks", np.zeros((478, 2), np.float32)),
        ("eye_closure", np.zeros(FRAMES, np.float32)),
        ("blendshapes", np.zeros((51, 478, 3), np.float32)),
        ("atlas_names", np.array([1, 2])),
        ("atlas_weights", np.zeros((3, 52), np.float32)),
        ("atlas_landmarks", np.zeros((9, 478, 3), np.complex64)),
        ("atlas_box", np.array([0, 0, -5, 5], np.float32)),
    ],
)
def test_a_wrong_array_is_named(pack: Path, key: str, value: npt.NDArray[Any]) -> None:
    edit_arrays(pack, lambda arrays: arrays.update({key: value}))
    assert refusal(pack).startswith(f"avatar.npz: {key}: expected ")


@pytest.mark.parametrize("key", ["landmarks", "visibility", "head_rotation", "neutral_landmarks"])
def test_a_missing_array_is_named(pack: Path, key: str) -> None:
    edit_arrays(pack, lambda arrays: arrays.pop(key))
    assert refusal(pack) == f"avatar.npz: {key}: expected this key, came none."


def test_half_an_atlas_is_refused(pack: Path) -> None:
    edit_arrays(pack, lambda arrays: arrays.pop("atlas_box"))
    assert "atlas_box together with mouth.webp" in refusal(pack)


def test_pickles_are_never_opened(pack: Path) -> None:
    np.savez(pack / "avatar.npz", landmarks=np.array([{"a": 1}], dtype=object))
    assert refusal(pack).startswith("avatar.npz: ")


def test_a_zip_that_leads_outside_is_refused(pack: Path, tmp_path: Path) -> None:
    target = zipped(pack, tmp_path / "oval.zip")
    with zipfile.ZipFile(target, "a") as archive:
        archive.writestr("oval/../../evil.txt", "x")
    assert "names inside the pack" in refusal(target)
    assert not (tmp_path.parent / "evil.txt").exists()


def test_a_zip_with_a_link_is_refused(pack: Path, tmp_path: Path) -> None:
    target = zipped(pack, tmp_path / "oval.zip")
    link = zipfile.ZipInfo("oval/link")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(target, "a") as archive:
        archive.writestr(link, "/etc/passwd")
    assert "expected plain files" in refusal(target)


def test_a_zip_bomb_is_refused(tmp_path: Path) -> None:
    target = tmp_path / "oval.zip"
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        block = b"\0" * (64 << 20)
        for index in range(9):
            archive.writestr(f"oval/{index}", block)
    assert "bytes unpacked" in refusal(target)


def test_nothing_is_no_pack(tmp_path: Path) -> None:
    assert "expected a folder or a zip" in refusal(tmp_path / "nobody")
