"""Builds the table that binds MediaPipe's 478 points to the head: `landmarks.npz`.

Plain renders of bald heads from several sides, shut and open mouths, are shown to MediaPipe;
each point it finds is carried back to the surface it lies on, brought to the average head, and
averaged. Points of the lips' inner edge and of the lids are moved to the edge that the camera
sees, for MediaPipe is blurred exactly where an edge matters most.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from studio import topology
from studio.arkit import INDEX, SHAPES, weights
from studio.camera import HEIGHT, WIDTH, Camera
from studio.characters import CHARACTERS, Character
from studio.check_landmarks import pose_of
from studio.figure import Figure, Pose
from studio.kit import Indices, Points, kit_folder
from studio.landmarks import FaceSurface, Landmarks
from studio.project import camera_of
from studio.raster import Raster, barycentric, rasterise, triangles

SCALE = 4.0
TURNS = (-40, -20, 0, 20, 40)
AVERAGE_MACRO = {
    **{f"universal-{sex}-young-averagemuscle-averageweight": 0.5 for sex in ("female", "male")},
    **{
        f"{people}-{sex}-young": 1 / 6
        for people in ("asian", "african", "caucasian")
        for sex in ("female", "male")
    },
}


def average_character() -> Character:
    """The kit's average face: no details, no resting expression."""
    return replace(
        CHARACTERS["mina"],
        name="average",
        macro=AVERAGE_MACRO,
        detail={},
        rest={},
        skin="young_lightskinned_male_diffuse.png",
    )


def plain_camera(turn: float) -> Camera:
    """A camera for the table's renders."""
    return Camera(7.25, 7.15, 0.8, span=3.0, turn=turn)


def views() -> list[tuple[int, str, dict[str, float]]]:
    """Camera turn, short name and expression of the plain renders."""
    jaw = [(turn, "j", {"jawOpen": 0.5}) for turn in TURNS if abs(turn) < 30]
    return [*((turn, "n", {}) for turn in TURNS), *jaw]


def render(folder: Path, device: str) -> None:
    """Draw the plain views (needs bpy); pictures on disk are kept."""
    from studio.scene import Quality, Scene

    folder.mkdir(parents=True, exist_ok=True)
    for character in people():
        figure = Figure(character, kit_folder())
        for turn in TURNS:
            wanted = [
                (folder / f"{character.name}_{angle}_{short}.png", expression)
                for angle, short, expression in views()
                if angle == turn
            ]
            missing = [job for job in wanted if not job[0].exists()]
            if not missing:
                continue
            scene = Scene(figure, plain_camera(turn), Quality(16, device))
            scene.show("hair", shown=False)
            for path, expression in missing:
                scene.pose(Pose(tuple(weights(expression))))
                scene.render(path)


def people() -> list[Character]:
    """The average and every presenter, none of them smiling."""
    return [average_character(), *(replace(person, rest={}) for person in CHARACTERS.values())]


def _seen(figure: Figure, surface: FaceSurface, pose: Pose, camera: Camera) -> tuple[Raster, int]:
    """The head with its eyeballs as the camera sees it; and how many triangles are skin."""
    base = figure.expressed(pose.weights)
    skin = figure.moved(surface.points(base), surface.points(figure.neutral), pose)
    eyes = figure.place(pose)["eyes"]
    vertices = np.concatenate([skin, eyes])
    shell = np.repeat(figure.cornea_faces(), 2)
    eye_tris = triangles(figure.meshes["eyes"].faces)[~shell]
    tris = np.concatenate([surface.tris, eye_tris + len(skin)])
    return (rasterise(camera.project(vertices), tris, (WIDTH, HEIGHT), SCALE), len(surface.tris))


def _edge_snapped(raster: Raster, skin_tris: int, points: Points, lids: bool) -> Points:
    """Points (k, 2) moved to the nearest skin pixel that borders an eyeball (`lids`) or the dark
    of the open mouth, seen as a jump in depth."""
    height, width = raster.ids.shape
    rows, columns = np.mgrid[0:height, 0:width]
    ids = raster.ids
    skin = (ids >= 0) & (ids < skin_tris)
    if lids:
        other = ids >= skin_tris
    else:
        middle = raster.projected[raster.tris].mean(1)[:, 2]
        depth = np.where(ids >= 0, middle[np.maximum(ids, 0)], 1e3)
        near = depth < np.inf
        other = near & skin
        jump = np.zeros_like(skin)
        for axis in (0, 1):
            for step in (-3, 3):
                jump |= np.roll(depth, step, axis) - depth > 8.0
        border = skin & jump
        return _nearest(border, rows, columns, raster.scale, points)
    border = np.zeros_like(skin)
    for axis in (0, 1):
        for step in (-1, 1):
            border |= skin & np.roll(other, step, axis)
    return _nearest(border, rows, columns, raster.scale, points)


def _nearest(
    border: np.ndarray, rows: np.ndarray, columns: np.ndarray, scale: float, points: Points
) -> Points:
    place = np.stack([columns[border] + 0.5, rows[border] + 0.5], 1) / scale
    moved = points.copy()
    for index, point in enumerate(points):
        # Up and down counts double: along an edge MediaPipe's spacing is right.
        distance = np.hypot((place[:, 0] - point[0]) * 2.0, place[:, 1] - point[1])
        best = int(distance.argmin())
        if distance[best] < 14:
            moved[index] = place[best]
    return moved


@dataclass(frozen=True, slots=True)
class Sighting:
    """One picture that MediaPipe looked at, and what its points are trusted for."""

    name: str
    figure: Figure
    pose: Pose
    camera: Camera
    shut: bool
    dressed: bool = False


def plain_sightings() -> list[Sighting]:
    """The bald heads: shut mouths for the whole face, open ones for the lips' inner edge."""
    found = []
    for character in people():
        figure = Figure(character, kit_folder())
        for turn, short, expression in views():
            pose = Pose(tuple(weights(expression)))
            name = f"{character.name}_{turn}_{short}.png"
            found.append(Sighting(name, figure, pose, plain_camera(turn), short == "n"))
    return found


def dressed_sightings() -> list[Sighting]:
    """The presenters as they are shown: with hair, MediaPipe sees another forehead."""
    found = []
    for character in CHARACTERS.values():
        figure = Figure(character, kit_folder())
        for check in ("neutral", "left", "right", "tilted", "brows", "gaze"):
            name = f"{character.name}-{check}.png"
            pose = pose_of(check)
            found.append(Sighting(name, figure, pose, camera_of(figure), True, True))
    return found


def gather(found: dict[str, np.ndarray]) -> Points:
    """Every sighting of every point, brought to the average head, averaged (478, 3)."""
    average = Figure(average_character(), kit_folder())
    surface = FaceSurface(average.base)
    home = surface.points(average.neutral)
    front = np.asarray(found["average_0_n.png"], float)
    halves = np.sign(np.round(front[:, 0] - np.median(front[[1, 4, 152, 10], 0])) / 6)
    places, trust = [], []
    for sighting in [*plain_sightings(), *dressed_sightings()]:
        if sighting.name not in found:
            continue
        pixels = found[sighting.name][:, :2].astype(float)
        tri, share, facing = _carried_back(sighting, surface, pixels)
        confidence = facing**3 * _trusted(sighting, halves)
        places.append((home[surface.tris[tri]] * share[..., None]).sum(1))
        trust.append(confidence)
    mean = robust_mean(np.stack(places), np.stack(trust))
    return symmetric(mean, mirror_pairs(front))


def _trusted(sighting: Sighting, halves: Points) -> Points:
    """How far a picture is trusted for each point (478,)."""
    inner = list(topology.LIPS_INNER)
    trust = np.full(478, 3.0 if sighting.dressed else 1.0)
    trust[_INNER_LIDS] = float(sighting.camera.turn == 0 and not sighting.dressed)
    if sighting.shut:
        trust[inner] = 0
    else:
        trust[np.setdiff1d(np.arange(478), inner)] = 0
    # What a turned head hides, MediaPipe guesses.
    turn = sighting.camera.turn + -sighting.pose.rotation[1]
    trust[halves * turn < 0] = 0
    return trust


_INNER_LIDS = [
    point for point in topology.RIGHT_LIDS + topology.LEFT_LIDS if point not in topology.EYE_CORNERS
]


def _carried_back(
    sighting: Sighting, surface: FaceSurface, pixels: Points
) -> tuple[Indices, Points, Points]:
    """The triangle under each pixel (478,), the shares of its corners (478, 3), and how squarely
    it faces the camera (0 where there is no skin)."""
    raster, skin_tris = _seen(sighting.figure, surface, sighting.pose, sighting.camera)
    inner = list(topology.LIPS_INNER)
    if sighting.camera.turn == 0 and not sighting.dressed:
        pixels[_INNER_LIDS] = _edge_snapped(raster, skin_tris, pixels[_INNER_LIDS], True)
    if not sighting.shut:
        pixels[inner] = _edge_snapped(raster, skin_tris, pixels[inner], False)
    column = np.clip((pixels[:, 0] * SCALE).astype(int), 0, raster.ids.shape[1] - 1)
    row = np.clip((pixels[:, 1] * SCALE).astype(int), 0, raster.ids.shape[0] - 1)
    tri = raster.ids[row, column]
    hit = (tri >= 0) & (tri < skin_tris)
    hit &= surface.outside[np.where(hit, tri, 0)]
    tri = np.where(hit, tri, 0)
    corners = raster.projected[raster.tris[tri]]
    share = barycentric(corners[..., :2], pixels)
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    facing = np.abs(normal[:, 2]) / np.maximum(np.linalg.norm(normal, axis=1), 1e-9)
    return tri, share, facing * hit


def robust_mean(places: Points, trust: Points) -> Points:
    """Weighted mean (478, 3) of sightings (s, 478, 3), those far from the others left aside."""
    mean = np.zeros(places.shape[1:])
    weight = trust.copy()
    for _ in range(6):
        total = np.maximum(weight.sum(0), 1e-9)
        mean = (places * weight[..., None]).sum(0) / total[:, None]
        distance = np.linalg.norm(places - mean, axis=2)
        weight = trust / (1 + (distance / 0.03) ** 2)
    return mean


def mirror_pairs(front: Points) -> list[int]:
    """For each of the 468 points its partner on the other half of the face."""
    middle = np.median(front[[1, 4, 5, 10, 152, 0, 17], 0])
    mirrored = front[:468, :2] * [-1, 1] + [2 * middle, 0]
    # Depth tells apart what lies on top of each other in the picture.
    seen = np.concatenate([front[:468, :2], front[:468, 2:]], 1)
    other = np.concatenate([mirrored, front[:468, 2:]], 1)
    distance = np.linalg.norm(seen[:, None] - other[None], axis=2)
    return [int(index) for index in distance.argmin(1)]


def symmetric(mean: Points, pairs: list[int]) -> Points:
    """The kit's heads are symmetric, so both halves' sightings count for both."""
    even = mean.copy()
    for point, partner in enumerate(pairs):
        if pairs[partner] == point:
            even[point] = (mean[point] + mean[partner] * [-1, 1, 1]) / 2
    return even


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=Path, required=True)
    parser.add_argument("--render", action="store_true")
    parser.add_argument("--dressed", type=Path, help="the pictures of check_landmarks")
    parser.add_argument("--device", choices=("cpu", "gpu"), default="cpu")
    given = parser.parse_args()
    if given.render:
        render(given.pictures, given.device)
        return
    found: dict[str, np.ndarray] = {}
    for folder in (given.pictures, given.dressed):
        names = sorted(path.name for path in folder.glob("*.png"))
        with np.load(folder / "points.npz") as stored:
            found.update(zip(names, stored["points"], strict=True))
    mean = gather(found)
    average = Figure(average_character(), kit_folder())
    table = Landmarks.nearest(FaceSurface(average.base), average.neutral, mean)
    table.save(Path(__file__).with_name("landmarks.npz"))
    write_basis(average, table)


def write_basis(average: Figure, table: Landmarks) -> None:
    """The average face's points and shapes, in units of the distance between the outer corners of
    the eyes, for packs that bring no shapes of their own: `basis.npz` of the puppet."""
    still = table.points(average, Pose(tuple([0.0] * len(SHAPES))))
    unit = np.linalg.norm(np.subtract(*still[list(topology.EYE_OUTER_CORNERS)]))
    # Picture axes: x right, y down, z away from the camera.
    axes = np.array([1.0, -1.0, -1.0]) / unit
    shapes = []
    for name in SHAPES:
        row = [0.0] * len(SHAPES)
        row[INDEX[name]] = 1.0
        shapes.append((table.points(average, Pose(tuple(row))) - still) * axes)
    target = Path(__file__).parents[1] / "src/ditto_avatar/face/puppet/basis.npz"
    np.savez_compressed(
        target,
        neutral=((still - still.mean(0)) * axes).astype(np.float32),
        blendshapes=np.array(shapes, np.float32),
    )


if __name__ == "__main__":
    main()
