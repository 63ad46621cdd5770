"""The bundled presenters, as they ship."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import ditto_avatar
from bench.quality_presenters import read_luma, seam_ratio
from ditto_avatar.face.pack import load_avatar
from studio import atlas, topology
from studio.characters import CHARACTERS
from studio.kit import Points

FOLDER = Path(ditto_avatar.__file__).parent / "presenters"
EACH = pytest.mark.parametrize("name", sorted(CHARACTERS))


def arrays(name: str) -> dict[str, Points]:
    with np.load(FOLDER / name / "avatar.npz") as stored:
        return {key: stored[key] for key in stored.files}


@EACH
def test_the_pack_keeps_the_contract_and_stays_small(name: str) -> None:
    avatar = load_avatar(FOLDER / name)
    assert (avatar.width, avatar.height) == (512, 640)
    assert 200 <= avatar.frame_count <= 300
    # The face; and the loop once more without its background, which pages play that ask for it.
    sizes = {path.name: path.stat().st_size for path in (FOLDER / name).iterdir()}
    assert sizes.pop("cutout.mp4") <= 1.5e6
    assert sum(sizes.values()) <= 6e6


@EACH
def test_the_loop_joins_without_a_seam(name: str) -> None:
    assert seam_ratio(read_luma(FOLDER / name / "idle.mp4")) <= 1.5


@EACH
def test_no_frame_falls_out_of_the_loop(name: str) -> None:
    face = arrays(name)["landmarks"][:, [1, 50, 280, 152], :2].mean((0, 1)).round().astype(int)
    luma = read_luma(FOLDER / name / "idle.mp4")
    patch = luma[:, face[1] - 20 : face[1] + 20, face[0] - 20 : face[0] + 20].mean((1, 2))
    assert np.abs(np.diff(patch)).max() < 4  # grey levels; a black or a missing face is tens


@EACH
def test_opening_the_jaw_parts_the_lips_points_more_and_more(name: str) -> None:
    pack = arrays(name)
    names = pack["atlas_names"].tolist()
    upper, lower = topology.LIPS_INNER_UPPER[5], topology.LIPS_INNER_LOWER[5]
    gaps = [
        pack["atlas_landmarks"][names.index(f"jaw{jaw:02d}_neutral")][[upper, lower], 1]
        for jaw in atlas.JAWS
    ]
    opened = [float(low - high) for high, low in gaps]
    assert opened == sorted(opened)
    assert opened[0] < 2 < opened[1]
    assert opened[-1] > 40


@EACH
def test_the_lids_shut_in_the_blinks_and_the_points_say_so(name: str) -> None:
    pack = arrays(name)
    shut = int(pack["eye_closure"].max(1).argmax())
    height = pack["landmarks"][:, 145, 1] - pack["landmarks"][:, 159, 1]
    assert height[shut] < 0.35 * np.median(height)
