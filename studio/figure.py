"""A person out of the kit: shaped, dressed, and posed by 52 weights, a head turn and a breath."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from studio.arkit import SHAPES, weights
from studio.characters import Character
from studio.kit import BODY_GROUP, Indices, Part, Points, read_obj, read_part, read_target
from studio.subdivision import Refined

CAMERA_DISTANCE = 11.0
NECK_PIVOT = np.array([0.0, 6.25, 0.1])
IRIS_RADIUS = 0.0585
"""Decimetres: a human iris measures 11.7 mm across, near enough in everyone."""
REFINED = ("teeth", "tongue", "clothes", "eyes", "hair")
UPPER_TEETH = np.array([0.0, -0.03, 0.015])
LOWER_TEETH = np.array([0.0, -0.06, 0.01])
LOWER_TEETH_OPEN = np.array([0.0, 0.07, -0.1])
"""Decimetres that the kit's teeth are moved, and the lower row moreover under a jaw that is wide
open, lest it come through the chin."""
FLOOR_Y = 3.6
"""What lies below is outside every picture and is dropped."""


@dataclass(frozen=True, slots=True)
class Pose:
    """One moment: ARKit weights (52,), head pitch, yaw and roll in degrees (positive: chin down,
    turned and tilted to the person's left), chest fill 0 to 1, a sway of the trunk in mm, and how
    far the tip of the tongue is raised, 0 to 1 (ARKit has no shape for that)."""

    weights: tuple[float, ...]
    rotation: tuple[float, float, float] = (0.0, 0.0, 0.0)
    breath: float = 0.0
    sway_mm: float = 0.0
    tongue_up: float = 0.0


def rest_pose() -> Pose:
    """Looking straight ahead with the character's resting face."""
    return Pose(tuple([0.0] * len(SHAPES)))


def rotation_matrix(pitch: float, yaw: float, roll: float) -> Points:
    """Rotation (3, 3) of a head whose person looks along +Z with +X at the left; degrees."""
    p, y, r = np.radians([pitch, yaw, -roll])
    about_x = np.array([[1, 0, 0], [0, np.cos(p), -np.sin(p)], [0, np.sin(p), np.cos(p)]])
    about_y = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    about_z = np.array([[np.cos(r), -np.sin(r), 0], [np.sin(r), np.cos(r), 0], [0, 0, 1]])
    return np.asarray(about_y @ about_x @ about_z)


def _turn_between(a: Points, b: Points) -> Points:
    """The rotation (3, 3) that carries unit vector a (3,) to b (3,), after Rodrigues."""
    axis = np.cross(a, b)
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    return np.asarray(np.eye(3) + cross + cross @ cross / (1 + float(a @ b)))


def _ramp(values: Points, low: float, high: float) -> Points:
    """0 below `low`, 1 above `high`, smooth between."""
    t = np.clip((values - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t))


def neck_weight(rest: Points) -> Points:
    """How much of the head's turn the points (n, 3) follow: 0 at the collar, 1 from the jaw up.

    The border leans forward, so that the chin belongs to the head and the nape to the neck.
    """
    along = (rest[:, 1] - 5.75) + 0.55 * (rest[:, 2] - 0.2)
    return _ramp(along, -0.15, 1.0)


def _swept(hair: Points, width: float) -> Points:
    """A fringe (n, 3) combed from the eyes to the person's right: below the hairline nothing in
    front of the face stays nearer to the middle than `width` decimetres."""
    share = _ramp(8.02 - hair[:, 1], 0.0, 0.75) * _ramp(hair[:, 2], 0.25, 0.55)
    border = -width * share
    over = np.where(hair[:, 0] < 0.45, hair[:, 0] - border, -1.0) * (share > 0)
    # Soft, so that neighbouring locks keep their order.
    moved = np.where(over > -0.15, border - 0.15 * np.exp(-(over + 0.15) / 0.3), hair[:, 0])
    combed = hair.copy()
    way = (hair[:, 0] - moved) * share
    combed[:, 0] -= way
    combed[:, 2] -= 0.42 * way * share
    return combed


def _lower_arms(vertices: Points, degrees: float) -> None:
    """Turn the arms of the kit's spread pose down at the shoulders, in place."""
    for side in (1.0, -1.0):
        pivot = np.array([side * 1.6, 5.3, 0.0])
        share = _ramp(side * vertices[:, 0], 1.25, 2.1)
        angles = -side * np.radians(degrees) * share
        x, y = vertices[:, 0] - pivot[0], vertices[:, 1] - pivot[1]
        turned_x = np.cos(angles) * x - np.sin(angles) * y + pivot[0]
        turned_y = np.sin(angles) * x + np.cos(angles) * y + pivot[1]
        moved = share > 0
        vertices[moved, 0], vertices[moved, 1] = turned_x[moved], turned_y[moved]


@dataclass(frozen=True, slots=True)
class Mesh:
    """What is drawn of one part: faces (f, 4) with texture coordinates per corner (f, 4, 2)."""

    faces: Indices
    corner_uvs: Points


class Figure:
    """A character's geometry. `place(pose)` gives the vertices of every mesh in `meshes`."""

    def __init__(
        self,
        character: Character,
        kit: Path,
        level: int = 1,
        painter: Callable[[Figure], dict[str, Points]] | None = None,
    ) -> None:
        self.painter = painter
        self.character = character
        self.kit = kit
        self.base = read_obj(kit / "base" / "base.obj")
        self._units = [read_target(kit / "face-units" / f"{name}.target") for name in SHAPES]
        self.neutral = self._shaped()
        self.parts: dict[str, Part] = {
            "hair": read_part(kit, "hair", character.hair),
            "clothes": read_part(kit, "clothes", character.clothes),
            "eyebrows": read_part(kit, "eyebrows", character.eyebrows),
            "eyelashes": read_part(kit, "eyelashes", character.eyelashes),
            "eyes": read_part(kit, "eyes", texture=character.eyes),
            "teeth": read_part(kit, "teeth"),
            "tongue": read_part(kit, "tongue"),
        }
        self._lower_teeth = self._find_lower_teeth()
        self.skin = Refined(*self._skin_faces(), level)
        self.meshes = {"skin": Mesh(self.skin.faces, self.skin.corner_uvs)}
        self._refined: dict[str, Refined] = {}
        for name, part in self.parts.items():
            faces, uvs = part.mesh.faces, part.mesh.uvs[part.mesh.face_uvs]
            if name == "teeth":
                shown = ~self._deep_gums(faces)
                faces, uvs = faces[shown], uvs[shown]
            if name == "hair":
                shown = ~self._unseen_hair(faces)
                faces, uvs = faces[shown], uvs[shown]
            if name in REFINED:
                self._refined[name] = Refined(faces, uvs, 1)
                faces, uvs = self._refined[name].faces, self._refined[name].corner_uvs
            self.meshes[name] = Mesh(faces, uvs)
        self._eye_turns: dict[int, Points] = {}
        self.rest = self._fitted(self.neutral)
        self._tuck = self._tucked_in()
        self._iris_rims = self._find_iris_rims()
        self._straighten_eyes()
        self._neck = {name: neck_weight(points) for name, points in self.rest.items()}

    def _find_lower_teeth(self) -> npt.NDArray[np.bool_]:
        """Which of the teeth's vertices go with the jaw."""
        fit = self.parts["teeth"].fit
        opened = self.neutral.copy()
        self._units[SHAPES.index("jawOpen")].add_to(opened, 1.0)
        way = np.linalg.norm(fit.place(opened) - fit.place(self.neutral), axis=1)
        return np.asarray(way > way.max() / 2)

    def _unseen_hair(self, faces: Indices) -> npt.NDArray[np.bool_]:
        """Locks behind the neck of combed hair: only their torn lower edge would be seen."""
        if not self.character.sweep:
            return np.zeros(len(faces), bool)
        middle = self.parts["hair"].fit.place(self.neutral)[faces].mean(1)
        aside = np.abs(middle[:, 0])
        behind = (middle[:, 1] < 6.75) & (aside < 0.66) & (middle[:, 2] < 0.55)
        return np.asarray(behind | ((middle[:, 1] < 6.6) & (aside < 0.55)))

    def _tucked_in(self) -> Points:
        """How the skin (n, 3) gives way under the clothes' edge, so that none comes through."""
        skin = self.rest["skin"]
        corners = skin[self.meshes["skin"].faces]
        normals = np.zeros_like(skin)
        across = np.cross(corners[:, 2] - corners[:, 0], corners[:, 3] - corners[:, 1])
        for corner in range(4):
            np.add.at(normals, self.meshes["skin"].faces[:, corner], across)
        normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
        cloth = self.rest["clothes"]
        cloth = cloth[cloth[:, 1] > skin[:, 1].min() - 0.2]
        gap = np.full(len(skin), np.inf)
        low = np.flatnonzero(skin[:, 1] < cloth[:, 1].max() + 0.2)
        for start in range(0, len(low), 512):
            part = low[start : start + 512]
            distance = ((skin[part, None] - cloth[None]) ** 2).sum(2)
            gap[part] = np.sqrt(distance.min(1))
        share = 1 - _ramp(gap, 0.03, 0.14)
        return np.asarray(-0.045 * share[:, None] * normals)

    def _deep_gums(self, faces: Indices) -> npt.NDArray[np.bool_]:
        """The lowest faces of the lower gum: a wide open jaw would push them through the chin."""
        plain = self.parts["teeth"].fit.place(self.base.vertices)
        top = plain[self._lower_teeth, 1].max()
        lower = self._lower_teeth[faces].all(1)
        return np.asarray(lower & (plain[faces][..., 1].mean(1) < top - 0.17))

    def _shaped(self) -> Points:
        """The base mesh (19158, 3) in the character's shape, arms down, resting face."""
        vertices = self.base.vertices.copy()
        for name, weight in self.character.macro.items():
            read_target(self.kit / "targets" / "macro" / f"{name}.target").add_to(vertices, weight)
        for name, weight in self.character.detail.items():
            found = next((self.kit / "targets" / "detail").glob(f"*/{name}.target"))
            read_target(found).add_to(vertices, weight)
        vertices = self._anchored(vertices)
        _lower_arms(vertices, 32.0)
        for unit, weight in zip(self._units, weights(self.character.rest), strict=True):
            if weight:
                unit.add_to(vertices, weight)
        return vertices

    def _anchored(self, vertices: Points) -> Points:
        """Moved and scaled so that every head has the kit's own place and about its own size."""
        shaped = vertices[self.base.vertices_of("joint-head")].mean(0)
        plain = self.base.vertices[self.base.vertices_of("joint-head")].mean(0)
        return np.asarray(vertices - shaped + plain)

    def _skin_faces(self) -> tuple[Indices, Points]:
        """The skin that shows: nothing under the clothes, nothing far below the picture."""
        shown = self.base.faces_of(BODY_GROUP)
        hidden = np.zeros(len(self.base.vertices), bool)
        hidden[self.parts["clothes"].fit.hidden] = True
        shown &= ~hidden[self.base.faces].all(1)
        shown &= self.neutral[self.base.faces][..., 1].max(1) > FLOOR_Y
        return self.base.faces[shown], self.base.uvs[self.base.face_uvs[shown]]

    def _fitted(self, base: Points, jaw: float = 0.0) -> dict[str, Points]:
        """Every mesh's vertices on a base mesh whose jaw is opened by `jaw`, 0 to 1."""
        placed = {"skin": self.skin.refine(base)}
        for name, part in self.parts.items():
            points = part.fit.place(base)
            if name == "teeth":
                points = self._seated(points, jaw)
            elif name == "hair" and self.character.sweep:
                points = _swept(points, self.character.sweep)
            refined = self._refined.get(name)
            points = refined.refine(points) if refined else points
            placed[name] = self._turned_eyes(points) if name == "eyes" else points
        return placed

    def _seated(self, teeth: Points, jaw: float) -> Points:
        """Teeth (n, 3) moved to where speech shows them: the upper edge just below the closed
        lips' line, the lower row behind it."""
        lower = self._lower_teeth[:, None]
        below = LOWER_TEETH + max(jaw, 0.0) ** 2 * LOWER_TEETH_OPEN
        return np.asarray(teeth + np.where(lower, below, UPPER_TEETH))

    def expressed(self, shape_weights: tuple[float, ...]) -> Points:
        """The base mesh (19158, 3) with an expression added to the resting face."""
        base = self.neutral.copy()
        for unit, weight in zip(self._units, shape_weights, strict=True):
            if weight:
                unit.add_to(base, weight)
        return base

    def place(self, pose: Pose) -> dict[str, Points]:
        """The vertices of every mesh in a pose, in the kit's coordinates."""
        jaw = pose.weights[SHAPES.index("jawOpen")]
        moved = self._fitted(self.expressed(pose.weights), jaw)
        moved["skin"] = moved["skin"] + self._tuck
        # Hair sits on the skull, clothes on the trunk: an expression must not tug at them.
        moved["hair"] = self.rest["hair"].copy()
        moved["clothes"] = self.rest["clothes"].copy()
        if pose.tongue_up:
            tongue, rest = moved["tongue"], self.rest["tongue"]
            tip = _ramp(rest[:, 2], rest[:, 2].max() - 0.25, rest[:, 2].max())
            tongue[:, 1] += pose.tongue_up * 0.045 * tip
            tongue[:, 2] += pose.tongue_up * 0.085 * tip
        return {
            name: self.moved(points, self.rest[name], pose, self._neck[name])
            for name, points in moved.items()
        }

    @staticmethod
    def moved(points: Points, rest: Points, pose: Pose, neck: Points | None = None) -> Points:
        """Points (n, 3) that lie at `rest` (n, 3) without an expression, turned with the head,
        lifted by the breath and carried by the sway."""
        neck = neck_weight(rest) if neck is None else neck
        pivot = NECK_PIVOT
        rotation = np.array(pose.rotation)
        # The turn is spread along the neck: eight slices of it are exact to a few micrometres.
        turned = points.copy()
        levels = np.linspace(0, 1, 33)
        matrices = np.stack([rotation_matrix(*(rotation * share)) for share in levels])
        place = neck * (len(levels) - 1)
        low = np.minimum(place.astype(int), len(levels) - 2)
        part = (place - low)[:, None, None]
        blended = matrices[low] * (1 - part) + matrices[low + 1] * part
        turned = np.einsum("nij,nj->ni", blended, points - pivot) + pivot
        chest = _ramp(rest[:, 1], 2.6, 4.8) * (1 - _ramp(rest[:, 1], 5.2, 6.2))
        front = _ramp(rest[:, 2], -0.6, 1.0)
        lift = _ramp(rest[:, 1], 3.0, 5.4)
        turned[:, 1] += pose.breath * (0.028 * lift)
        turned[:, 2] += pose.breath * (0.05 * chest * front - 0.006 * lift)
        turned[:, 0] += pose.breath * 0.012 * chest * np.clip(rest[:, 0], -2, 2)
        turned[:, 0] += pose.sway_mm / 100 * _ramp(rest[:, 1], 2.5, 7.0)
        return np.asarray(turned)

    def gaze(self, eyes: Points, side: int) -> tuple[Points, Points]:
        """Where an iris lies and looks: its centre (3,) on placed `eyes` and its axis (3,).

        The rim of the iris is a ring of vertices, found where the kit's own eye looks ahead.
        """
        rim = self._iris_rims[side]
        pupil = eyes[rim].mean(0)
        # The ring is flat: what is square to it is the line of sight.
        _, _, rows = np.linalg.svd(eyes[rim] - pupil)
        axis = rows[2] * np.sign(rows[2, 2])
        return pupil, axis

    def _straighten_eyes(self) -> None:
        """Shaping a head also bends where its eyes look: let both meet the camera at rest."""
        eyes = self.rest["eyes"].copy()
        for side in (-1, 1):
            pupil, axis = self.gaze(eyes, side)
            target = np.array([0.0, pupil[1], pupil[2] + CAMERA_DISTANCE]) - pupil
            self._eye_turns[side] = _turn_between(axis, target / np.linalg.norm(target))
        self.rest["eyes"] = self._turned_eyes(eyes)

    def _turned_eyes(self, eyes: Points) -> Points:
        turned = eyes.copy()
        for side, matrix in self._eye_turns.items():
            mine = np.sign(self.rest["eyes"][:, 0]) == side
            middle = (eyes[mine].min(0) + eyes[mine].max(0)) / 2
            turned[mine] = (eyes[mine] - middle) @ matrix.T + middle
        return turned

    def _find_iris_rims(self) -> dict[int, Indices]:
        plain = self._refined["eyes"].refine(self.parts["eyes"].fit.place(self.base.vertices))
        rims = {}
        for side in (-1, 1):
            mine = np.sign(plain[:, 0]) == side
            middle = (plain[mine].min(0) + plain[mine].max(0)) / 2
            around = np.hypot(plain[:, 0] - middle[0], plain[:, 1] - middle[1])
            ring = mine & (plain[:, 2] > middle[2]) & (np.abs(around - IRIS_RADIUS) < 0.008)
            solid = np.zeros(len(plain), bool)
            solid[self.meshes["eyes"].faces[~self.cornea_faces()]] = True
            rims[side] = np.flatnonzero(ring & solid)
        return rims

    def cornea_faces(self) -> npt.NDArray[np.bool_]:
        """Which faces of the eyes are the clear shell: their picture is transparent there."""
        centre = self.meshes["eyes"].corner_uvs.mean(1)
        return np.asarray((centre[:, 0] > 0.85) & (centre[:, 1] < 0.15))

    def opaque_faces(self, name: str) -> npt.NDArray[np.bool_]:
        """Which faces of a part are solid in the middle: the picture's alpha is above a half."""
        import cv2

        alpha = np.asarray(cv2.imread(str(self.parts[name].texture), cv2.IMREAD_UNCHANGED))
        faces = self.meshes[name].faces
        if alpha.shape[2] < 4:
            return np.ones(len(faces), bool)
        middle = self.meshes[name].corner_uvs.mean(1) % 1.0
        height, width = alpha.shape[:2]
        column = np.minimum((middle[:, 0] * width).astype(int), width - 1)
        row = np.minimum(((1 - middle[:, 1]) * height).astype(int), height - 1)
        return np.asarray(alpha[row, column, 3] > 127)

    def paint(self, name: str) -> dict[str, Points]:
        """Values 0 to 1 per vertex that the materials read; only the skin has some."""
        if name != "skin" or self.painter is None:
            return {}
        return self.painter(self)
