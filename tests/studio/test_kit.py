"""The kit's files: meshes, targets and fits, on small ones of our own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from studio.kit import kit_folder, read_fit, read_obj, read_target

OBJ = """\
v 0 0 0
v 1 0 0
v 1 1 0
v 0 1 0
vt 0 0
vt 1 1
g body
f 1/1 2/1 3/2 4/2
g helper-x
f 1/1 2/1 3/2
"""

MHCLO = """\
# a fit
name hat
x_scale 0 1 2.0
y_scale 0 3 1.0
z_scale 0 1 1.0
verts 0
2
0 1 2 0.5 0.25 0.25 0.5 0.0 0.1

delete_verts
1 3 - 5 8
"""


def test_an_obj_keeps_faces_groups_and_texture_corners(tmp_path: Path) -> None:
    path = tmp_path / "a.obj"
    path.write_text(OBJ)
    mesh = read_obj(path)
    assert mesh.vertices.shape == (4, 3)
    assert mesh.faces_of("body").tolist() == [True, False]
    assert mesh.faces[1].tolist() == [0, 1, 2, 2]  # a triangle repeats its last corner
    assert mesh.vertices_of("helper-x").tolist() == [0, 1, 2]
    assert mesh.face_uvs[0].tolist() == [0, 0, 1, 1]


def test_a_target_moves_its_vertices_by_its_weight(tmp_path: Path) -> None:
    path = tmp_path / "a.target"
    path.write_text("# comment\n1 0.5 0 -1\n3 0 2 0\n")
    vertices = np.zeros((4, 3))
    read_target(path).add_to(vertices, 0.5)
    assert vertices[1].tolist() == [0.25, 0, -0.5]
    assert vertices[3].tolist() == [0, 1, 0]


def test_a_fit_places_vertices_by_shares_and_scaled_offsets(tmp_path: Path) -> None:
    path = tmp_path / "hat.mhclo"
    path.write_text(MHCLO)
    fit = read_fit(path)
    base = np.array([[0, 0, 0], [4, 0, 0], [4, 4, 0], [0, 3, 0]], float)
    placed = fit.place(base)
    assert placed[0].tolist() == [4, 4, 0]
    # x is scaled by |4 - 0| / 2, z by |0 - 0| / 1.
    assert placed[1].tolist() == [2 + 0.5 * 2, 1, 0]
    assert fit.hidden.tolist() == [1, 3, 4, 5, 8]


def test_a_missing_kit_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AVATAR_KIT", str(tmp_path / "nowhere"))
    with pytest.raises(FileNotFoundError, match=r"nowhere.*AVATAR_KIT"):
        kit_folder()
