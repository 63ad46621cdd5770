"""Reads the MakeHuman kit: the base mesh, its targets, and the parts that are fitted to it.

Positions are the kit's own: decimetres, Y up, the face looks along +Z, the person's left is +X.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

Points = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

BODY_GROUP = "body"


def kit_folder() -> Path:
    """The kit's place: `AVATAR_KIT`, or `../shared/avatar-kit` beside the repository."""
    default = Path(__file__).resolve().parents[2] / "shared" / "avatar-kit"
    folder = Path(os.environ.get("AVATAR_KIT", default))
    if not (folder / "base" / "base.obj").is_file():
        raise FileNotFoundError(f"{folder} holds no base/base.obj: set AVATAR_KIT to the kit")
    return folder


@dataclass(frozen=True, slots=True)
class Obj:
    """A mesh file: vertices (n, 3), texture coordinates (m, 2), and per face its corners.

    Triangles repeat their last corner, so `faces` and `face_uvs` are (f, 4) and a face is a
    triangle where the last two corners agree. `groups` names each face's group.
    """

    vertices: Points
    uvs: Points
    faces: Indices
    face_uvs: Indices
    groups: tuple[str, ...]

    def faces_of(self, group: str) -> npt.NDArray[np.bool_]:
        """Which faces (f,) belong to a group."""
        return np.array([name == group for name in self.groups])

    def vertices_of(self, group: str) -> Indices:
        """The vertices that a group's faces use, ascending."""
        return np.unique(self.faces[self.faces_of(group)])


def read_obj(path: Path) -> Obj:
    """Read a Wavefront file with triangles and quads."""
    vertices: list[list[float]] = []
    uvs: list[list[float]] = []
    faces: list[list[int]] = []
    face_uvs: list[list[int]] = []
    groups: list[str] = []
    group = ""
    for line in path.read_text().splitlines():
        words = line.split()
        if not words:
            continue
        if words[0] == "v":
            vertices.append([float(word) for word in words[1:4]])
        elif words[0] == "vt":
            uvs.append([float(word) for word in words[1:3]])
        elif words[0] == "g":
            group = words[1] if len(words) > 1 else ""
        elif words[0] == "f":
            corners = [word.split("/") for word in words[1:]]
            if len(corners) == 3:
                corners.append(corners[2])
            faces.append([int(corner[0]) - 1 for corner in corners])
            has_uv = len(corners[0]) > 1 and corners[0][1] != ""
            face_uvs.append([int(corner[1]) - 1 if has_uv else 0 for corner in corners])
            groups.append(group)
    return Obj(
        np.array(vertices),
        np.array(uvs if uvs else [[0.0, 0.0]]),
        np.array(faces, np.int64),
        np.array(face_uvs, np.int64),
        tuple(groups),
    )


@dataclass(frozen=True, slots=True)
class Target:
    """A shape: displacements (k, 3) of the base mesh's vertices `index` (k,)."""

    index: Indices
    offset: Points

    def add_to(self, vertices: Points, weight: float) -> None:
        """Add the shape to vertices (n, 3), in place."""
        vertices[self.index] += weight * self.offset


def read_target(path: Path) -> Target:
    """Read a `.target` file."""
    rows = [
        line.split() for line in path.read_text().splitlines() if line and not line.startswith("#")
    ]
    return Target(
        np.array([int(row[0]) for row in rows], np.int64),
        np.array([[float(word) for word in row[1:4]] for row in rows]).reshape(-1, 3),
    )


@dataclass(frozen=True, slots=True)
class Fit:
    """Binds a part to the base mesh (a `.mhclo` file).

    A part's vertex is `weights` (n, 3) of the base vertices `corners` (n, 3), plus `offsets`
    (n, 3) scaled by how far two base vertices lie apart in each axis. `hidden` lists the base
    vertices that the part covers.
    """

    corners: Indices
    weights: Points
    offsets: Points
    scales: tuple[tuple[int, int, float], ...]
    hidden: Indices

    def place(self, base: Points) -> Points:
        """The part's vertices (n, 3) on a base mesh (m, 3)."""
        scale = np.array(
            [abs(base[i, axis] - base[j, axis]) / s for axis, (i, j, s) in enumerate(self.scales)]
        )
        placed: Points = (base[self.corners] * self.weights[..., None]).sum(1)
        return np.asarray(placed + self.offsets * scale)


def _hidden(words: list[str]) -> list[int]:
    """Vertex numbers out of `3 5 - 9 12`."""
    numbers: list[int] = []
    position = 0
    while position < len(words):
        if words[position] == "-":
            numbers.extend(range(numbers[-1] + 1, int(words[position + 1]) + 1))
            position += 2
        else:
            numbers.append(int(words[position]))
            position += 1
    return numbers


def read_fit(path: Path) -> Fit:
    """Read a `.mhclo` file."""
    scales = [(0, 0, 1.0)] * 3
    corners: list[list[int]] = []
    weights: list[list[float]] = []
    offsets: list[list[float]] = []
    hidden: list[int] = []
    section = ""
    for line in path.read_text().splitlines():
        words = line.split()
        if not words or line.startswith("#"):
            continue
        if words[0] in ("x_scale", "y_scale", "z_scale"):
            scales["xyz".index(words[0][0])] = (int(words[1]), int(words[2]), float(words[3]))
        elif words[0] in ("verts", "delete_verts"):
            section = words[0]
            hidden.extend(_hidden(words[1:]) if section == "delete_verts" else [])
        elif section == "verts" and words[0].isdigit():
            if len(words) == 1:
                corners.append([int(words[0])] * 3)
                weights.append([1.0, 0.0, 0.0])
                offsets.append([0.0, 0.0, 0.0])
            else:
                corners.append([int(word) for word in words[:3]])
                weights.append([float(word) for word in words[3:6]])
                offsets.append([float(word) for word in words[6:9]])
        elif section == "delete_verts" and words[0][0].isdigit():
            hidden.extend(_hidden(words))
    return Fit(
        np.array(corners, np.int64),
        np.array(weights),
        np.array(offsets),
        tuple(scales),
        np.array(sorted(set(hidden)), np.int64),
    )


@dataclass(frozen=True, slots=True)
class Part:
    """Something worn: its mesh, how it is fitted, and its picture (with alpha)."""

    name: str
    mesh: Obj
    fit: Fit
    texture: Path


def read_part(kit: Path, kind: str, name: str = "", texture: str = "") -> Part:
    """A part of the kit, such as `read_part(kit, "hair", "bob02")`; teeth, tongue and eyes are
    alone in their folders and need no name."""
    folder = kit / kind / name if name else kit / kind
    fit = next(folder.glob("*.mhclo"))
    if texture:
        picture = folder / texture
    else:
        pictures = sorted(folder.glob("*.png"))
        diffuse = [path for path in pictures if "diffuse" in path.name]
        picture = (diffuse or pictures)[0]
    return Part(name or kind, read_obj(fit.with_suffix(".obj")), read_fit(fit), picture)
